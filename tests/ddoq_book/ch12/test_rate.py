"""What the chapter on the rate computes and shows itself: the circle, the band of Zador's constant, its tables."""

import math

import numpy as np
import pytest

from ddoq_book.ch12 import rate
from ddoq_book.ch12.measured_rates import SAMPLED_LAWS, EmpiricalGaps, LloydRate, heavy_tail, line_rates


@pytest.fixture(scope="module")
def found():
    levels = (10, 20, 40)
    exact = [law.limit * np.array(levels, float) ** (-2 / law.d) for law in SAMPLED_LAWS]
    return [LloydRate(law, levels, np.stack([G, 1.01 * G])) for law, G in zip(SAMPLED_LAWS, exact, strict=True)]


def test_a_circle_is_of_dimension_one():
    few, many = rate.circle_rates([4, 16])
    # four points at distance r = (2 sqrt 2) / pi from the centre: G = 1 - r^2 = 1 - 8 / pi^2
    assert few.arcs == pytest.approx(16 * (1 - 8 / math.pi**2))
    assert many.lloyd == pytest.approx(many.arcs, rel=0.02)
    assert few.arcs < many.arcs < math.pi**2 / 3 == pytest.approx(rate.circle_rates([1000])[0].arcs, rel=1e-5)


def test_the_bounds_on_zadors_constant_meet_and_hold_the_best_known():
    *low, high = rate.zador_bands([1, 2, 3, 16384])
    assert all(band.ball <= band.known < band.random_coding for band in low)
    assert high.known is None and high.random_coding / high.ball == pytest.approx(1, abs=2e-4)
    assert high.ball / high.d == pytest.approx(1 / (2 * math.pi * math.e), abs=5e-5)


def test_the_tables_hold_the_numbers_of_their_results(found):
    lines, tail = line_rates([1, 10]), heavy_tail([5], [2.0, 4.0])
    assert rate.line_table(lines).column("K² G") == [G for line in lines for G in (*line.scaled, line.beyond)]
    assert rate.heavy_table(tail).rows == [(5, *tail.scaled[:, 0]), ("∞ (Zador)", *tail.limits)]
    slopes, local = rate.slopes_table(found), rate.local_table(found)
    assert [mean.value for mean in slopes.column("slope, K = 20 to 40")] == pytest.approx(slopes.column("−1/d"))
    assert [mean.value for mean in local.column("extrapolated")] == pytest.approx([1.005] * 4)


def test_figures_are_drawn(found):
    sizes = (10, 100)
    gaps = EmpiricalGaps(sizes, np.full((2, 3), 0.1), np.full((2, 3), 0.5))
    for figure in (rate.slopes_figure(found), rate.gaps_figure(gaps), rate.dimensions_figure((2, 10), 1000)):
        figure.draw_without_rendering()
        assert all(axes.has_data() for axes in figure.axes)
