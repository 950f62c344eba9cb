"""Several processes: the bytes of one in every step but the student, whose gradient is that of the whole batch."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline import fit_student
from ddoq_core.pipeline import lessons as lessons_module
from ddoq_core.pipeline.fit_student import fit, weighted_kl
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.processes import Processes
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Workspace

from ..stand_ins import stand_in
from .test_run import command, identity, wait_for

METHODS = ["random_real", "random_generated", "sre2l", "rded", "ddoq"]
# SGD: AdamW divides the rounding of a gradient that is 0, as of a bias before a norm, by itself
CHANGES = {
    "methods": METHODS, "ipc": [2], "targets": ["soft", "hard"], "epochs": 3, "batch_size": 7, "optimiser": "sgd",
    "teacher": "convnet-16-bn", "inversion_iterations": 3,
}  # fmt: skip


def several(root: Path, program: str = "ddoq_core", **changes) -> list[str]:
    """The same command, in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, "-m", program, *command(root, **changes)[3:]]


@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_the_shares_of_all_processes_make_up_every_batch(squares, tiny, monkeypatch, size):
    """12 processes and batches of 4: some have no image of their own, and lend one at a share of 0."""
    pixels = torch.zeros(9, 1, 8, 8, dtype=torch.uint8)
    places, shares = [[], [], []], torch.zeros(3)
    for rank in range(size):
        monkeypatch.setattr(lessons_module, "world", lambda rank=rank: Processes(rank, size))
        lessons = Lessons(pixels, torch.ones(9), squares, tiny.replace(batch_size=4), 0, lambda *_: None, 1)
        for i, (own, share) in enumerate(lessons.shares):
            assert len(own)
            shares[i] += share
            places[i] += own.tolist() if share else []
    assert list(map(sorted, places)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    torch.testing.assert_close(shares, torch.ones(3))


def little(name: str, epochs: int) -> tuple[nn.Module, Lessons]:
    """A network, and twelve pictures of noise with even labels, in batches of five."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8, generator=rng)
    profile = Profile.of({"image_size": 8, "batch_size": 5, "epochs": epochs, "cutmix": False, "optimiser": "sgd"})
    dataset = stand_in(Dataset, normalise=lambda images: images, image_size=8)
    targets = lambda epoch, views: lambda rows, images: torch.full((len(rows), 3), 1 / 3).log()  # noqa: E731
    return make_network(name, 3, 1, 8, rng), Lessons(pixels, torch.ones(12), dataset, profile, 0, targets, epochs)


def train_little(folder: Path, name: str, epochs: int) -> nn.Module:
    network, lessons = little(name, epochs)
    fit(Workspace(folder), network, lessons, lambda *batch: weighted_kl(*batch, 1.0, "forward"))
    return network


def join_two(rank: int, port: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


def train_one_of_two(rank: int, folder: Path, port: int) -> None:
    """A process that trains its share of a student with batch norm, and saves the running averages in the end."""
    join_two(rank, port)
    save_file(dict(train_little(folder, "convnet-4-bn", 2).named_buffers()), folder / f"{rank}.safetensors")


def leave_one_of_two(rank: int, folder: Path, port: int) -> None:
    """A process that trains its share of a student, and is interrupted at the beginning of epoch 2."""
    join_two(rank, port)
    checkpoints.EVERY, of_epoch = 0, fit_student.rate

    def rate(epoch: int, **schedule: object) -> float:
        if epoch == 2:
            raise KeyboardInterrupt
        return of_epoch(epoch, **schedule)

    fit_student.rate = rate
    with contextlib.suppress(KeyboardInterrupt):
        train_little(folder, "convnet-4", 4)


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_two_processes_score_with_the_running_averages_of_the_main_one(tmp_path, port):
    """Each saw other images in the last batch; what is scored by both, and saved by one, is one network."""
    torch.multiprocessing.spawn(train_one_of_two, (tmp_path, port), nprocs=2)
    main, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert any("running_mean" in name for name in main)
    for name, value in main.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_a_student_that_two_processes_left_in_the_middle_is_finished_by_one(tmp_path, port, monkeypatch):
    """It goes on with the epoch after the checkpoint, and is the student of one process to rounding."""
    torch.multiprocessing.spawn(leave_one_of_two, (tmp_path, port), nprocs=2)
    shown, batches = [], Lessons.batches
    monkeypatch.setattr(Lessons, "batches", lambda self, epoch: shown.append(epoch) or batches(self, epoch))
    gone_on, alone = train_little(tmp_path, "convnet-4", 4), train_little(tmp_path / "alone", "convnet-4", 4)
    assert shown == [2, 3, 0, 1, 2, 3]
    started = little("convnet-4", 4)[0]
    for mine, whole, first in zip(gone_on.parameters(), alone.parameters(), started.parameters(), strict=True):
        torch.testing.assert_close(mine, whole, rtol=1e-4, atol=1e-6)
        assert first.ndim == 1 or not first.equal(mine)


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory) -> tuple[Path, Path]:
    """Artifacts of the same run by one process and by two."""
    one, two = (tmp_path_factory.mktemp(name) / "artifacts" for name in ("one", "two"))
    subprocess.run(command(one, **CHANGES), check=True, capture_output=True)
    subprocess.run(several(two, **CHANGES), check=True, capture_output=True)
    return one, two


def but_students(root: Path) -> dict[str, str]:
    return {f: key for f, key in identity(root).items() if not f.startswith("train/")}


@pytest.mark.slow
def test_two_processes_were_two(one_and_two):
    for root, size in zip(one_and_two, (1, 2), strict=True):
        plans = [json.loads(p.read_text())["plan"] for p in root.rglob("run.json")]
        assert plans and all(plan["processes"] == size for plan in plans)


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one_in_every_step_but_the_student(one_and_two):
    one, two = map(but_students, one_and_two)
    assert {f.split("/")[0] for f in one} >= {
        "encode", "cluster", "synthesize", "generate", "pixels", "relabel", "check", "rded",
    }  # fmt: skip

    assert one == two


@pytest.mark.slow
def test_the_student_of_two_processes_is_that_of_one_to_rounding(one_and_two):
    """Norms without batch statistics: the loss and its gradient are those of the whole batch."""
    one, two = one_and_two
    students = sorted(p.relative_to(one) for p in one.glob("train/*/student.safetensors"))
    assert students
    for path in students:
        for name, value in load_file(one / path).items():
            torch.testing.assert_close(load_file(two / path)[name], value, rtol=1e-4, atol=1e-6)


def children(process: subprocess.Popen) -> list[int]:
    """The processes that a launcher has started; it starts each in a session of its own."""
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "sign"),
    [("tests.runs.halting", "generate/*.partial/*/*.png"), ("ddoq_core", "pixels/*/pixels.npy")],
    ids=["in the middle of a set", "with a file of pixels"],
)
def test_what_two_processes_left_one_goes_on_with(one_and_two, tmp_path, program, sign):
    one, _ = one_and_two
    root = tmp_path / "artifacts"
    process = subprocess.Popen(
        several(root, program, **CHANGES), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(root, sign, process)
    for pid in [process.pid, *children(process)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not any(root.glob("train/*"))
    subprocess.run(command(root, **CHANGES), check=True, capture_output=True)
    assert identity(root) == identity(one)


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
def test_one_of_two_that_is_killed_ends_the_other_with_a_clear_line(one_and_two, dies):
    _, two = one_and_two
    for path in two.glob("train/*.partial"):
        shutil.rmtree(path)
    process = subprocess.Popen(
        several(two, **CHANGES | {"epochs": 100_000, "soft_labels": "online"}),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    wait_for(two, "train/*.partial", process)
    time.sleep(3)  # in the middle of an epoch
    os.kill(children(process)[dies], signal.SIGKILL)
    said = process.communicate(timeout=90)[1]
    assert process.returncode != 0
    assert "ddoq: another process of this run ended; finished work is kept: run the same command again" in said


@pytest.mark.slow
def test_what_the_user_can_mend_is_said_once(one_and_two):
    _, two = one_and_two
    shutil.rmtree(two / "runs")  # those that were killed are given up
    done = subprocess.run(several(two, **CHANGES | {"ipc": [9999]}), capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.count("ddoq: ipc = 9999, but class 0") == 1
