"""Estimates: intervals that cover, differences that are paired, and what a design can find is said."""

import numpy as np
import pytest
from scipy import stats

from ddoq_book.paired import paired_difference, verdict
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
    trials = 300
    covered = 0
    for trial in range(trials):
        rng = numpy_rng(0, "test", "coverage", n_distill, n_student, str(spread), trial)
        estimate = Records.of(simulated(rng, n_distill, n_student, spread)).accuracy(cell())
        covered += estimate.low <= 80 <= estimate.high
    assert 0.92 <= covered / trials <= 0.985  # 95 % nominal; the standard error of this share is 1.3 %


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
    assert verdict(gap) == "equal"


def test_a_paired_difference_is_narrower_than_what_the_two_intervals_suggest():
    rng = numpy_rng(0, "test", "paired")
    easy = rng.random(1000)
    rows = [row(easy < 0.85, "d4m"), row(easy < 0.87, "ddoq")]
    records = Records.of(rows)
    gap = records.difference(cell("ddoq"), cell("d4m"))
    apart = sum(e.high - e.low for e in (records.accuracy(cell("ddoq")), records.accuracy(cell("d4m"))))
    assert gap.mean == pytest.approx(100 * ((easy < 0.87).mean() - (easy < 0.85).mean()))
    assert gap.low > 0 and gap.high - gap.low < apart / 2


def test_a_comparison_tells_what_was_left_to_gain_on_its_baseline():
    easy = np.arange(1000)
    rows = [row(easy < 900, "d4m"), row(easy < 960, "ddoq")]
    alone = paired_difference(Records.of(rows), cell("ddoq"), cell("d4m"))
    assert alone.difference == Records.of(rows).difference(cell("ddoq"), cell("d4m"))
    assert (alone.accuracy, alone.headroom, alone.verdict) == (pytest.approx(90), None, "higher")
    records = Records.of([*rows, row(easy < 975, "full", None, labels="hard")])
    found = paired_difference(records, cell("ddoq"), cell("d4m"))
    assert (found.accuracy, found.headroom) == (pytest.approx(90), pytest.approx(7.5))


@pytest.mark.parametrize(
    ("ends", "form", "text"),
    [
        ((97.25, 96.0, 98.46), ".1f", "97.2 [96.0, 98.5]"),
        ((0.5, -0.25, 1.25), "+.2f", "+0.50 [-0.25, 1.25]"),
        ((-0.5, -1.0, -0.04), "+.1f", "-0.5 [-1.0, 0.0]"),
        ((0.04, -0.04, 0.1), "+.1f", "0.0 [0.0, 0.1]"),
        ((100.0, 99.96, 100.0), ".1f", "100.00 [99.96, 100.00]"),
        ((0.0, 0.0, 0.0), "+.1f", "0.0 [0.0, 0.0]"),
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


def test_a_verdict_says_on_which_side_of_0_the_interval_lies():
    images = np.arange(1000)
    hits = {"d4m": images < 900, "ddoq": images < 905, "full": images < 960, "other": images % 10 > 0}
    records = Records.of([row(h, method) for method, h in hits.items()])
    words = {m: verdict(records.difference(cell(m), cell("d4m"))) for m in hits}
    assert words == {"d4m": "equal", "ddoq": "higher", "full": "higher", "other": "not told apart"}
    assert verdict(records.difference(cell("d4m"), cell("full"))) == "lower"


# ---- students of one distillation alone


def nested(hits, first_seed: int = 100) -> list[dict]:
    """Rows of hits[distillation][student], no two of which share a seed."""
    of_each = len(hits[0])
    return [
        row(h, distill_seed=i, seed=first_seed + of_each * i + s)
        for i, some in enumerate(hits)
        for s, h in enumerate(some)
    ]


def test_students_of_one_distillation_alone_are_averaged_within_it():
    hits = numpy_rng(0, "test", "nested").random((4, 2, 100)) < 0.8
    records = Records.of(nested(hits))
    np.testing.assert_allclose(records.grid(cell()), hits.mean(1, keepdims=True))
    found = records.accuracy(cell())
    assert found.mean == pytest.approx(100 * hits.mean()) and found.n_runs == 8


def test_the_distillation_is_the_unit_of_students_of_its_own():
    """Distillations that alone differ, in pairs of equal students: the interval is that of their means."""
    hits = np.array([[np.arange(1000) < right] * 2 for right in (700, 720, 790)])
    records = Records.of(nested(hits) + [r | {"method": "d4m"} for r in nested(np.zeros_like(hits))])
    gap = records.difference(cell("ddoq"), cell("d4m"))
    images = stats.sem(hits.mean((0, 1)))  # the images that are right in some of them vary, too
    of_means = stats.sem([70, 72, 79])
    assert of_means < gap.error <= np.hypot(of_means, 100 * images)


def test_the_only_distillation_has_its_students_as_levels():
    hits = numpy_rng(0, "test", "only").random((1, 3, 100)) < 0.8
    np.testing.assert_allclose(Records.of(nested(hits)).grid(cell()), hits)


def test_seeds_that_only_some_distillations_share_are_refused():
    rows = [row([1, 0], distill_seed=i, seed=s) for i, s in ((0, 0), (0, 1), (1, 1), (1, 2))]
    with pytest.raises(InputError, match="lack or repeat a seed"):
        Records.of(rows).accuracy(cell())


@pytest.mark.parametrize("other", [[(0, 0), (1, 0)], [(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 2)]])
def test_a_difference_of_other_seeds_is_refused(other):
    rows = [row([1, 0], "ddoq", distill_seed=i, seed=s) for i, s in ((0, 0), (1, 1))]
    rows += [row([1, 0], "d4m", distill_seed=i, seed=s) for i, s in other]
    with pytest.raises(InputError, match="different seeds"):
        Records.of(rows).difference(cell("ddoq"), cell("d4m"))


# ---- accuracies near 0 and 100 %


@pytest.mark.parametrize("right", [1, 999])
def test_an_interval_near_an_end_of_the_scale_stays_within_it(right):
    found = Records.of([row(np.arange(1000) < right)]).accuracy(cell())
    p, error = right / 1000, stats.sem(np.arange(1000) < right)
    logits = np.log(p / (1 - p)) + np.array([-1, 1]) * stats.t.ppf(0.975, 999) * error / (p * (1 - p))
    assert (found.low, found.high) == pytest.approx(tuple(100 / (1 + np.exp(-logits))))
    assert 0 < found.low < found.mean < found.high < 100
    symmetric = 100 * (p + np.array([-1, 1]) * 1.96 * error)
    assert symmetric[0] < 0 or symmetric[1] > 100  # which that of the accuracy itself would not


@pytest.mark.parametrize("n", [20, 1000])
@pytest.mark.parametrize("share", [0, 1])
def test_none_or_every_image_right_has_the_exact_interval(n, share):
    found = Records.of([row([share] * n, distill_seed=i) for i in range(3)]).accuracy(cell())
    exact = stats.binomtest(share * n, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((100 * exact.low, 100 * exact.high))


# ---- what a design finds


def trials_of(shape, error: float, mean: float, n: int, *key) -> list[Estimate]:
    """Estimates of a mean in points, of distillations or images that alone vary, at this standard error of the mean."""
    rng, axis = numpy_rng(0, "test", "trials", *key), int(np.argmax(shape))
    draws = mean + error * np.sqrt(max(shape)) * rng.standard_normal((n, max(shape)))
    sizes = [(-1 if i == axis else 1) for i in range(3)]
    return [Estimate.of(draw.reshape(sizes) / 100, 1) for draw in draws]


@pytest.mark.parametrize(("shape", "level"), [((12, 1, 1), 0.95), ((12, 1, 1), 0.99), ((1, 1, 500), 0.95)])
def test_a_true_difference_of_the_detectable_size_is_found_in_about_80_percent_of_trials(shape, level):
    design = Estimate(0, 0, 0, 1, 1, error=0.4, degrees=max(shape) - 1, level=level)
    quantile = stats.t(max(shape) - 1).ppf
    assert design.detectable == pytest.approx(0.4 * (quantile((1 + level) / 2) + quantile(0.8)))
    found = trials_of(shape, 0.4, design.detectable, 2000, *shape)
    lows = [e.mean - e.error * quantile((1 + level) / 2) for e in found]
    assert np.mean(np.array(lows) > 0) == pytest.approx(0.8, abs=0.04)


def test_the_detectable_size_of_an_estimate_is_that_of_its_own_error_and_level():
    (found,) = trials_of((12, 1, 1), 0.4, 1.0, 1, "own")
    half = (found.high - found.low) / 2
    assert found.detectable == pytest.approx(half + found.error * stats.t.ppf(0.8, 11))


def test_equivalence_is_claimed_falsely_in_at_most_5_percent_of_trials_and_rightly_in_most():
    margin, n = 0.5, 2000
    for truth in (margin, -margin):
        on_it = trials_of((12, 1, 1), 0.1, truth, n, "margin", str(truth))
        assert np.mean([e.within(margin) for e in on_it]) == pytest.approx(0.05, abs=0.015)
    none = trials_of((12, 1, 1), 0.1, 0.0, n, "none")
    assert np.mean([e.within(margin) for e in none]) > 0.95
    vague = trials_of((12, 1, 1), 0.6, 0.0, n, "vague")
    assert np.mean([e.within(margin) for e in vague]) < 0.05


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
