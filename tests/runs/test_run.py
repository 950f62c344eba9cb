"""The whole of Algorithm 4: identical artifacts whatever the worker count, the batch or the interruption."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.runs.run import Run
from ddoq_core.store.manifest import sha256_of

TINY = {"teacher_epochs": 1, "n_seeds": 1, "epochs": 2, "methods": ["random_real", "d4m", "ddoq"], "workers": 1}


MADE = "*/*/manifest.json"  # of every finished artifact


def identity(root: Path) -> dict[str, str]:
    """Checksum of every file that belongs to an artifact's identity."""
    left_out = ("run.json", "results.jsonl", "report.html")
    return {
        str(p.relative_to(root)): sha256_of(p)
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in left_out and p.parent.name != ".locks"
    }


def command(root: Path, **changes) -> list[str]:
    values = TINY | {"artifacts": str(root)} | changes
    words = [w for name, value in values.items() for w in ("-p", f"{name}={json.dumps(value)}")]
    return [sys.executable, "-m", "ddoq_core", "run", "--profile", "smoke", *words]


def wait_for(root: Path, pattern: str, process: subprocess.Popen) -> None:
    """Until a file has appeared; a process that ends before it fails here, with what it said."""
    while not any(root.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Artifacts of an uninterrupted tiny run with one worker."""
    root = tmp_path_factory.mktemp("run") / "artifacts"
    subprocess.run(command(root), check=True, capture_output=True)
    return root


@pytest.mark.slow
def test_artifacts_do_not_depend_on_the_number_of_workers(finished, tmp_path):
    subprocess.run(command(tmp_path / "two", workers=2), check=True, capture_output=True)
    assert identity(tmp_path / "two") == identity(finished)


@pytest.mark.slow
def test_students_of_another_network_make_nothing_but_themselves(finished, tmp_path):
    """Images of prototypes too: no prior, codebook, picture, check or label is made, and no teacher."""
    root = tmp_path / "artifacts"
    shutil.copytree(finished, root)
    before = set(root.glob(MADE))
    subprocess.run(command(root, students=["convnet-4"]), check=True, capture_output=True)
    new = [path.parents[1].name for path in set(root.glob(MADE)) - before]
    assert new and set(new) == {"train"}


@pytest.mark.slow
def test_a_run_killed_at_any_instant_resumes_to_the_same_artifacts(finished, tmp_path):
    """After one to five further artifacts and up to a second, so that the load of the machine decides nothing."""
    root, chance, kills = tmp_path / "killed", random.Random(0), 0
    while True:
        process = subprocess.Popen(
            command(root, workers=2), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        if kills == 6:
            process.wait()
            break
        wanted = len(list(root.glob(MADE))) + chance.randint(1, 5)
        while process.poll() is None and len(list(root.glob(MADE))) < wanted:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 1))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        time.sleep(0.5)  # its workers end with it
    assert process.returncode == 0, process.stderr.read().decode()
    assert kills >= 4
    assert identity(root) == identity(finished)


@pytest.mark.slow
def test_a_finished_run_is_read_again_and_nothing_is_redone(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("manifest.json")}
    subprocess.run(command(finished), check=True, capture_output=True)
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("manifest.json")} == before


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_its_workers(tmp_path):
    process = subprocess.Popen(
        command(tmp_path / "a", workers=2, epochs=10_000, soft_labels="online"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # jobs in the background ignore it
    )
    wait_for(tmp_path / "a", "train/*.partial", process)  # a student is being trained
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_every_row_of_results_says_what_made_it(finished):
    (path,) = finished.glob("runs/*/results.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    wanted = (
        "dataset method ipc student labels seed distill_seed top1 top5 hits epochs learning_rate weights seconds device"
    )
    assert all(set(wanted.split()) | {"profile", "commit", "versions"} <= set(row) for row in rows)
    assert {row["method"] for row in rows} == set(TINY["methods"])
    assert {row["weights"] for row in rows if row["method"] == "ddoq"} == {"sqrt"}


def test_the_plan_crosses_distillation_and_student_seeds():
    run = Run(Profile(methods=["d4m"], ipc=[1, 2], hard_ipc=[2], n_seeds=3, n_student_seeds=2))
    seeds = {(t.ipc, t.labels, t.distill_seed, t.seed) for t in run.plan}
    assert len(seeds) == len(run.plan) == (2 + 1) * 3 * 2


def test_one_student_for_each_distillation_has_first_weights_of_its_own():
    run = Run(Profile(methods=["d4m", "full"], ipc=[1], hard_ipc=[1], n_seeds=3, n_student_seeds=1))
    assert [(t.distill_seed, t.seed) for t in run.plan if t.labels == "soft"] == [(0, 0), (1, 1), (2, 2)]
    assert [(t.distill_seed, t.seed) for t in run.plan if t.method == "full"] == [(0, 0), (0, 1), (0, 2)]


def test_the_plan_follows_the_order_of_the_table():
    names = list(reversed(Profile().methods))
    assert [t.method for t in Run(Profile(methods=names)).plan] == [t.method for t in Run(Profile()).plan]
    assert set(METHODS) >= set(names)


def test_a_notebook_never_starts_a_run_at_the_scale_of_imagenet(tmp_path, monkeypatch):
    run = Run(Profile(artifacts=str(tmp_path)))
    run.__dict__["dataset"] = type("Large", (), {"n_classes": 1000, "content": "large"})()
    monkeypatch.setattr(Run, "train_students", lambda self: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"not finished.*ddoq run --profile laptop"):
        run.results()


def test_a_methods_own_protocol_is_planned_where_it_has_one_and_changes_its_students_alone():
    profile = Profile(methods=["rded", "d4m"], ipc=[1, 10], targets=["soft", "own"], n_seeds=1)
    run = Run(profile)
    assert [(t.method, t.ipc) for t in run.plan if t.labels == "own"] == [
        ("rded", 1),
        ("rded", 10),
        ("d4m", 1),
        ("d4m", 10),
    ]


def test_a_method_with_levels_of_its_own_is_planned_at_those_alone():
    run = Run(Profile(methods=["tesla", "d4m"], ipc=[1, 10, 50], tesla_ipc=[1, 10], targets=["soft"], n_seeds=1))
    assert [(t.method, t.ipc) for t in run.plan] == [("tesla", 1), ("tesla", 10), ("d4m", 1), ("d4m", 10), ("d4m", 50)]
