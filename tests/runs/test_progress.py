"""How far a run is: counted in rows of its table, told from the seconds of the students that are there."""

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.runs import progress as module
from ddoq_core.runs.plan import image_passes, students_of
from ddoq_core.runs.progress import Progress, about

from ..stand_ins import stand_in

PROFILE = Profile(methods=["d4m", "ddoq"], ipc=[1, 10], targets=["soft"], n_seeds=3, epochs=10)
DATA = stand_in(Dataset, n_classes=10, train=range(100))


@pytest.fixture
def clock(monkeypatch):
    """`clock(s)`: s seconds go by."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def row(task, seconds: float, date: str = "9999") -> dict:
    return vars(task) | {"seconds": seconds, "date": date}


def test_the_line_counts_rows_and_tells_the_time_from_images_that_are_still_to_be_seen(clock):
    said, plan = [], students_of(PROFILE)
    progress = Progress(plan, PROFILE, DATA, said.append)
    small, large = ([t for t in plan if t.ipc == ipc] for ipc in (1, 10))
    for i, task in enumerate(small):
        clock(60)
        progress.done([row(task, 60)])
        assert said[-1].startswith(f"ddoq: student {i + 1} of 12, about ")
    assert said[-1] == "ddoq: student 6 of 12, about 60 min left"  # 6 students of ten minutes
    clock(600)
    progress.done([row(task, 600) for task in large[:2]])  # two rows share a student
    assert said[-1] == "ddoq: student 8 of 12, about 40 min left"


def test_two_students_side_by_side_take_half_the_time(clock):
    plan = students_of(PROFILE.replace(ipc=[1]))
    progress = Progress(plan, PROFILE, DATA, lambda line: None)
    clock(60)
    progress.done([row(plan[0], 60)])
    progress.done([row(plan[1], 60)])
    assert progress.seconds_left == pytest.approx(4 * 60 / 2)


def test_a_student_of_an_earlier_call_tells_what_another_takes_but_not_how_fast_this_call_is(clock):
    plan = students_of(PROFILE.replace(ipc=[1]))
    progress = Progress(plan, PROFILE, DATA, lambda line: None)
    progress.done([row(plan[0], 100, date="2020")])
    assert progress.seconds_left is None
    clock(100)
    progress.done([row(plan[1], 100)])
    assert progress.seconds_left == pytest.approx(4 * 100)


def test_a_log_has_a_line_a_minute_and_the_last_one(clock):
    said, plan = [], students_of(PROFILE)
    progress = Progress(plan, PROFILE, DATA, said.append)
    for task in plan:
        clock(11)
        progress.done([row(task, 11)])
    assert len(said) == 3 and said[-1] == "ddoq: student 12 of 12"


def test_all_real_images_are_counted_with_the_epochs_of_the_teacher():
    full = students_of(Profile(methods=["full"]))[0]
    assert image_passes(full, PROFILE, DATA) == 100 * PROFILE.teacher_epochs


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "20 s"), (80, "80 s"), (91, "2 min"), (14 * 60, "14 min"), (80 * 60, "80 min"), (7200, "2 h")],
)
def test_a_time_is_said_in_the_unit_that_reads_best(seconds, words):
    assert about(seconds) == f"about {words}"


def test_a_run_that_has_nothing_to_do_says_so_in_one_line():
    said, plan = [], students_of(PROFILE)
    progress = Progress(plan, PROFILE, DATA, said.append)
    for task in plan:
        progress.done([row(task, 5, date="2020")])
    assert said == ["ddoq: student 1 of 12", "ddoq: student 12 of 12"]
