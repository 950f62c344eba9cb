"""Checkpoints: the saved state of a training; an interrupted training resumes from it and ends with the same bytes."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from .artifacts import Workspace
from .safe_files import read_checkpoint

EVERY = 30  # shortest time in seconds between two checkpoints, so that a small network writes none


@dataclass
class Checkpoint:
    """A file of a workspace with everything that the steps of a training change."""

    work: Workspace
    name: str
    parts: dict[str, Any]  # modules and optimisers, tensors, or lists of tensors
    written: float = field(default_factory=time.monotonic)

    def resume(self, start: Any) -> Any:
        """Restore the state of an interrupted training and return its progress; `start` if there is none."""
        state = read_checkpoint(self.work.path / self.name)
        if state is None:
            return start
        for name, part in self.parts.items():
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(state[name])
                continue
            for mine, saved in zip(*((x if isinstance(x, list) else [x]) for x in (part, state[name])), strict=True):
                mine.copy_(saved)
        return state["done"]

    def keep(self, done: Any) -> None:
        """Write the state if the last one is old enough; `done` is the progress of the training."""
        if time.monotonic() - self.written >= EVERY:
            self.write(done)

    def write(self, done: Any) -> None:
        state = {n: part.state_dict() if hasattr(part, "state_dict") else part for n, part in self.parts.items()}
        self.work.replace(self.name, lambda path: torch.save(state | {"done": done}, path))
        self.written = time.monotonic()
