"""The plan of a step: its number of threads, and what happens to the memory that it frees.

Equal plans give equal bytes.
"""

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator

import torch

TRIM, MMAP = -1, -3  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
KEPT, LARGEST = 256 << 20, 32 << 20  # bytes that a process keeps, and largest block that it keeps (glibc's limit)


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
    """Let glibc keep up to 256 MB that are free, for the next step.

    By default glibc returns large blocks to the system at once. Then every training step gets new pages for its
    activations, which the system clears: a third of the time of a ConvNet at 64 pixels. Without glibc nothing changes.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(MMAP, LARGEST)
        libc.mallopt(TRIM, KEPT)
