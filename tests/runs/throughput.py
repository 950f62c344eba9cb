"""Seconds of every step by one process and by two, of one thread each: `python tests/runs/throughput.py`.

A script, not a test: it asks for two idle cores. Prior and teacher are made once, of an epoch each.
"""

import collections
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SMALL = ["vae_epochs=1", "diffusion_epochs=1", "teacher_epochs=1", "ipc=[10]", "methods=[ddoq]", "targets=[soft]"]
SMALL += ["image_size=64", "n_seeds=1", "epochs=150", "batch_size=50", "threads=1", "workers=1"]


def ddoq(step: str, root: Path, processes: int = 1) -> None:
    parameters = [word for value in SMALL for word in ("-p", value)]
    command = [sys.executable, *LAUNCHER, str(processes), "-m", "ddoq_core", step, *parameters]
    subprocess.run([*command, "-p", f"artifacts={root}"], check=True, capture_output=True)


def seconds(root: Path) -> dict[str, float]:
    """Of all artifacts of a step."""
    found = collections.Counter()
    for path in root.rglob("run.json"):
        found[path.parent.parent.name] += json.loads(path.read_text())["seconds"]
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one", Path(folder) / "two"
        ddoq("pretrain", one)
        ddoq("teacher", one)
        shutil.copytree(one, two)
        ddoq("run", one, 1)
        ddoq("run", two, 2)
        by_one, by_two = seconds(one), seconds(two)
    for step in ("encode", "cluster", "synthesize", "relabel", "check", "train"):
        print(f"{step:12} {by_one[step]:7.1f} s  {by_two[step]:7.1f} s  x {by_one[step] / by_two[step]:.2f}")


if __name__ == "__main__":
    main()
