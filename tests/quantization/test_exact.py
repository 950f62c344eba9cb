"""Exact quantizers of laws on a line: published values, optimality, and Proposition 6 against finite differences."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import expon, gamma, laplace, lognorm, norm, t, uniform

from ddoq_core.errors import InputError
from ddoq_core.quantization import (
    exact_centroids,
    exact_distortion,
    exact_gradient,
    exact_quantizer,
    finite_differences,
    uniform_quantizer,
)
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.zador import zador_limit

LEVELS = list(range(1, 51))
NORMAL, LAPLACE, EXPONENTIAL = norm(), laplace(), expon()
DISTORTIONS = {  # worked out by Newton's method, to the digits given
    1: 1.0, 2: 0.36338023, 3: 0.19017404, 4: 0.11748185, 5: 0.07994113,
    6: 0.05797765, 7: 0.04400038, 8: 0.03454776, 9: 0.02785326, 10: 0.02293705,
}  # fmt: skip
HALVES = {  # points >= 0 of N(0, 1), and their weights
    4: ([0.452780, 1.510418], [0.336851, 0.163149]),
    7: ([0, 0.560577, 1.188147, 2.033369], [0.220744, 0.198668, 0.137344, 0.053616]),
    10: ([0.199623, 0.609858, 1.057825, 1.591340, 2.345096], [0.157166, 0.140649, 0.109530, 0.068133, 0.024521]),
}


@pytest.fixture(scope="module")
def table():
    return {K: exact_quantizer(NORMAL, K) for K in LEVELS}


def test_every_table_entry_is_stationary_to_1e_12(table):
    assert max(np.abs(exact_gradient(NORMAL, q.points)).max() for q in table.values()) < 1e-12
    assert all(q.optimal for q in table.values())


def test_the_table_is_the_known_one(table):
    assert [table[K].distortion for K in DISTORTIONS] == pytest.approx(list(DISTORTIONS.values()), abs=6e-9)
    for K, (points, weights) in HALVES.items():
        assert table[K].points[K // 2 :] == pytest.approx(points, abs=6e-7)
        assert table[K].weights[K // 2 :] == pytest.approx(weights, abs=6e-7)
    # Lloyd (1982) and Max (1960), Table I
    assert table[5].points == pytest.approx([-1.724, -0.7646, 0, 0.7646, 1.724], abs=5e-4)
    assert table[2].distortion == pytest.approx(1 - 2 / np.pi, abs=1e-12)


@pytest.mark.parametrize("law", [NORMAL, LAPLACE, EXPONENTIAL, lognorm(0.5), gamma(3.0)], ids=lambda law: law.dist.name)
def test_distortion_weights_and_centroids_are_integrals_over_the_cells(law):
    x = law.ppf([0.1, 0.3, 0.55, 0.93])
    low, high = (law.ppf(u) for u in (1e-15, 1 - 1e-15))
    edges = [low, *(x[1:] + x[:-1]) / 2, high]
    cells = list(zip(x, edges[:-1], edges[1:], strict=True))

    def integral(f, a, b):
        kink = [law.median()] if a < law.median() < b else None
        return quad(lambda y: f(y) * law.pdf(y), a, b, points=kink, epsabs=1e-13, limit=200)[0]

    assert exact_distortion(law, x) == pytest.approx(
        sum(integral(lambda y, p=p: (y - p) ** 2, a, b) for p, a, b in cells), abs=1e-10
    )
    means = [integral(lambda y: y, a, b) / integral(lambda y: 1, a, b) for _, a, b in cells]
    assert exact_centroids(law, x) == pytest.approx(means, abs=1e-10)


def test_points_are_symmetric_and_increasing_and_weights_sum_to_1(table):
    for q in table.values():
        np.testing.assert_allclose(q.points, -q.points[::-1], atol=1e-10)
        assert (np.diff(q.points) > 0).all()
        assert q.weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_stationary_grid_splits_the_variance(table):
    for q in table.values():
        assert np.sum(q.weights * q.points**2) + q.distortion == pytest.approx(1, abs=1e-11)


def test_no_other_grid_does_better(table):
    rng = numpy_rng(0, "test", "grids")
    for K in (2, 5, 10):
        others = [np.sort(table[K].points + 0.3 * rng.standard_normal(K)) for _ in range(200)]
        assert min(exact_distortion(NORMAL, x) for x in others) > table[K].distortion


def test_k_squared_times_the_distortion_climbs_to_zadors_constant(table):
    scaled = np.array([K**2 * table[K].distortion for K in LEVELS])
    assert (np.diff(scaled) > 0).all()
    assert scaled[-1] < zador_limit(1, normal=True)
    assert 200**2 * exact_quantizer(NORMAL, 200).distortion == pytest.approx(2.693245, abs=1e-6)


def test_quantizers_of_the_uniform_law_are_midpoints():
    for K in (1, 2, 7, 50):
        q = exact_quantizer(uniform(), K)
        assert q.points == pytest.approx((np.arange(K) + 0.5) / K, abs=1e-12)
        assert q.distortion == pytest.approx(1 / (12 * K**2), abs=1e-13)


def test_twice_the_points_of_the_laplace_law_are_those_of_the_exponential_law():
    for K in (1, 3, 16):
        whole, half = exact_quantizer(LAPLACE, 2 * K), exact_quantizer(EXPONENTIAL, K)
        assert whole.distortion == pytest.approx(half.distortion, abs=1e-10)
    assert [exact_quantizer(EXPONENTIAL, K).distortion for K in (2, 5, 50)] == pytest.approx(
        [0.352390, 0.073090, 0.000880], abs=6e-7
    )


@pytest.mark.parametrize("K", [3, 6])
def test_a_law_that_is_not_log_concave_is_marked_so(K):
    q = exact_quantizer(t(5), K)
    assert not q.optimal
    assert np.abs(exact_gradient(t(5), q.points)).max() < 1e-12
    rng = numpy_rng(0, "test", "t")
    assert all(exact_distortion(t(5), np.sort(t(5).rvs(K, random_state=rng))) > q.distortion for _ in range(50))


def test_shift_and_scale_go_through():
    moved, plain = exact_quantizer(norm(7, 0.01), 6), exact_quantizer(NORMAL, 6)
    assert moved.points == pytest.approx(7 + 0.01 * plain.points, abs=1e-12)
    assert moved.distortion == pytest.approx(1e-4 * plain.distortion, rel=1e-9)


def test_equal_masses_cost_what_the_closed_forms_say():
    i = np.arange(2, 51)
    v = np.concatenate([[1], 1 - i * (i - 1) * np.log(i / (i - 1)) ** 2])
    for K in (1, 2, 10, 50):
        assert uniform_quantizer(EXPONENTIAL, K).distortion == pytest.approx(v[:K].mean(), abs=1e-11)
    assert uniform_quantizer(NORMAL, 10).distortion / exact_quantizer(NORMAL, 10).distortion == pytest.approx(
        1.7855, abs=6e-5
    )
    assert uniform_quantizer(LAPLACE, 50).distortion / exact_quantizer(LAPLACE, 50).distortion == pytest.approx(
        12.511, abs=6e-4
    )


def test_the_points_of_equal_masses_have_the_means_of_their_shares():
    q, u = uniform_quantizer(NORMAL, 5), np.arange(6) / 5
    means = [5 * quad(lambda s: norm.ppf(s), a, b)[0] for a, b in itertools.pairwise(u)]
    assert q.points == pytest.approx(means, abs=1e-7)


def test_the_gradient_of_proposition_6_is_what_finite_differences_measure():
    rng = numpy_rng(0, "test", "gradient")
    for law in (NORMAL, gamma(3.0)):
        for K in (1, 2, 5, 9):
            x = np.sort(law.mean() + 2 * rng.standard_normal(K))
            np.testing.assert_allclose(finite_differences(law, x), exact_gradient(law, x), atol=1e-9)


def test_no_convergence_is_said():
    with pytest.raises(ArithmeticError, match="norm, K = 9: no stationary grid in 1 steps"):
        exact_quantizer(NORMAL, 9, max_iter=1)


@pytest.mark.parametrize("quantizer", [exact_quantizer, uniform_quantizer])
def test_what_cannot_be_quantized_is_refused(quantizer):
    with pytest.raises(InputError, match="K = 0"):
        quantizer(NORMAL, 0)
    with pytest.raises(InputError, match="no finite variance"):
        quantizer(t(2), 3)


def test_a_difference_quotient_has_truncation_and_rounding():
    """Its error falls like h^2 as long as truncation rules; at 1e-5 that would leave less than is there in all."""
    x = np.array([-2.4, -0.4, 0.2, 0.7, 2.6])
    exact = exact_gradient(NORMAL, x)
    wide, near, small, tiny = (np.abs(exact - finite_differences(NORMAL, x, h)).max() for h in (1e-3, 1e-4, 1e-5, 1e-7))
    assert wide / near == pytest.approx(100, rel=0.01)
    assert 0.1 < small / (1e-4 * wide) < 10 and tiny > 10 * small  # rounding grows as h falls


def test_a_point_without_mass_is_off_the_centroid_of_nothing_and_still_the_gradient_is_zero():
    x = np.append(exact_quantizer(uniform(), 3).points, 5.0)
    assert np.abs(exact_gradient(uniform(), x)).max() < 1e-12


def test_a_moment_above_the_second_is_enough_for_the_rate_and_not_needed():
    """p(x) ~ x^-3 (log x)^-4: int p^(1/3), which the limit needs, is finite, and no moment above the second is."""
    third = quad(lambda s: s ** (-4 / 3), 1, np.inf)[0]  # int p^(1/3) dx by x = e^s
    moments = [quad(lambda s: np.exp(0.1 * s) / s**4, 1, end)[0] for end in (200, 400, 600)]
    assert third == pytest.approx(3) and moments[1] > 100 * moments[0] and moments[2] > 100 * moments[1]
