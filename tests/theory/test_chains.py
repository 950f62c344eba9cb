"""Recursive marginal quantization: mixtures in closed form, known marginals, expectations on the tree."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import ExactQuantizer, exact_distortion, exact_quantizer
from ddoq_core.theory.chains import Mixture, euler_step, noising_step, quantized_chain
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK

LAW = Mixture(np.array([0.3, 0.7]), np.array([-1.0, 0.8]), np.array([0.2, 0.5]))
TWO_ATOMS = ExactQuantizer(np.array([-1.0, 1.0]), np.full(2, 0.5), 0.0, True)


def test_cells_of_a_mixture_are_its_integrals():
    x = np.array([-1.2, 0.1, 0.9])
    gradient, mass, cost = LAW.cells(x)
    edges, total = [-9, -0.55, 0.5, 9], 0.0
    density = lambda t: float(LAW.pdf(np.array([t]))[0])  # noqa: E731
    for i in range(3):
        a, b = edges[i : i + 2]
        assert mass[i] == pytest.approx(quad(density, a, b, limit=200)[0], abs=1e-7)
        slope = quad(lambda t, p=x[i]: 2 * (p - t) * density(t), a, b, limit=200)[0]
        assert gradient[i] == pytest.approx(slope, abs=1e-7)
        total += quad(lambda t, p=x[i]: (p - t) ** 2 * density(t), a, b, limit=200)[0]
    assert cost == pytest.approx(total, abs=1e-7)
    np.testing.assert_allclose(LAW.shares(x).sum(1), 1, atol=1e-14)
    np.testing.assert_allclose(LAW.weights @ LAW.shares(x), mass, atol=1e-14)


@pytest.mark.parametrize("K", [1, 2, 5, 40])
def test_one_component_has_the_exact_quantizer_and_two_a_stationary_one(K):
    found, exact = Mixture(np.ones(1), np.zeros(1), np.ones(1)).quantizer(K), exact_quantizer(norm(), K)
    np.testing.assert_allclose(found.points, exact.points, atol=1e-8)
    assert found.distortion == pytest.approx(exact.distortion, abs=1e-12)
    gradient, mass, cost = LAW.cells(LAW.quantizer(K).points)
    assert np.abs(gradient).max() < 1e-9 and mass.sum() == pytest.approx(1) and cost <= LAW.cells(np.zeros(1))[2] + 1


def test_the_marginals_of_the_noising_process_are_near_the_exact_ones_and_nearer_with_more_points():
    """Two atoms under VP: at time t the mixture of N(+-e^(-t/2), 1 - e^(-t))."""
    h, n = 0.1, 10
    exact = Mixture(
        np.full(2, 0.5), np.exp(-n * h / 2) * np.array([-1.0, 1.0]), np.full(2, (1 - np.exp(-n * h)) ** 0.5)
    )
    errors = []
    for K in (10, 20, 40):
        last = quantized_chain(TWO_ATOMS, [noising_step(ORNSTEIN_UHLENBECK, h)] * n, K).grids[-1]
        assert exact.cells(last.points)[2] < (1 + 1.2 / K) * exact.quantizer(K).distortion
        cosine = 0.5 * sum(np.exp(-(exact.stds[0] ** 2) / 2) * np.cos(m) for m in exact.means)
        errors.append(abs(last.weights @ np.cos(last.points) - cosine))
        assert last.weights @ last.points == pytest.approx(0, abs=1e-9)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1) == errors[1] / errors[2]  # of second order


def test_brownian_motion_from_a_point_has_the_quantizers_of_normal_laws():
    start = ExactQuantizer(np.array([0.5]), np.ones(1), 0.0, True)
    chain = quantized_chain(start, [noising_step(BROWNIAN, 0.25)] * 4, 60)
    last = chain.grids[-1].points
    assert exact_distortion(norm(0.5, 1), last) < 1.01 * exact_quantizer(norm(), 60).distortion
    for transition in chain.transitions:
        np.testing.assert_allclose(transition.sum(1), 1, atol=1e-13)
    np.testing.assert_allclose(chain.grids[1].weights @ chain.transitions[1], chain.grids[2].weights, atol=1e-13)


def test_an_euler_scheme_of_a_linear_equation_has_its_known_mean_and_variance():
    h, n = 0.1, 8
    step = euler_step(lambda x: 1 - x, lambda x: 0.5, h)
    last = quantized_chain(TWO_ATOMS, [step] * n, 100).grids[-1]
    mean, variance = 0.0, 1.0
    for _ in range(n):
        mean, variance = mean + h * (1 - mean), (1 - h) ** 2 * variance + h * 0.25
    assert last.weights @ last.points == pytest.approx(mean, abs=1e-9)
    kept = last.weights @ last.points**2 - mean**2
    assert kept < variance and kept == pytest.approx(variance, rel=0.01)  # each grid loses its distortion


def test_a_chain_without_points_is_refused():
    with pytest.raises(InputError, match="K = 0"):
        quantized_chain(TWO_ATOMS, [noising_step(BROWNIAN, 1.0)], 0)


def test_an_euler_scheme_whose_diffusion_depends_on_the_place_has_its_known_moments():
    """Geometric Brownian motion: the scheme multiplies the mean by 1 + rh, the second moment by (1 + rh)^2 + s^2 h."""
    r, s, n = 0.05, 0.2, 10
    step = euler_step(lambda x: r * x, lambda x: s * x, 1 / n)
    mean, second = (1 + r / n) ** n, ((1 + r / n) ** 2 + s**2 / n) ** n
    lost = []
    for K in (25, 50, 100):
        last = quantized_chain(ExactQuantizer(np.ones(1), np.ones(1), 0.0, True), [step] * n, K).grids[-1]
        assert last.weights @ last.points == pytest.approx(mean, abs=1e-9)
        lost.append(1 - (last.weights @ last.points**2 - mean**2) / (second - mean**2))
    assert 0 < lost[2] < 0.002 and lost[1] / lost[2] == pytest.approx(4, rel=0.15) == lost[0] / lost[1]


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_without_noise_is_refused(std):
    with pytest.raises(InputError, match=r"step 1 has means .* and deviations .*; give those above 0"):
        quantized_chain(TWO_ATOMS, [euler_step(lambda x: x, lambda x: std, 0.1)], 5)
