"""The prose of chapter 33: its numbers are those of the results, and what was not measured is a dash."""

import pytest

from ddoq_book.ch33.cost_texts import implied_texts, largest_speed, measured_texts, rows_of_run, told_texts
from ddoq_book.ch33.measured import MeasuredCost, MeasuredRun, Timing
from ddoq_core.config.profile import Profile
from ddoq_core.cost.sizes import TWO_CORES, Device, Images
from ddoq_core.cost.tables import paper_steps, run_cost
from ddoq_core.methods.account import TRAINING, Cost
from ddoq_core.results.table import NOTHING
from ddoq_core.runs.run import Run


def part(step: str, ipc: int | None, flops: float, *seconds: float) -> MeasuredCost:
    return MeasuredCost(
        Cost(step=step, stage=TRAINING, title=step, ipc=ipc, times=len(seconds), flops=flops),
        Timing(step, "", ipc, seconds),
    )


MEASURED = MeasuredRun(
    Profile(),
    (
        part("encode", None, 2e9, 2.0),
        part("train", 1, 1e9, 5.0),
        part("train", 10, 8e9, 2.0, 4.0),
        part("rded", 1, 0, 1.0),
    ),
)


def test_the_speed_of_a_step_is_that_of_its_kind_with_most_operations():
    speed = largest_speed(MEASURED, "train")
    assert (speed.value, speed.n) == (pytest.approx(3e9), 2)
    assert largest_speed(MEASURED, "rded") is None and largest_speed(MEASURED, "prior") is None


def test_shares_of_the_seconds_are_in_percent_and_what_was_not_measured_is_a_dash():
    texts = measured_texts(MEASURED, Device("one", 1e-3, 1.0, speeds=(("train", 2e9),), artifact=0.5, workers=2))
    assert (texts["measured_n"], texts["measured_time"]) == ("5", "14 s")
    assert texts["measured_clock"] == "8.5 s"  # 3 s, and 11 s of students, two at a time
    assert texts["measured_told"] == "13 s" and texts["measured_factor"] == "1.1"  # 2 + 0.5 + 2 * 4 s, and 5 * 0.5 s
    assert (texts["measured_students_share"], texts["measured_prior_share"]) == ("79", "0")  # 11 of 14 seconds
    assert (texts["speed_train"], texts["speed_encode"]) == ("3 (n = 2)", "1 (n = 1)")
    assert texts["speed_prior"] == NOTHING


def test_shares_of_the_operations_are_those_of_the_result():
    found = run_cost(Profile(), Images.of(Profile()), TWO_CORES)
    texts = told_texts(found)
    for name, step in (("prior", "prior"), ("real", "teacher"), ("students", "train")):
        assert int(texts[f"share_{name}"]) == round(100 * found.share(step))


def test_the_hours_of_the_paper_imply_half_of_the_peak_for_synthesis_and_four_times_that_of_float32():
    texts = implied_texts(paper_steps())
    assert texts["implied_synthesis_10"] == "54"
    for step in paper_steps():
        assert step.implied_float32 == pytest.approx(4 * step.implied)


def test_a_run_that_is_not_finished_is_finished_first(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "results", lambda self: [{"a": "row"}])
    assert rows_of_run(Run(Profile.of({"artifacts": str(tmp_path)}))) == [{"a": "row"}]
