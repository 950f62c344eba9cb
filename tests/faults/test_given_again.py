"""A run that is given again when the clock has gone back, or with other parameters."""

import json
import os
import shutil
import time

import pytest

from ddoq_core.runs.run import Run

from .small import STEPS, identity, profile


def made(artifacts) -> set[str]:
    """Folders of all artifacts."""
    return {str(p.parent.relative_to(artifacts)) for p in artifacts.rglob("manifest.json")}


@pytest.fixture
def clock_goes_back(monkeypatch):
    """Every look at the clock finds it a day before the last, and before 1970 in the end."""
    days = iter(range(3, -(10**6), -1))
    monkeypatch.setattr(time, "time", lambda: float(next(days) * 86400))
    monkeypatch.setattr(time, "time_ns", lambda: next(days) * 86400 * 10**9)
    monkeypatch.setattr(time, "gmtime", lambda seconds=None: time.struct_time((1969, 12, 31, 23, 0, 0, 2, 365, 0)))


def test_a_clock_that_goes_back_changes_no_byte_of_any_step(copy, data, expected, clock_goes_back):
    artifacts = copy()
    for step in STEPS:  # what there is was written in the future, the later the earlier
        for age, path in enumerate(sorted((artifacts / step).rglob("*"))):
            os.utime(path, (4 * 10**9 - age, 4 * 10**9 - age))
    for step, ask in STEPS.items():
        for folder in sorted((artifacts / step).iterdir())[::2]:
            shutil.rmtree(folder)
        ask(Run(profile(data, artifacts)))
    assert identity(artifacts) == expected
    seconds = [json.loads(path.read_text())["seconds"] for path in artifacts.rglob("run.json")]
    assert all(0 <= s < 600 for s in seconds) and len(seconds) == len(made(artifacts))


def test_pictures_with_other_times_are_looked_at_again_and_nothing_is_made_of_them_anew(copy, data, finished, tmp_path):
    artifacts, moved = copy(), shutil.copytree(data, tmp_path / "moved")
    for path in moved.rglob("*.png"):
        os.utime(path, (4 * 10**9, 4 * 10**9))
    Run(profile(moved, artifacts)).train_students(say=lambda line: None)
    new = made(artifacts) - made(finished)
    assert len(new) == 1 and new.pop().startswith("scan/")


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({"epochs": 3}, {"relabel", "train"}),
        ({"strength": 0.3}, {"synthesize", "check", "relabel", "pixels", "train"}),
        ({"strength": 0.5}, {"synthesize"}),  # as many of the 4 steps as 0.7, so the same pictures: it stops there
    ],
    ids=["epochs", "strength", "no other strength"],
)
def test_other_parameters_make_another_run_beside_the_first_which_stays_as_it_is(
    copy, data, finished, expected, change, steps
):
    artifacts = copy()
    Run(profile(data, artifacts, **change)).train_students(say=lambda line: None)
    after = identity(artifacts)
    assert {name: after[name] for name in expected} == expected
    assert {name.split("/")[0] for name in made(artifacts) - made(finished)} == steps
    assert len(list((artifacts / "runs").iterdir())) == 2
