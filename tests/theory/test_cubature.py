"""Quantization as cubature: closed forms, both orders, the sign that Jensen gives, and the constant of the limit."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory import cubature

LEVELS = range(1, 51)
CONVEX = [i for i in cubature.INTEGRANDS if i.convex]


@pytest.mark.parametrize("integrand", cubature.INTEGRANDS, ids=lambda i: i.name)
def test_the_closed_means_are_integrals(integrand):
    integral = quad(lambda x: integrand.f(x) * norm.pdf(x), -12, 12, points=[1], epsabs=1e-13, limit=200)[0]
    assert integrand.mean == pytest.approx(integral, abs=1e-11)


@pytest.mark.parametrize("integrand", CONVEX, ids=lambda i: i.name)
def test_a_stationary_quantizer_never_overestimates_a_convex_function(integrand):
    assert max(cubature.cubature_error(integrand, K) for K in LEVELS) <= 1e-13


def test_random_convex_functions_are_underestimated_too():
    rng = numpy_rng(0, "test", "convex")
    kinks, slopes = rng.standard_normal((30, 5)), rng.uniform(0, 1, (30, 5))
    for K in (2, 7, 20):
        q = cubature.normal_quantizer(K)
        for k, s in zip(kinks, slopes, strict=True):
            exact = s @ (norm.pdf(k) - k * norm.sf(k))  # sum of calls
            assert q.weights @ (np.maximum(q.points[:, None] - k, 0) @ s) <= exact + 1e-14


def test_affine_functions_are_integrated_exactly():
    for K in LEVELS:
        q = cubature.normal_quantizer(K)
        assert q.weights @ (3 - 2 * q.points) == pytest.approx(3, abs=1e-13)


def test_both_bounds_hold_at_every_level_and_the_square_attains_the_second():
    for K in LEVELS:
        G = cubature.normal_quantizer(K).distortion
        for integrand in (cubature.CALL, cubature.COSINE):
            assert abs(cubature.cubature_error(integrand, K)) <= cubature.first_order_bound(integrand, K)
        assert abs(cubature.cubature_error(cubature.COSINE, K)) <= cubature.second_order_bound(cubature.COSINE, K)
        assert cubature.cubature_error(cubature.SQUARED, K) == pytest.approx(-G, abs=1e-12)
        assert cubature.second_order_bound(cubature.SQUARED, K) == pytest.approx(G)


def test_only_the_cell_with_the_kink_errs_on_the_call():
    for K in (2, 5, 10, 50):
        q = cubature.normal_quantizer(K)
        edges = [-12, *(q.points[1:] + q.points[:-1]) / 2, 12]
        i = np.searchsorted(edges, 1.0) - 1
        inside = quad(lambda x: max(x - 1, 0) * norm.pdf(x), edges[i], edges[i + 1], points=[1])[0]
        error = q.weights[i] * max(q.points[i] - 1, 0) - inside
        assert cubature.cubature_error(cubature.CALL, K) == pytest.approx(error, abs=1e-10)


def test_the_distance_to_the_grid_is_an_integral_below_theorem_5s_bound_and_falls_like_1_over_K():
    x = cubature.normal_quantizer(4).points
    integral = quad(lambda y: np.abs(y - x).min() * norm.pdf(y), -12, 12, points=[*x, 0], limit=400)[0]
    assert cubature.mean_distance(4) == pytest.approx(integral, abs=1e-8)
    assert all(cubature.mean_distance(K) <= cubature.normal_quantizer(K).distortion ** 0.5 for K in LEVELS)
    # K e_1 -> (1/4) int p^(2/3) int p^(1/3) for points of density p^(1/3), by cells of width h: h / 4
    limit = (2 * np.pi) ** (-1 / 3) * (3 * np.pi) ** 0.5 * (2 * np.pi) ** (-1 / 6) * (6 * np.pi) ** 0.5 / 4
    assert 200 * cubature.mean_distance(200) == pytest.approx(limit, rel=0.02)


def test_K_squared_times_the_error_of_the_cosine_tends_to_its_limit():
    limit = np.sqrt(3) * np.pi / 4 * np.exp(-1.5)  # (sqrt(3) pi / 4) E f''(sqrt(3) X), with the other sign
    scaled = [K**2 * cubature.cubature_error(cubature.COSINE, K) for K in (20, 50, 200)]
    assert (np.diff(scaled) > 0).all()
    assert scaled[-1] == pytest.approx(limit, rel=0.03)


def test_gauss_hermite_is_exact_for_a_polynomial_and_wins_by_far_on_the_exponential_but_not_on_the_kink():
    assert cubature.gauss_hermite_error(cubature.SQUARED, 2) == pytest.approx(0, abs=1e-14)
    assert abs(cubature.gauss_hermite_error(cubature.EXPONENTIAL, 10)) < 1e-8
    assert abs(cubature.cubature_error(cubature.EXPONENTIAL, 10)) > 1e-3
    kink = [
        (abs(cubature.cubature_error(cubature.CALL, K)), abs(cubature.gauss_hermite_error(cubature.CALL, K)))
        for K in (10, 50)
    ]
    assert all(quantizer < gauss for quantizer, gauss in kink)


def test_the_mean_error_of_draws_is_what_the_central_limit_theorem_says():
    errors = cubature.monte_carlo_errors(cubature.SQUARED, 400, 4000, numpy_rng(0, "test"))
    # sd of X^2 is sqrt 2; a normal variable is sqrt(2 / pi) sd from its mean on average
    assert errors.mean() == pytest.approx(np.sqrt(2 / np.pi) * np.sqrt(2 / 400), abs=4 * errors.std() / 4000**0.5)


def test_one_repetition_is_refused():
    with pytest.raises(InputError, match="monte_carlo_seeds = 1"):
        cubature.monte_carlo_errors(cubature.CALL, 5, 1, numpy_rng(0, "test"))
