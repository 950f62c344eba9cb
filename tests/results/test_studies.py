"""`ddoq record`: a study is found by its entry point, and each of its parts is recorded, restricted, and finished."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.results import studies
from ddoq_core.results.studies import GROUP, StudyPart, record_study
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from ..stand_ins import stand_in

CALLED = []


def one_part(profile: Profile):
    """A study of a single file."""
    tasks = [Student("d4m", ipc, "convnet-2", labels, 0, 0) for ipc in (1, 10) for labels in ("soft", "hard")]
    ends = {"before": CALLED.append, "finished": lambda done, out: CALLED.append(done)}
    yield StudyPart("one.jsonl", stand_in(Run), tasks, lambda run, task: {}, **ends)


@pytest.fixture
def recorded(monkeypatch):
    """What `record` is asked for; the study `one` is the only one that is registered."""
    asked = []
    found = EntryPoints([EntryPoint("one", f"{__name__}:one_part", GROUP)])
    monkeypatch.setattr(EntryPoint, "load", lambda self: one_part)
    monkeypatch.setattr(studies, "entry_points", lambda group: found.select(group=group))
    monkeypatch.setattr(studies, "record", lambda run, out, tasks, beside: asked.append((out, tasks)))
    CALLED.clear()
    return asked


def test_a_restriction_leaves_out_the_other_students_and_the_part_is_finished_with_those_that_are_left(
    recorded, tmp_path
):
    assert list(record_study("one", Profile(), tmp_path, {"ipc": [10], "labels": ["soft"]})) == [tmp_path / "one.jsonl"]
    ((file, tasks),) = recorded
    assert file == tmp_path / "one.jsonl" and [(t.ipc, t.labels) for t in tasks] == [(10, "soft")]
    assert [tmp_path, tasks] == CALLED  # before, and when it is finished


def test_a_part_without_students_is_written_before_any_and_trains_none(recorded, monkeypatch, tmp_path):
    def measured(profile):
        yield StudyPart("numbers.json", stand_in(Run), [], lambda run, task: {}, before=CALLED.append)

    monkeypatch.setattr(EntryPoint, "load", lambda self: measured)
    assert list(record_study("one", Profile(), tmp_path, {"ipc": [10]})) == [tmp_path / "numbers.json"]
    assert [tmp_path] == CALLED and recorded == []


def test_nothing_that_is_wanted_and_no_such_study_are_one_line(recorded, tmp_path):
    with pytest.raises(InputError, match="study 'one' at profile laptop has no student with"):
        list(record_study("one", Profile(), tmp_path, {"ipc": [7]}))
    with pytest.raises(InputError, match=r"^no study 'two'; studies: one$"):
        list(record_study("two", Profile(), tmp_path, {}))
    assert recorded == [] == CALLED


def test_every_study_that_is_declared_is_a_function_of_the_book(declared_studies):
    known = {"table", "tuning", "ablations", "zipf", "controlled", "weights", "baselines", "labels", "latents"}
    known |= {"exponents", "exponents_controlled", "exponents_photographs", "families", "families_tuning", "oracles"}
    assert set(declared_studies.names) == known | {"photographs", "few_images", "learned"}
    assert all(callable(entry.load()) for entry in declared_studies)
