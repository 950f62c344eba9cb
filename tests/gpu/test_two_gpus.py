"""What only two GPUs can prove: with the batch norm of all processes, two of them train the student of one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two CUDA devices")
SYNCED = [str(Path(__file__).parent / "synced.py"), "run", "--profile", "smoke", "-p", "device=cuda"]
SYNCED += ["-p", "students=[convnet-8-bn]", "-p", "methods=[ddoq]", "-p", "optimiser=sgd", "-p", "batch_size=16"]


def test_with_synchronised_batch_norm_the_student_of_two_processes_is_that_of_one(tmp_path):
    """Batch norm as it is takes the statistics of a process's share, which is the paper's protocol and not this."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for size in ("1", "2"):
        command = [sys.executable, *launcher, size, *SYNCED, "--artifacts", str(tmp_path / size)]
        subprocess.run(command, check=True, capture_output=True)
    students = sorted(p.relative_to(tmp_path / "1") for p in tmp_path.glob("1/train/*/student.safetensors"))
    assert students
    for path in students:
        one, two = (load_file(tmp_path / size / path) for size in ("1", "2"))
        for name, value in one.items():
            torch.testing.assert_close(two[name].float(), value.float(), rtol=1e-2, atol=1e-4)
