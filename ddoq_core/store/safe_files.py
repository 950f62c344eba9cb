"""Read files of tensors without running anything in them: safetensors, and the checkpoints of a training."""

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
    """A safetensors file, read only as far as needed; InputError if it is not one, or lacks a tensor."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise InputError(f"{path} is not a valid safetensors file ({error}); delete or replace it") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name."""
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def read_checkpoint(path: Path) -> dict | None:
    """State of an interrupted training; None if there is none. If it cannot be read, report that and return None."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # many kinds: a file cut off, not an archive, a pickle of other things than tensors
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:80]
        report_line(f"ddoq: the checkpoint {path} cannot be read ({reason}); its training starts over")
        return None
