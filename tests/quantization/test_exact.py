"""Optimal quantizers of N(0, 1), and Proposition 6 against finite differences."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import exact_quantizer, finite_differences, normal_distortion, normal_gradient
from ddoq_core.quantization.exact import ZADOR_NORMAL

LEVELS = list(range(1, 51))


@pytest.fixture(scope="module")
def table():
    return {K: exact_quantizer(K) for K in LEVELS}


def test_every_table_entry_is_stationary_to_1e_12(table):
    assert max(q.gradient for q in table.values()) < 1e-12


def test_two_points_stand_at_plus_and_minus_the_mean_of_the_half_normal(table):
    assert table[2].points == pytest.approx([-np.sqrt(2 / np.pi), np.sqrt(2 / np.pi)], abs=1e-12)
    assert table[2].distortion == pytest.approx(1 - 2 / np.pi, abs=1e-12)


def test_the_table_is_the_published_one(table):
    # Lloyd (1982) and Max (1960), Table I
    assert table[5].points == pytest.approx([-1.724, -0.7646, 0, 0.7646, 1.724], abs=5e-4)
    assert table[8].distortion == pytest.approx(0.03454, abs=1e-5)
    assert table[10].distortion == pytest.approx(0.022937, abs=1e-6)


def test_distortion_and_weights_are_integrals_over_the_cells(table):
    x = table[4].points
    edges = [-12, *(x[1:] + x[:-1]) / 2, 12]
    cells = list(zip(x, edges[:-1], edges[1:], strict=True))
    integral = sum(quad(lambda t, p=p: (t - p) ** 2 * norm.pdf(t), a, b, epsabs=1e-13)[0] for p, a, b in cells)
    assert table[4].distortion == pytest.approx(integral, abs=1e-11)
    assert table[4].weights == pytest.approx([norm.cdf(b) - norm.cdf(a) for _, a, b in cells], abs=1e-12)


def test_points_are_symmetric_and_increasing_and_weights_sum_to_1(table):
    for q in table.values():
        np.testing.assert_array_equal(q.points, -q.points[::-1])
        assert (np.diff(q.points) > 0).all()
        assert q.weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_stationary_grid_splits_the_variance(table):
    for q in table.values():
        assert np.sum(q.weights * q.points**2) + q.distortion == pytest.approx(1, abs=1e-11)


def test_no_other_grid_does_better(table):
    rng = numpy_rng(0, "test", "grids")
    for K in (2, 5, 10):
        others = [np.sort(table[K].points + 0.3 * rng.standard_normal(K)) for _ in range(200)]
        assert min(normal_distortion(x) for x in others) > table[K].distortion


def test_k_squared_times_the_distortion_climbs_to_zadors_constant(table):
    scaled = np.array([K**2 * table[K].distortion for K in LEVELS])
    assert (np.diff(scaled) > 0).all()
    assert scaled[-1] < ZADOR_NORMAL
    assert 200**2 * exact_quantizer(200).distortion == pytest.approx(ZADOR_NORMAL, rel=0.011)


def test_the_gradient_of_proposition_6_is_what_finite_differences_measure():
    rng = numpy_rng(0, "test", "gradient")
    for K in (1, 2, 5, 9):
        x = np.sort(2 * rng.standard_normal(K))
        np.testing.assert_allclose(finite_differences(x), normal_gradient(x), atol=1e-9)


def test_a_level_below_one_is_refused():
    with pytest.raises(InputError, match="K = 0"):
        exact_quantizer(0)
