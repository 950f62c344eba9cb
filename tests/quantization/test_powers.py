"""Other powers than the square: centres of cells, densities of points, masses, and the algorithm in R^d."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import cauchy, expon, laplace, norm, t, uniform

from ddoq_core.errors import InputError
from ddoq_core.quantization import assign, exact_quantizer, lloyd, powers, random_samples
from ddoq_core.quantization.densities import DensityLaw
from ddoq_core.quantization.powers import power_cells, power_lloyd, power_quantizer
from ddoq_core.randomness import numpy_rng

LAWS = [norm(), laplace(), expon(), t(5), norm(7, 0.01)]
each_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.dist.name)


@each_law
def test_the_square_has_the_exact_quantizer(law):
    found, exact = power_quantizer(law, 7, 2), exact_quantizer(law, 7)
    np.testing.assert_allclose(found.points, exact.points, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.weights, exact.weights, atol=1e-8)
    assert found.distortion == pytest.approx(exact.distortion, rel=1e-9)


@each_law
def test_without_the_square_points_are_the_medians_of_their_cells(law):
    x = power_quantizer(law, 6, 1).points
    edges = law.cdf([-math.inf, *(x[1:] + x[:-1]) / 2, math.inf])
    np.testing.assert_allclose(law.cdf(x), (edges[1:] + edges[:-1]) / 2, atol=1e-10)


@pytest.mark.parametrize("r", [1, 1.5, 2, 3, 4])
def test_midpoints_are_best_for_the_uniform_law_at_the_known_cost(r):
    found = power_quantizer(uniform(), 5, r)
    np.testing.assert_allclose(found.points, (np.arange(5) + 0.5) / 5, atol=1e-9)
    assert found.distortion == pytest.approx((1 / 10) ** r / (1 + r), rel=1e-10)


@pytest.mark.parametrize("r", [1, 1.5, 3])
def test_the_gradient_is_what_finite_differences_of_the_cost_measure(r):
    x, law, h = np.array([-1.3, 0.2, 0.9]), laplace(), 1e-6
    cost = lambda x: power_cells(law, x, r)[2].sum()  # noqa: E731
    slopes = [(cost(x + h * e) - cost(x - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(power_cells(law, x, r)[1], slopes, atol=1e-8)


@pytest.mark.parametrize("r", [1, 2, 4])
def test_masses_follow_p_to_the_r_over_1_plus_r_and_costs_become_equal(r):
    found = power_quantizer(norm(), 100, r)
    _, _, costs = power_cells(norm(), found.points, r)
    inner = slice(20, 80)
    ratios = found.weights[inner] / norm.pdf(found.points)[inner] ** (r / (1 + r))
    assert ratios.max() / ratios.min() < 1.02
    wrong = found.weights[inner] / norm.pdf(found.points[inner]) ** (0.9 * r / (1 + r))
    assert wrong.max() / wrong.min() > 1.02  # an exponent 10 % off is seen
    shares = 100 * costs[inner] / costs.sum()
    assert shares.max() < 1.07 and shares.min() > 0.95
    assert 100 * found.weights.max() == pytest.approx(math.sqrt(1 + r), rel=0.03)


@pytest.fixture
def plane():
    """5,000 draws of N(0, I_2)."""
    return torch.from_numpy(numpy_rng(0, "test", "powers").standard_normal((5000, 2)))


@pytest.mark.parametrize("r", [1, 1.5, 2, 3, 6])
def test_in_the_plane_the_cost_falls_and_no_point_can_be_moved_with_gain(plane, r):
    found = power_lloyd(plane, random_samples(plane, 12, numpy_rng(1, "test")), r, tol=1e-9)
    assert (np.diff(found.history) < 0).all() and len(found.history) > 10
    X, x = plane, found.points
    cell = assign(X, x)
    cost = lambda x: (X - x[cell]).norm(dim=1).pow(r).mean().item()  # noqa: E731
    assert cost(x) == pytest.approx(found.distortion, rel=1e-9)
    rng = numpy_rng(2, "test")
    assert all(cost(x + 0.05 * torch.from_numpy(rng.standard_normal(x.shape))) > found.distortion for _ in range(20))


def test_the_square_is_lloyds_algorithm(plane):
    start = random_samples(plane, 10, numpy_rng(1, "test"))
    ours, theirs = power_lloyd(plane, start, 2), lloyd(plane, start)
    assert ours.distortion == pytest.approx(theirs.distortion, rel=1e-4)
    torch.testing.assert_close(ours.points, theirs.points, atol=0.02, rtol=0)


def test_a_larger_power_spreads_the_points_as_the_density_p_to_the_d_over_d_plus_r_does():
    """That density is N(0, (1 + r/d) I_d): the mean of |x_i|^2 is proportional to d + r, long before it is equal."""
    draws = torch.from_numpy(numpy_rng(0, "test", "spread").standard_normal((20_000, 2)))
    start = random_samples(draws, 30, numpy_rng(1, "test"))
    spreads = np.array([power_lloyd(draws, start, r).points.square().sum(1).mean().item() for r in (1, 2, 4)])
    np.testing.assert_allclose(spreads / spreads[1], [3 / 4, 1, 6 / 4], rtol=0.08)


def test_samples_out_of_the_ordinary_range_keep_their_unit(plane):
    start = random_samples(plane, 5, numpy_rng(1, "test"))
    plain, tiny = power_lloyd(plane, start, 3), power_lloyd(plane * 2.0**-300, start * 2.0**-300, 3)
    assert tiny.distortion == plain.distortion * 2.0**-900
    torch.testing.assert_close(tiny.points * 2.0**300, plain.points)


def test_two_wells_have_the_better_of_two_stationary_grids():
    """The symmetric grid of three points, one of them between the wells, is a saddle of the cost for r = 1 and 2."""
    wells = DensityLaw(lambda x: np.exp(-((x**2 - 4) ** 2) / 4), centre=2)
    best = power_quantizer(wells, 3, 1)
    assert best.distortion < power_cells(wells, np.array([-2.13, -1.58, 1.92]), 1)[2].sum() < 0.27 and not best.optimal
    assert power_quantizer(wells, 3, 2).distortion == pytest.approx(exact_quantizer(wells, 3).distortion, rel=1e-9)


def test_an_infinite_moment_is_said_without_going_on(monkeypatch):
    seen = []
    monkeypatch.setattr(powers, "_damped", lambda *of, damped=powers._damped: seen.append(1) or damped(*of))
    with pytest.raises(ArithmeticError, match=r"no stationary grid for r = 6 .*; E \|X\|\^r must be finite"):
        power_quantizer(t(5), 5, 6)
    assert len(seen) < 200
    with pytest.raises(InputError, match="cauchy has no finite variance, so it has no quantizer in W_2"):
        power_quantizer(cauchy(), 5, 1)


def test_powers_below_1_are_refused(plane):
    with pytest.raises(InputError, match=r"r = 0\.5"):
        power_quantizer(norm(), 5, 0.5)
    with pytest.raises(InputError, match=r"r = 0\.5"):
        power_lloyd(plane, plane[:3], 0.5)
    with pytest.raises(ArithmeticError, match="no stationary grid for r = 3 in 1 steps"):
        power_quantizer(norm(), 9, 3, max_iter=1)
