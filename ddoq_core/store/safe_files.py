"""Files of tensors, read without running anything that is in them: safetensors, and the checkpoints of a training."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import InputError
from ..processes import report_line


@contextlib.contextmanager
def open_tensors(path: Path) -> Iterator[safe_open]:
    """A safetensors file, of which only what is asked for is read; InputError if it is none or lacks that."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise InputError(f"{path} is no sound file of safetensors ({error}); remove or replace it") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name."""
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def read_checkpoint(path: Path) -> dict | None:
    """State of a training that was interrupted; None if there is none, or none that can be read, which is said."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: cut off, no archive, a pickle of other things than tensors
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:80]
        report_line(f"ddoq: the checkpoint {path} cannot be read ({reason}); its training starts over")
        return None
