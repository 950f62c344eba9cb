"""A long run written down block by block: what stands in the file is not made again, and belongs to this run."""

import json

import pytest

from ddoq_core.errors import InputError
from ddoq_core.pipeline import ledger
from ddoq_core.pipeline.run import Run
from ddoq_core.profile import Profile
from ddoq_core.store import Artifact

PROFILE = Profile(methods=["random_real", "d4m"], ipc=[1, 2], targets=["soft"], n_seeds=2, n_student_seeds=2)


class Data:
    """A data set of which only the key is asked."""

    key = "data"


@pytest.fixture
def trained(monkeypatch):
    """Names of the students that were trained; training itself is left out."""
    done = []
    monkeypatch.setattr(Run, "job", lambda self, task: task)
    monkeypatch.setattr(ledger, "train_all", lambda jobs, workers: [Artifact(None, "train", str(j)) for j in jobs])

    def row(self, task, artifact):
        done.append(task)
        return {"dataset": "x", "key": artifact.key, "top1": 50.0} | vars(task)

    monkeypatch.setattr(Run, "row", row)
    return done


def run_of(profile: Profile = PROFILE) -> Run:
    run = Run(profile)
    run.__dict__["dataset"] = Data()
    return run


def test_every_student_is_written_once_and_a_second_call_trains_none(trained, tmp_path):
    run, out = run_of(), tmp_path / "a.jsonl"
    rows = ledger.record(run, out, run.plan)
    assert [ledger._task(row) for row in rows] == run.plan and len(trained) == len(run.plan) == 16
    assert ledger.record(run_of(), out, run.plan) == rows == ledger.read(out)
    assert len(trained) == 16


def test_a_run_that_was_interrupted_goes_on_with_the_block_that_is_missing(trained, tmp_path, monkeypatch):
    run, out = run_of(), tmp_path / "a.jsonl"
    whole = ledger.record(run, tmp_path / "whole.jsonl", run.plan)
    blocks, first = [], ledger.train_all

    def interrupted(jobs, workers):
        blocks.append(jobs)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return first(jobs, workers)

    monkeypatch.setattr(ledger, "train_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ledger.record(run, out, run.plan)
    assert len(ledger.read(out)) == 8
    assert ledger.record(run, out, run.plan) == whole
    assert len(blocks) == 3 + 2


def test_rows_carry_the_knobs_that_differ_and_none_of_another_method(trained, tmp_path):
    run = run_of(PROFILE.but(epochs=7, tesla_rate=5.0, artifacts="elsewhere"))
    row = ledger.record(run, tmp_path / "a.jsonl", run.plan[:1], lambda run, task: {"beside": task.ipc})[0]
    assert row["parameters"] == {"epochs": 7} and row["beside"] == 1 and row["data"] == "data"


def test_a_knob_of_one_method_leaves_the_rows_of_the_others_valid(trained, tmp_path):
    out = tmp_path / "a.jsonl"
    ledger.record(run_of(), out, run_of().plan)
    assert len(ledger.record(run_of(PROFILE.but(tesla_rate=5.0)), out, run_of().plan)) == 16


def test_rows_of_other_parameters_are_refused_with_the_difference(trained, tmp_path, monkeypatch):
    out = tmp_path / "a.jsonl"
    ledger.record(run_of(), out, run_of().plan)
    with pytest.raises(InputError, match=r"a\.jsonl holds rows of epochs = 100, not 7; give another folder"):
        ledger.record(run_of(PROFILE.but(epochs=7)), out, run_of().plan)
    monkeypatch.setattr(Data, "key", "other")
    with pytest.raises(InputError, match="other data"):
        ledger.record(run_of(), out, run_of().plan)


def test_a_damaged_file_is_refused_by_name(tmp_path):
    out = tmp_path / "a.jsonl"
    for text in ("{", json.dumps({"method": "d4m"})):
        out.write_text(text)
        with pytest.raises(InputError, match="holds a line that is no record"):
            ledger.read(out)
