"""The mean of a crossed design: mean squares by hand, and intervals that cover as often as they say, and no more."""

import functools
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ddoq_book.recorded import rows_of
from ddoq_core.randomness import numpy_rng
from ddoq_core.results import crossed
from ddoq_core.results.crossed import grand_mean
from ddoq_core.results.records import Cell, Records

AXES = range(3)  # distillations, students, images
EFFECTS = [f for size in (1, 2, 3) for f in itertools.combinations(AXES, size)]
NAMES = {(0,): "distillations", (1,): "students", (2,): "images", (0, 1): "distillations by students"}
F_QUANTILE = functools.cache(stats.f.ppf)  # a simulation asks for few of them, often
NAMES |= {(0, 2): "distillations by images", (1, 2): "students by images", (0, 1, 2): "all three"}


def levels(shape, effect) -> int:
    return math.prod(shape[axis] for axis in effect)


def true_error(shape, parts: dict) -> float:
    """Standard error of the mean of a design whose effects have these variances."""
    return math.sqrt(sum(variance / levels(shape, effect) for effect, variance in parts.items()))


class Drawn:
    """Means and mean squares of normal designs, drawn from their laws: independent, chi-squared and normal."""

    def __init__(self, shape, parts: dict, *key):
        self.shape, self.rng, self.error = shape, numpy_rng(0, "test", "crossed", *key), true_error(shape, parts)
        several = {axis for axis in range(3) if shape[axis] > 1}
        size, self.expected = math.prod(shape), {}
        for effect in (f for f in EFFECTS if set(f) <= several):
            within = {f: v * size / levels(shape, f) for f, v in parts.items() if set(effect) <= set(f) & several}
            self.expected[effect] = sum(within.values()), math.prod(shape[axis] - 1 for axis in effect)

    def mean_squares(self, y) -> dict:
        return {f: (ms * self.rng.chisquare(df) / df, df) for f, (ms, df) in self.expected.items()}

    def intervals(self, monkeypatch, trials: int) -> tuple[float, np.ndarray]:
        """Share of the 95 % intervals that hold the expectation 0, and halves of their lengths."""
        monkeypatch.setattr(crossed, "_mean_squares", self.mean_squares)
        monkeypatch.setattr(crossed.stats.f, "ppf", F_QUANTILE)
        found = [grand_mean(np.broadcast_to(self.error * self.rng.normal(), self.shape)) for _ in range(trials)]
        values, errors, degrees = np.array([(one.value, one.error, one.degrees) for one in found]).T
        halves = errors * stats.t.ppf(0.975, degrees)
        return float((np.abs(values) <= halves).mean()), halves


def normal_design(rng, shape, parts: dict) -> np.ndarray:
    """One design with normal effects of these variances."""
    sizes = {effect: [n if axis in effect else 1 for axis, n in enumerate(shape)] for effect in parts}
    return sum(np.sqrt(v) * rng.standard_normal(sizes[f]) for f, v in parts.items()) + np.zeros(shape)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 1, 5), (1, 4, 5), (1, 1, 5), (3, 4, 1)])
def test_mean_squares_are_those_of_the_textbook(shape):
    y = numpy_rng(0, "test", "mean squares").standard_normal(shape)
    (D, S, X), m = shape, y.mean()
    d, s, x = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1))
    ds, dx, sx = y.mean(2), y.mean(1), y.mean(0)
    three = (
        y - ds[:, :, None] - dx[:, None] - sx[None]
        + d[:, None, None] + s[None, :, None] + x[None, None] - m
    )  # fmt: skip
    sums = {
        (0,): S * X * ((d - m) ** 2).sum(),
        (1,): D * X * ((s - m) ** 2).sum(),
        (2,): D * S * ((x - m) ** 2).sum(),
        (0, 1): X * ((ds - d[:, None] - s + m) ** 2).sum(),
        (0, 2): S * ((dx - d[:, None] - x + m) ** 2).sum(),
        (1, 2): D * ((sx - s[:, None] - x + m) ** 2).sum(),
        (0, 1, 2): (three**2).sum(),
    }
    found = crossed._mean_squares(y)
    assert set(found) == {f for f in EFFECTS if all(shape[axis] > 1 for axis in f)}
    for effect, (mean_square, df) in found.items():
        assert df == math.prod(shape[axis] - 1 for axis in effect)
        assert mean_square == pytest.approx(sums[effect] / df)


@pytest.mark.parametrize(
    ("of_seeds", "degrees", "variance"),
    [
        ((9.0, 8.0, 1.0), None, 9 + 8 - 1),  # both factors of the seeds are found
        ((9.0, 0.5, 1.0), 2, 9),  # the distillations alone
        ((0.5, 9.0, 1.0), 2, 9),  # the students alone
        ((1.0, 1.5, 1.0), 8, (2 * 1.0 + 2 * 1.5 + 4 * 1.0) / 8),  # neither: one pool
    ],
)
def test_factors_of_the_seeds_without_effect_are_pooled(monkeypatch, of_seeds, degrees, variance):
    d, s, ds = of_seeds
    squares = {(0,): (d, 2), (1,): (s, 2), (0, 1): (ds, 4)} | {f: (0.0, 9) for f in EFFECTS if 2 in f}
    monkeypatch.setattr(crossed, "_mean_squares", lambda y: squares)
    found = grand_mean(np.ones((3, 3, 10)))
    assert found.error == pytest.approx(math.sqrt(variance / 90))
    expected = degrees or variance**2 / (d**2 / 2 + s**2 / 2 + ds**2 / 4)
    assert found.degrees == pytest.approx(expected)


def test_the_images_add_the_signed_sum_of_their_mean_squares_but_never_less_than_nothing(monkeypatch):
    squares = {(0,): (0.0, 2), (1,): (0.0, 2), (0, 1): (0.0, 4)}
    for three, variance in ((0.5, 6 - 2 - 1 + 0.5), (-9.0, 0.0)):
        images = {(2,): (6.0, 9), (0, 2): (2.0, 18), (1, 2): (1.0, 18), (0, 1, 2): (three, 36)}
        monkeypatch.setattr(crossed, "_mean_squares", lambda y, images=images: squares | images)
        found = grand_mean(np.ones((3, 3, 10)))
        assert found.error == pytest.approx(math.sqrt(variance / 90))
        assert found.degrees == (pytest.approx(9) if variance else math.inf)


def test_the_estimated_variance_is_that_of_the_mean_on_average():
    shape, parts = (3, 1, 4), {f: 1.0 + len(f) for f in EFFECTS if 1 not in f}
    rng = numpy_rng(0, "test", "unbiased")
    found = [grand_mean(normal_design(rng, shape, parts)) for _ in range(2000)]
    assert np.var([one.value for one in found]) == pytest.approx(true_error(shape, parts) ** 2, rel=0.1)
    # cutting off at nothing lifts the mean a little
    ratio = np.mean([one.error**2 for one in found]) / true_error(shape, parts) ** 2
    assert 0.95 < ratio < 1.15


def test_distillations_that_alone_differ_have_the_interval_of_student_of_their_means():
    d = np.array([0.1, 0.5, 0.2, 0.9])
    expected = stats.t.interval(0.95, 3, d.mean(), stats.sem(d))
    for shape in ((4, 1, 50), (4, 3, 50)):
        found = grand_mean(np.broadcast_to(d[:, None, None], shape))
        half = found.half(0.95)
        assert (found.value - half, found.value + half) == pytest.approx(expected)
        assert found.degrees == pytest.approx(3)


def test_a_single_student_has_the_interval_of_its_images():
    x = numpy_rng(0, "test", "images").random(30)
    found = grand_mean(x[None, None])
    assert (found.error, found.degrees) == pytest.approx((stats.sem(x), 29))


def test_equal_entries_have_no_error():
    found = grand_mean(np.full((3, 3, 7), 0.25))
    assert (found.value, found.error, found.half(0.95)) == (0.25, 0.0, 0.0)


CROSSED = [((3, 3, 150), effect) for effect in EFFECTS]
NESTED = [((12, 1, 150), effect) for effect in ((0,), (2,), (0, 2))]


@pytest.mark.parametrize(("shape", "effect"), CROSSED + NESTED, ids=lambda value: NAMES.get(value, str(value)))
def test_95_percent_intervals_cover_93_to_97_percent_whatever_varies(shape, effect, monkeypatch):
    trials = 5000
    share, _ = Drawn(shape, {effect: 1.0}, *shape, NAMES[effect]).intervals(monkeypatch, trials)
    error = math.sqrt(0.05 * 0.95 / trials)
    assert 0.93 - 2 * error <= share <= 0.97 + 2 * error


def test_the_laws_of_the_mean_squares_give_the_coverage_of_whole_designs(monkeypatch):
    shape, parts = (3, 3, 20), {(0,): 0.02, (2,): 1.0, (0, 1, 2): 1.0}
    rng, trials = numpy_rng(0, "test", "whole"), 2000
    found = [grand_mean(normal_design(rng, shape, parts)) for _ in range(trials)]
    whole = np.mean([abs(one.value) <= one.half(0.95) for one in found])
    drawn, _ = Drawn(shape, parts, "whole").intervals(monkeypatch, trials)
    assert abs(whole - drawn) <= 3 * math.sqrt(2 * 0.05 * 0.95 / trials)


def test_an_interaction_of_all_three_is_counted_once(monkeypatch):
    shape, parts = (3, 3, 100), {(0, 1, 2): 1.0}
    error = true_error(shape, parts)
    _, halves = Drawn(shape, parts, "once").intervals(monkeypatch, 2000)
    assert np.median(halves) < 1.3 * stats.t.ppf(0.975, 8) * error
    rng = numpy_rng(0, "test", "bootstrap")  # of the levels of each factor alone: it counts it several times
    y = normal_design(rng, shape, parts)
    resampled = [y[np.ix_(*(rng.integers(n, size=n) for n in shape))].mean() for _ in range(1000)]
    assert np.std(resampled) > 1.7 * error


def components(y: np.ndarray) -> dict:
    """Variances of the effects, by their mean squares; none below 0."""
    squares, parts = {f: ms for f, (ms, _) in crossed._mean_squares(y).items()}, {}
    for f in squares:
        signed = sum((-1) ** (len(g) - len(f)) * ms for g, ms in squares.items() if set(f) <= set(g))
        parts[f] = max(signed * levels(y.shape, f) / y.size, 0.0)
    return parts


def test_the_variances_of_a_design_are_found_again():
    parts = {f: 1.0 + k for k, f in enumerate(EFFECTS)}
    rng = numpy_rng(0, "test", "components")
    found = [components(normal_design(rng, (12, 11, 10), parts)) for _ in range(100)]
    for f, variance in parts.items():
        assert np.mean([one[f] for one in found]) == pytest.approx(variance, rel=0.25)


def recorded_differences() -> dict[str, np.ndarray]:
    """Paired differences of the long runs, 3 x 3 seeds: DDOQ and D4M, and every method and random real images."""
    found = {}
    for file in ("mnist5k-*.jsonl", "fashion_mnist-*.jsonl"):
        records = Records.of(rows_of("table", file))
        for cell in records.cells:
            other = {"ddoq": ("d4m", "random_real"), "random_real": (), "full": ()}.get(cell.method, ("random_real",))
            for method in other:
                baseline = Cell(method, cell.ipc, cell.student, cell.labels)
                if baseline in records.cells:
                    found[f"{file} {cell} {method}"] = records.grid(cell) - records.grid(baseline)
    return found


def test_with_the_variances_of_the_records_95_percent_intervals_cover_93_to_97_percent(monkeypatch):
    trials, shares = 200, []
    differences = {name: y for name, y in recorded_differences().items() if y.any()}
    assert len(differences) > 50 and {y.shape[:2] for y in differences.values()} == {(3, 3)}
    designs = [Drawn((*y.shape[:2], 200), components(y), name) for name, y in differences.items()]
    for design in designs:
        shares.append(design.intervals(monkeypatch, trials)[0])
    assert 0.93 <= np.mean(shares) <= 0.97
    assert min(shares) > 0.88
