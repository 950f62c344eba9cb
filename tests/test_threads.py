"""The plan of a step: its threads, and memory that is kept for the next one."""

import os
import subprocess
import sys

import pytest
import torch

from ddoq_core.threads import threads

FAULTS = """
import contextlib, ctypes, resource, sys
import torch
from ddoq_core.threads import threads

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: one fault a page of 4 KiB, on every machine

def step():
    blocks = [torch.ones(n) for n in (10_000_000, *[2_500_000] * 2)]  # 60 MB; the first is above glibc's 32 MB
    return sum(block[-1] for block in blocks)

with threads(1) if sys.argv[1] == "kept" else contextlib.nullcontext():
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_threads_are_set_inside_the_block_only():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is glibc's")
def test_steps_reuse_the_memory_that_they_free():
    kept, given_back = (int(_faults(how)) for how in ("kept", "given back"))
    assert given_back > 100_000  # of 10 steps of 15,000 pages
    assert kept < given_back / 20


def _faults(how: str) -> str:
    # glibc's first threshold, fixed: it raises the threshold by itself when a large block is freed, and whether the
    # block then goes back to the system depends on what lies above it in the heap
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", FAULTS, how]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
