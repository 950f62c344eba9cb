"""The rate: limits that are reached, slopes that are seen, moments that are needed, bounds that hold."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_book.ch12 import measured_rates
from ddoq_book.ch13.linear_rates import linearise
from ddoq_core.quantization import best_of_restarts, distortion
from ddoq_core.quantization.closed_forms import CLOSED_FORMS
from ddoq_core.theory.enumeration import AtomCloud, enumerate_cloud


@pytest.fixture(scope="module")
def on_a_line():
    return {rate.name: rate for rate in measured_rates.line_rates([1, 200, 1000])}


def test_a_line_has_every_closed_form(on_a_line):
    assert list(on_a_line) == list(CLOSED_FORMS)


def test_sigma_3_is_the_third_moment_about_the_best_centre(on_a_line):
    # E|X|^3 = 2 sqrt(2 / pi) of N(0, 1), 6 of the Laplace law, 1 / 32 of the uniform law about 1 / 2
    known = {"N(0, 1)": 2 * math.sqrt(2 / math.pi), "Laplace": 6, "uniform on [0, 1]": 1 / 32}
    found = {name: on_a_line[name].sigma ** 3 for name in known}
    assert found == pytest.approx(known, rel=1e-6)


def test_one_point_costs_the_variance_in_units_of_sigma_3(on_a_line):
    for name, form in CLOSED_FORMS.items():
        rate = on_a_line[name]
        assert rate.constant(rate.scaled[0]) == pytest.approx(form.law.std() / rate.sigma)


def test_proposition_4_holds_with_one_constant_for_all_levels_and_the_limit_is_the_worst(on_a_line):
    for rate in on_a_line.values():
        assert (np.diff(rate.scaled) > -1e-12).all()
        assert 0.99 * rate.limit < rate.scaled[-1] <= rate.limit * (1 + 1e-12)


def test_extrapolation_lands_on_zadors_limit(on_a_line):
    for rate in on_a_line.values():
        assert rate.beyond == pytest.approx(rate.limit, rel=2e-4)


def test_two_moments_are_not_enough():
    """Cut off at e^y, K^2 G tends to (1/12)(int p^(1/3))^3, which grows like y."""
    found = measured_rates.heavy_tail([20, 500], [2.0, 4.0, 8.0])
    few, many = found.scaled.T
    assert many == pytest.approx(found.limits, rel=0.01)
    assert (few <= found.limits * 1.01).all()
    total = quad(lambda y: math.exp(-2 * y) / y**2, 1, math.inf)[0]
    assert found.limits == pytest.approx([(3 * (y ** (1 / 3) - 1)) ** 3 / total / 12 for y in (2, 4, 8)])


def test_the_heavy_tail_far_out_is_quantized_to_the_last_printed_digit():
    # Newton's method on the exact law gives 128.510 at K = 1,000
    found = measured_rates.heavy_tail([1000], [12.0, 24.0])
    assert found.scaled[0, 0] == pytest.approx(128.5103, abs=1e-4)
    assert (found.scaled[:, 0] < found.limits).all() and found.scaled[:, 0] == pytest.approx(found.limits, rel=1e-4)


@pytest.mark.parametrize("law", measured_rates.SAMPLED_LAWS, ids=lambda law: law.name)
def test_slopes_and_constants_of_lloyd(law):
    found = measured_rates.lloyd_rate(law, (16, 64, 128), 40_000, range(2))
    assert found.slopes().mean() == pytest.approx(-1 / law.d, rel=0.1)
    assert found.ratios[:, -1].mean() == pytest.approx(1, abs=0.1)


def test_an_exact_power_law_has_its_slope_everywhere_and_extrapolates_to_its_constant():
    law, levels = measured_rates.SAMPLED_LAWS[0], (10, 20, 40)
    exact = law.limit * np.array(levels, float) ** (-2 / law.d)
    found = measured_rates.LloydRate(law, levels, np.stack([exact, exact]))
    for ends in ((0, None), (0, 2), (1, 3), (-2, None)):
        assert found.slopes(*ends) == pytest.approx([-1 / law.d] * 2)
    assert found.ratios == pytest.approx(np.ones((2, 3))) and found.extrapolated == pytest.approx([1, 1])


def test_the_gap_of_theorem_3_is_below_its_bound_and_falls_like_1_over_n():
    gaps = measured_rates.empirical_gaps(2, (100, 1000), 150, 0)
    assert (gaps.gaps >= 0).all() and (gaps.gaps < gaps.bounds).all()
    scaled = 1000 * gaps.gaps[1]
    assert scaled.mean() == pytest.approx(2 - 2 / math.pi, abs=4 * scaled.std() / 150**0.5)
    assert np.log(gaps.bounds[0].mean() / gaps.bounds[1].mean()) / np.log(10) == pytest.approx(0.5, abs=0.1)


def test_the_limit_of_n_times_the_gap_is_that_of_a_nondegenerate_minimum():
    """tr(H^-1 Sigma) / 2 with H the Hessian and Sigma the covariance of the gradient: here 2 - 2 / pi."""
    at = linearise(norm(), 2)
    H, noise = 2 * at.drift[:2, :2], 4 * at.noise[:2, :2]
    assert np.linalg.eigvalsh(H)[0] > 0.3
    assert np.trace(np.linalg.solve(H, noise)) / 2 == pytest.approx(2 - 2 / math.pi, rel=1e-4)


@pytest.mark.parametrize("K", [2, 4, 10, 40, 200])
def test_theorem_3_is_attained_to_first_order_where_two_quantizers_are_equally_good(K):
    """A bound with constants 10 % smaller would be exceeded from K = 4 on."""
    found = measured_rates.alternating_circle(K)
    assert found.gap < found.bound and found.ratio == pytest.approx(math.cos(math.pi / (2 * K)), rel=1e-5)


@pytest.mark.parametrize("K", [2, 3])
def test_on_the_alternating_circle_the_narrow_pairs_are_optimal_and_on_even_atoms_both_pairings(K):
    e, s = 0.05, math.pi / K
    angles = {x: np.concatenate([[2 * s * k - (s - x) / 2, 2 * s * k + (s - x) / 2] for k in range(K)]) for x in (e, 0)}
    places = {x: np.stack([np.cos(a), np.sin(a)], 1) for x, a in angles.items()}
    least = {x: _least_of_all_divisions(at, K) for x, at in places.items()}
    narrow, wide = (torch.from_numpy((P[0::2] + P[1::2]) / 2) for P in (places[0], np.roll(places[0], -1, 0)))
    for guess in (narrow, wide):
        assert distortion(torch.from_numpy(places[0]), guess) == pytest.approx(least[0], rel=1e-9)
    assert least[e] == pytest.approx(math.sin((s - e) / 2) ** 2, rel=1e-9)
    gap = distortion(torch.from_numpy(places[e]), wide) - least[e]
    assert gap == pytest.approx(measured_rates.alternating_circle(K, e).gap, rel=1e-9)


def _least_of_all_divisions(places, K):
    cloud = AtomCloud(places, np.full(len(places), 1 / len(places)))
    return enumerate_cloud(cloud, K, 1, 1, np.random.default_rng(0)).costs.min()


def test_the_constant_of_pierces_lemma_serves_laws_with_and_without_tails(on_a_line):
    C = measured_rates.pierce_constant(1, 1.0)
    assert pytest.approx(math.sqrt(2048)) == C  # worked out by hand
    assert all(rate.constant(G) <= C for rate in on_a_line.values() for G in rate.scaled)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_random_codes_of_the_proof_cost_no_more_than_its_bound(d):
    """The step before the mean over X, at fixed x: 0 and K - 1 draws of the density c (1 + |y|)^(-d - theta)."""
    eta, K, rng = 1.0, 50, np.random.default_rng(0)
    theta = eta * d / 2
    r = rng.beta(d, theta, (2000, K - 1))
    y = rng.standard_normal((2000, K - 1, d))
    y *= (r / (1 - r))[:, :, None] / np.linalg.norm(y, axis=2, keepdims=True)
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    c = math.gamma(d + theta) / (math.gamma(d) * math.gamma(theta)) / (d * ball)
    for size in (0.5, 1.0, 3.0):
        x = np.zeros(d)
        x[0] = size
        cost = np.minimum(((y - x) ** 2).sum(2).min(1), size**2).mean()
        rate = 2 ** (-d - theta) * c * ball * (K - 1)
        assert cost <= math.gamma(1 + 2 / d) * rate ** (-2 / d) * (1 + size) ** (2 + eta)


@pytest.mark.parametrize("d", [2, 100])
def test_random_signs_over_the_costs_of_one_point_have_the_mean_of_the_proof(d):
    """sup over |c| <= 1 of (1/n) sum_j eps_j (|c|^2 - 2 <c, X_j>), X on the sphere: at most 2.5 / n^(1/2)."""
    rng, n = np.random.default_rng(0), 400
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = rng.choice([-1.0, 1.0], (2000, n))
    S, V = signs.mean(1), np.linalg.norm(signs @ X / n, axis=1)
    t = np.where(S < 0, np.minimum(1, V / np.maximum(-S, 1e-12)), 1)  # the best |c|, c against the mean
    scaled = (t**2 * S + 2 * t * V).mean() * math.sqrt(n)
    assert 1.6 < scaled < 2.5


def test_the_excess_on_samples_stays_below_the_bound_of_any_dimension():
    """The sphere of R^50, K = 2, n = 400: the bound is half of R^2, where Theorem 3 gives more than 4 R^2."""
    rng, K, n = np.random.default_rng(0), 2, 400
    X, fresh = (torch.from_numpy(rng.standard_normal((m, 50))) for m in (n, 20_000))
    X, fresh = (cloud / cloud.norm(dim=1, keepdim=True) for cloud in (X, fresh))
    book, best = (best_of_restarts(cloud, K, n_restarts=5, rng=rng, max_iter=50).points for cloud in (X, fresh))
    excess = distortion(fresh, book) - distortion(fresh, best)
    assert 0 < excess < 5 * K / math.sqrt(n) <= 0.5
    away = distortion(fresh, X) ** 0.5  # at most W_2 of samples to the law
    assert measured_rates.empirical_gap(distortion(fresh, best) ** 0.5, away) > 4
