"""Estimates: intervals that cover, differences that are paired, and a resolution that is said."""

import numpy as np
import pytest

from ddoq_book.paired import paired_difference, resolution, verdict
from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.records import Cell, Estimate, Records, unpack_hits

from ..rows import row


def cell(method="ddoq", ipc=10) -> Cell:
    return Cell(method, ipc, "convnet-32", "soft")


def simulated(rng, n_distill: int, n_student: int, spread: float, n_test: int = 200) -> list[dict]:
    """Students whose accuracy is 0.8 + a normal of each distillation + one of each student seed, if several."""
    distill = spread * rng.standard_normal(n_distill)
    student = spread * rng.standard_normal(n_student) * (n_student > 1)
    return [
        row(rng.random(n_test) < 0.8 + distill[i] + student[s], distill_seed=i, seed=s)
        for i in range(n_distill)
        for s in range(n_student)
    ]


def test_a_student_of_its_own_for_each_distillation_counts_as_part_of_it():
    hits = numpy_rng(0, "test", "own").random((3, 400)) < [[0.86], [0.9], [0.94]]
    own = Records.of([row(h, distill_seed=i, seed=i) for i, h in enumerate(hits)]).accuracy(cell())
    shared = Records.of([row(h, distill_seed=i, seed=0) for i, h in enumerate(hits)]).accuracy(cell())
    assert own == shared and own.n_runs == 3


@pytest.mark.parametrize(("n_distill", "n_student", "spread"), [(1, 1, 0.0), (3, 1, 0.01), (3, 1, 0.05), (3, 3, 0.03)])
def test_the_interval_covers_the_true_accuracy_of_a_simulation(n_distill, n_student, spread):
    trials = 100
    covered = 0
    for trial in range(trials):
        rng = numpy_rng(0, "test", "coverage", n_distill, n_student, str(spread), trial)
        estimate = Records.of(simulated(rng, n_distill, n_student, spread)).accuracy(cell())
        covered += estimate.low <= 80 <= estimate.high
    assert covered / trials >= 0.90  # 95 % nominal; the standard error of this share is 2.2 %


def test_the_interval_of_one_student_has_the_width_of_a_binomial():
    rng = numpy_rng(0, "test", "width")
    estimate = Records.of([row(rng.random(1000) < 0.9)]).accuracy(cell())
    p = estimate.mean / 100
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 100 * np.sqrt(p * (1 - p) / 1000), rel=0.08)


def test_the_mean_is_the_share_of_hits():
    records = Records.of([row([1, 1, 1, 0], distill_seed=0), row([1, 1, 0, 0], distill_seed=1)])
    estimate = records.accuracy(cell())
    assert estimate.mean == pytest.approx(62.5)
    assert (estimate.n_runs, estimate.n_test) == (2, 4)


def test_seeds_widen_the_interval():
    rng = numpy_rng(0, "test", "widen")
    images = rng.random(1000)
    same = Records.of([row(images < 0.9, distill_seed=i) for i in range(3)]).accuracy(cell())
    different = Records.of([row(images < p, distill_seed=i) for i, p in enumerate((0.86, 0.9, 0.94))]).accuracy(cell())
    assert different.high - different.low > 2 * (same.high - same.low)


def test_the_difference_of_equal_rows_is_zero_with_zero_width():
    rng = numpy_rng(0, "test", "equal")
    hits = [rng.random(500) < 0.9 for _ in range(3)]
    rows = [row(h, method, distill_seed=i) for method in ("d4m", "ddoq") for i, h in enumerate(hits)]
    gap = Records.of(rows).difference(cell("ddoq"), cell("d4m"))
    assert (gap.mean, gap.low, gap.high) == (0, 0, 0)
    assert verdict(gap, 90) == "equal"


def test_a_paired_difference_is_narrower_than_what_the_two_intervals_suggest():
    rng = numpy_rng(0, "test", "paired")
    easy = rng.random(1000)
    rows = [row(easy < 0.85, "d4m"), row(easy < 0.87, "ddoq")]
    records = Records.of(rows)
    gap = records.difference(cell("ddoq"), cell("d4m"))
    apart = sum(e.high - e.low for e in (records.accuracy(cell("ddoq")), records.accuracy(cell("d4m"))))
    assert gap.mean == pytest.approx(100 * ((easy < 0.87).mean() - (easy < 0.85).mean()))
    assert gap.low > 0 and gap.high - gap.low < apart / 2


def test_a_comparison_is_judged_at_the_accuracy_of_its_baseline():
    easy = np.arange(1000)
    records = Records.of([row(easy < 900, "d4m"), row(easy < 960, "ddoq")])
    found = paired_difference(records, cell("ddoq"), cell("d4m"))
    assert found.difference == records.difference(cell("ddoq"), cell("d4m")) and found.accuracy == pytest.approx(90)
    assert (found.resolved, found.verdict) == (pytest.approx(resolution(90, 1000)), "higher")


@pytest.mark.parametrize(
    ("ends", "form", "text"),
    [
        ((97.25, 96.0, 98.46), ".1f", "97.2 [96.0, 98.5]"),
        ((0.5, -0.25, 1.25), "+.2f", "+0.50 [-0.25, 1.25]"),
        ((-0.5, -1.0, -0.04), "+.1f", "-0.5 [-1.0, 0.0]"),
        ((0.04, -0.04, 0.1), "+.1f", "0.0 [0.0, 0.1]"),
    ],
)
def test_an_estimate_is_written_with_its_interval_and_only_its_mean_is_signed(ends, form, text):
    assert f"{Estimate(*ends, 3, 1000):{form}}" == text


def test_the_order_of_the_rows_does_not_matter():
    rows = simulated(numpy_rng(0, "test", "order"), 3, 2, 0.03)
    assert Records.of(rows).accuracy(cell()) == Records.of(rows[::-1]).accuracy(cell())


def test_estimates_are_the_same_every_time():
    rows = simulated(numpy_rng(0, "test", "again"), 3, 1, 0.03)
    assert Records.of(rows).accuracy(cell()) == Records.of(rows).accuracy(cell())


def test_no_accuracy_is_above_100_percent():
    estimate = Records.of([row(np.arange(200) > 0)]).accuracy(cell())
    assert estimate.high <= 100


def test_bits_come_back_as_they_were_packed():
    hits = numpy_rng(0, "test", "bits").random(1001) < 0.5
    assert (unpack_hits(row(hits)["hits"], 1001) == hits).all()


def test_rows_of_two_test_sets_are_refused():
    with pytest.raises(InputError, match="test sets"):
        Records.of([row([1, 0]), row([1, 0, 1], distill_seed=1)]).accuracy(cell())


def test_a_missing_seed_is_refused():
    rows = [row([1, 0], distill_seed=i, seed=s) for i, s in ((0, 0), (0, 1), (1, 0))]
    with pytest.raises(InputError, match="lack or repeat a seed"):
        Records.of(rows).accuracy(cell())


def test_a_thousand_images_resolve_about_half_a_point_at_97_percent():
    assert resolution(97, 1000) == pytest.approx(0.54, abs=0.005)


def test_a_difference_smaller_than_the_resolution_is_called_so():
    images = np.arange(1000)
    rows = [
        row(images < 900, "d4m"),
        row(images < 905, "ddoq"),
        row(images < 960, "full"),
        row(images % 10 > 0, "other"),
    ]
    records = Records.of(rows)
    words = {m: verdict(records.difference(cell(m), cell("d4m")), 90) for m in ("ddoq", "full", "other")}
    assert words == {"ddoq": "below the resolution", "full": "higher", "other": "not told apart"}
    assert verdict(records.difference(cell("d4m"), cell("full")), 96) == "lower"


def test_masses_of_the_test_images_weigh_their_hits():
    hits = np.array([True] * 30 + [False] * 70)
    masses = np.array([2.0] * 30 + [1.0] * 70)
    records = Records.of([row(hits, seed=s, distill_seed=s) for s in range(2)], masses=masses)
    found = records.accuracy(Cell("ddoq", 10, "convnet-32", "soft"))
    assert found.mean == pytest.approx(100 * 60 / 130)
    assert found.low < found.mean < found.high


def test_equal_masses_change_nothing():
    hits = np.arange(100) % 3 == 0
    rows = [row(hits, seed=s, distill_seed=s) for s in range(2)]
    cell = Cell("ddoq", 10, "convnet-32", "soft")
    plain, weighed = Records.of(rows).accuracy(cell), Records.of(rows, masses=np.full(100, 7.0)).accuracy(cell)
    assert (plain.mean, plain.low, plain.high) == pytest.approx((weighed.mean, weighed.low, weighed.high), rel=1e-5)
