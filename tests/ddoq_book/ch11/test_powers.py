"""Other powers than the square: masses that stay unequal, costs that become equal."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from ddoq_book.ch11.powers import power_quantizer, powers_table
from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer


def test_the_square_has_the_exact_quantizer():
    found, exact = power_quantizer(20, 2), exact_quantizer(norm(), 20)
    np.testing.assert_allclose(found.points, exact.points, atol=1e-9)
    np.testing.assert_allclose(found.masses, exact.weights, atol=1e-12)
    assert found.costs.sum() == pytest.approx(exact.distortion, rel=1e-9)


def test_without_the_square_points_are_the_medians_of_their_cells_and_masses_are_not_equal():
    found = power_quantizer(20, 1)
    edges = norm.cdf([-math.inf, *(found.points[1:] + found.points[:-1]) / 2, math.inf])
    np.testing.assert_allclose(norm.cdf(found.points), (edges[1:] + edges[:-1]) / 2, atol=1e-10)
    assert 20 * found.masses.min() < 0.4 and 20 * found.masses.max() > 1.3


@pytest.mark.parametrize("r", [1, 2, 4])
def test_masses_follow_p_to_the_r_over_1_plus_r_and_costs_become_equal(r):
    found = power_quantizer(100, r)
    inner = slice(20, 80)
    expected = norm.pdf(found.points) ** (r / (1 + r))
    ratios = found.masses[inner] / expected[inner]
    assert ratios.max() / ratios.min() < 1.02
    wrong = found.masses[inner] / norm.pdf(found.points[inner]) ** (0.9 * r / (1 + r))
    assert wrong.max() / wrong.min() > 1.02  # an exponent 10 % off is seen
    costs = 100 * found.costs[inner] / found.costs.sum()
    assert costs.max() < 1.07 and costs.min() > 0.95
    assert 100 * found.masses.max() == pytest.approx(math.sqrt(1 + r), rel=0.03)


def test_the_table_has_a_row_for_each_power_and_powers_below_1_are_refused():
    assert len(powers_table([power_quantizer(5, 1), power_quantizer(5, 2)]).rows) == 2
    with pytest.raises(InputError, match=r"r = 0\.5"):
        power_quantizer(5, 0.5)
