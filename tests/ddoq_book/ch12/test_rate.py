"""The chapter on the rate: limits that are reached, slopes that are seen, bounds that hold."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from ddoq_book.ch12 import rate


def cells(table):
    return {(name, row[0]): row[1:] for name, rows in table.blocks for row in rows}


def test_constants_on_a_line():
    found = cells(rate.line_table([1, 10, 1000]))
    normal = {K: row for (name, K), row in found.items() if name.startswith("N(0, 1)")}
    assert [float(normal[K][2]) for K in ("1", "10", "1,000")] == pytest.approx([0.8557, 1.2960, 1.4100], abs=2e-4)
    exponential = {K: row for (name, K), row in found.items() if name.startswith("Exp")}
    assert [float(exponential[K][2]) for K in ("1", "10", "1,000")] == pytest.approx([0.7692, 1.0929, 1.1531], abs=2e-4)
    assert all(0.99 < float(row[1]) <= 1 for (_, K), row in found.items() if K == "1,000")


@pytest.mark.parametrize("cloud", rate.CLOUDS, ids=lambda cloud: cloud.name)
def test_slopes_and_constants_of_lloyd(cloud):
    levels = (16, 64, 128)
    G = rate.lloyd_distortions(cloud, levels, 40_000, range(2))
    assert rate.slopes(levels, G).mean() == pytest.approx(-1 / cloud.d, rel=0.1)
    assert levels[-1] ** (2 / cloud.d) * G[:, -1].mean() / cloud.limit == pytest.approx(1, abs=0.1)


def test_a_circle_is_of_dimension_one():
    rows = {name: row for name, (row,) in rate.circle_table([4, 16]).blocks}
    assert [float(rows[K][0]) for K in ("4", "16")] == pytest.approx([3.0309, 3.2730], abs=6e-5)
    assert float(rows["16"][1]) == pytest.approx(float(rows["16"][0]), rel=0.02)


def test_the_gap_of_theorem_3_is_below_its_bound_and_falls_like_1_over_n():
    gaps = rate.empirical_gaps(2, (100, 1000), 150, 0)
    assert (gaps.gaps >= 0).all() and (gaps.gaps < gaps.bounds).all()
    scaled = 1000 * gaps.gaps[1]
    assert scaled.mean() == pytest.approx(2 - 2 / math.pi, abs=4 * scaled.std() / 150**0.5)
    assert np.log(gaps.bounds[0].mean() / gaps.bounds[1].mean()) / np.log(10) == pytest.approx(0.5, abs=0.1)


def test_two_moments_are_not_enough():
    """Cut off at e^y, K^2 G tends to (1/12)(int p^(1/3))^3, which grows like y."""
    blocks = dict(rate.heavy_table([20, 500], [2.0, 4.0, 8.0]).blocks)
    (few,), (many,), (limit,) = ([tuple(map(float, row)) for row in blocks[key]] for key in ("20", "500", "∞ (Zador)"))
    assert many == pytest.approx(limit, rel=0.01)
    assert all(a <= b * 1.01 for a, b in zip(few, limit, strict=True))
    total = quad(lambda y: math.exp(-2 * y) / y**2, 1, math.inf)[0]
    assert limit == pytest.approx([(3 * (y ** (1 / 3) - 1)) ** 3 / total / 12 for y in (2, 4, 8)], abs=0.006)


def test_extrapolation_lands_on_zadors_limit():
    for _, rows in rate.line_table([200, 1000]).blocks:
        assert float(rows[-1][2]) == pytest.approx(1, abs=2e-4)


def test_the_bounds_on_zadors_constant_meet_and_hold_the_best_known():
    rows = {name: cells[0] for name, cells in rate.band_table([1, 2, 3, 16384]).blocks}
    for d in "123":
        low, known, high = map(float, rows[d][:3])
        assert low <= known < high
    assert float(rows["16,384"][3]) == pytest.approx(1, abs=2e-4)
    assert float(rows["16,384"][0]) == pytest.approx(1 / (2 * math.pi * math.e), abs=5e-5)


def test_local_slopes_and_the_extrapolation_of_an_exact_power_law():
    cloud, levels = rate.CLOUDS[0], [10, 20, 40]
    exact = cloud.limit * np.array(levels, float) ** (-2 / cloud.d)
    ((_, (cells,)),) = rate.local_table(levels, {cloud: np.stack([exact, exact * (1 + 1e-9)])}).blocks
    assert cells[0].startswith("−0.500") and cells[1].startswith("−0.500") and cells[2].startswith("1.000")
