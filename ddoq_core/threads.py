"""The plan of a step: its number of threads, and what happens to the memory that it frees.

Equal plans give equal bytes.
"""

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator

import torch

TRIM, MMAPS = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
KEPT = 1 << 30  # bytes that a process keeps


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with n threads inside the block, and restore the old number after it."""
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GB that is free, for the next step.

    By default glibc returns large blocks to the system at once. Then every step gets new pages for its activations,
    which the system clears: a third of the time of a ConvNet at 64 pixels. Without glibc nothing changes.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(MMAPS, 0)
        libc.mallopt(TRIM, KEPT)
