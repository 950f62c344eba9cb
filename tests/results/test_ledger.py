"""A long run written down row by row: what stands in the file is not made again, and belongs to this run."""

import itertools
import json
from pathlib import Path

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.errors import InputError
from ddoq_core.results import ledger
from ddoq_core.runs.jobs import Job, task_of
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact

PROFILE = Profile(methods=["random_real", "d4m"], ipc=[1, 2], targets=["soft"], n_seeds=2, n_student_seeds=2)


class Data(Dataset):
    """A data set of which only the content and the sizes are asked."""

    content, n_classes, train = "data", 10, range(100)

    def __init__(self) -> None:
        """Nothing is in it."""


@pytest.fixture
def trained(monkeypatch):
    """Tasks of the students that were trained; training itself is left out."""
    done = []

    def train_all(levels, workers, finished):
        for job in itertools.chain(*levels):
            finished(job, Artifact(Path(), "train", str(job.task), str(job.task)))

    def row(self, task, artifact):
        done.append(task)
        return {"dataset": "x", "key": artifact.key, "top1": 50.0, "seconds": 1.0, "date": "2026"} | vars(task)

    def job(self, task):
        return Job(
            self.profile,
            task,
            distilled=Artifact(Path(), "images", f"{task.method} {task.ipc}", f"{task.method} {task.ipc}"),
        )

    monkeypatch.setattr(Run, "job", job)
    monkeypatch.setattr(ledger, "train_all", train_all)
    monkeypatch.setattr(Run, "row", row)
    return done


def run_of(profile: Profile = PROFILE) -> Run:
    run = Run(profile)
    run.__dict__["dataset"] = Data()
    return run


def test_every_student_is_written_once_and_a_second_call_trains_none(trained, tmp_path):
    run, out = run_of(), tmp_path / "a.jsonl"
    rows = ledger.record(run, out, run.plan)
    assert [task_of(row) for row in rows] == run.plan and len(trained) == len(run.plan) == 16
    assert ledger.record(run_of(), out, run.plan) == rows == ledger.read(out)
    assert len(trained) == 16


def test_a_run_that_was_interrupted_goes_on_with_the_student_that_is_missing(trained, tmp_path, monkeypatch):
    run, out, whole_row = run_of(), tmp_path / "a.jsonl", Run.row
    whole = ledger.record(run, tmp_path / "whole.jsonl", run.plan)

    def interrupted(self, task, artifact):
        if len(ledger.read(out)) == 5:
            raise KeyboardInterrupt
        return whole_row(self, task, artifact)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "row", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.record(run, out, run.plan)
    assert len(ledger.read(out)) == 5
    before = len(trained)
    assert ledger.record(run, out, run.plan) == whole
    assert len(trained) == before + 16 - 5


def test_students_that_are_the_same_are_trained_once_and_written_for_every_row(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "identity", property(lambda job: job.task.ipc))
    monkeypatch.setattr(
        ledger,
        "train_all",
        lambda levels, workers, finished: finished(levels[0][0], Artifact(Path(), "train", "one", "one")),
    )
    run = run_of()
    tasks = [t for t in run.plan if t.ipc == 1]
    assert len(ledger.record(run, tmp_path / "a.jsonl", tasks)) == len(tasks)


def test_rows_carry_the_knobs_that_differ_and_none_of_another_method(trained, tmp_path):
    run = run_of(PROFILE.replace(epochs=7, tesla_rate=5.0, artifacts=str(tmp_path)))
    row = ledger.record(run, tmp_path / "a.jsonl", run.plan[:1], lambda run, task: {"beside": task.ipc})[0]
    assert row["parameters"] == {"epochs": 7} and row["beside"] == 1 and row["data"] == "data"


def test_a_knob_of_one_method_leaves_the_rows_of_the_others_valid(trained, tmp_path):
    out = tmp_path / "a.jsonl"
    ledger.record(run_of(), out, run_of().plan)
    assert len(ledger.record(run_of(PROFILE.replace(tesla_rate=5.0)), out, run_of().plan)) == 16


def test_rows_of_other_parameters_are_refused_with_the_difference(trained, tmp_path, monkeypatch):
    out = tmp_path / "a.jsonl"
    ledger.record(run_of(), out, run_of().plan)
    with pytest.raises(InputError, match=r"a\.jsonl holds rows of epochs = 100, not 7; give another folder"):
        ledger.record(run_of(PROFILE.replace(epochs=7)), out, run_of().plan)
    monkeypatch.setattr(Data, "content", "other")
    with pytest.raises(InputError, match="other data"):
        ledger.record(run_of(), out, run_of().plan)


def test_a_damaged_file_is_refused_by_name(tmp_path):
    out = tmp_path / "a.jsonl"
    for text in ("{", json.dumps({"method": "d4m"})):
        out.write_text(text)
        with pytest.raises(InputError, match="has a line that is not a record"):
            ledger.read(out)
