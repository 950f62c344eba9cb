"""A run that is given again when the clock has gone back, or with other parameters."""

import json
import os
import shutil
import sys
import time

import pytest

from ddoq_core import cli
from ddoq_core.errors import InputError
from ddoq_core.locks import held
from ddoq_core.pipeline.begun import begin
from ddoq_core.pipeline.run import Run

from .small import STEPS, command, identity, profile


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
        ({"strength": 0.5}, {"synthesize", "check", "relabel", "train"}),
    ],
    ids=str,
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


def interrupted(data, artifacts, **changes):
    """A run that was begun and made nothing yet."""
    run = Run(profile(data, artifacts, **changes))
    begin(run)
    return run


def test_an_interrupted_run_that_is_given_other_parameters_is_refused_by_the_name_that_differs(data, tmp_path):
    first = interrupted(data, tmp_path)
    begin(first)  # the same again goes on
    with pytest.raises(InputError, match=r"strength = 0\.7, not 0\.5, was interrupted; give it the same") as error:
        begin(Run(profile(data, tmp_path, strength=0.5)))
    assert str(first.folder) in str(error.value) and "\n" not in str(error.value)


def test_other_pictures_are_another_run_too(data, tmp_path):
    interrupted(data, tmp_path)
    other = shutil.copytree(data, tmp_path / "other")
    (other / "train" / "ant" / "0.png").unlink()
    with pytest.raises(InputError, match="a run with data = "):
        begin(Run(profile(other, tmp_path)))


def test_a_run_that_is_finished_going_on_or_given_up_stands_in_no_ones_way(data, tmp_path):
    first, other = interrupted(data, tmp_path), Run(profile(data, tmp_path, strength=0.5))

    def begins() -> bool:
        shutil.rmtree(other.folder, ignore_errors=True)
        begin(other)
        return (other.folder / "profile.json").exists()

    with held(first.store.root, first.folder.name, "the run"):
        assert begins()
    (first.folder / "results.jsonl").touch()
    assert begins()
    shutil.rmtree(first.folder)
    assert begins()


def test_the_refusal_at_the_prompt_is_one_line_and_code_2(data, tmp_path, monkeypatch, capsys):
    interrupted(data, tmp_path)
    monkeypatch.setattr(sys, "argv", ["ddoq", *command(data, tmp_path, epochs=3)])
    with pytest.raises(SystemExit) as code:
        cli.main()
    assert code.value.code == 2
    assert capsys.readouterr().err.startswith("ddoq: a run with epochs = ")
