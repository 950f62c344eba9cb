"""The exponent that weights one draw of each cell best: the criterion, its estimate, and how far classes share it."""

import numpy as np
import pytest
import torch

from ddoq_core.quantization.exponents import ALPHAS, best_exponent, deviation, shrunk, squared_errors
from ddoq_core.quantization.weights import companion_weights

COUNTS = torch.tensor([400, 200, 100, 50, 50, 20, 10, 5])
K = len(COUNTS)
MEANS = torch.stack([torch.linspace(1, -1, K), torch.linspace(0, 0.5, K) ** 2], 1).double()
MASSES = COUNTS.double() / COUNTS.sum()
SPREAD = torch.tensor([1.5, 0.5, 1.0, 0.8, 1.2, 0.6, 1.0, 0.7]).double()  # of each cell, the same in both coordinates


def sampled(counts: torch.Tensor, seed: int, spread: torch.Tensor = SPREAD, means: torch.Tensor = MEANS):
    """As many values of each cell as its count says."""
    cell = torch.arange(K).repeat_interleave(counts)
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal((len(cell), 2)))
    return means[cell] + spread[cell, None] * noise, cell


def true_errors() -> torch.Tensor:
    """Squared bias and variance at the true means and variances."""
    W = torch.stack([companion_weights(COUNTS, alpha) for alpha in ALPHAS.tolist()]) / K
    bias = (W - MASSES) @ MEANS
    return bias.square().sum(1) + W.square() @ (2 * SPREAD**2)


def test_the_formula_is_the_mean_squared_error_of_one_draw_a_cell():
    rng, target = np.random.default_rng(0), MASSES @ MEANS
    draws = MEANS + SPREAD[:, None] * torch.from_numpy(rng.standard_normal((20_000, K, 2)))
    for i in (0, 50, 100):
        W = companion_weights(COUNTS, ALPHAS[i].item()) / K
        errors = ((W @ draws) - target).square().sum(1)
        assert abs(errors.mean() - true_errors()[i]) < 4 * errors.std() / 20_000**0.5


def test_its_estimate_is_unbiased_and_the_plain_one_is_not():
    few = torch.tensor([4, 3, 3, 2, 2, 2, 2, 2])  # values of each cell; its mass is COUNTS all the same
    found = torch.stack([squared_errors(COUNTS, *sampled(few, seed)) for seed in range(4000)])
    error = found.std(0) / 4000**0.5
    assert ((found.mean(0) - true_errors()).abs() < 4 * error + 1e-12).all()
    W = torch.stack([companion_weights(COUNTS, alpha) for alpha in ALPHAS.tolist()]) / K
    plain = (W - MASSES).square() @ (2 * SPREAD**2 / few)  # what is taken off
    assert (plain[:50] > 8 * error[:50]).all()


def test_the_estimated_exponent_tends_to_the_best_one():
    best, many = best_exponent(true_errors()).item(), 200 * COUNTS
    assert 0.1 < best < 0.9
    found = [best_exponent(squared_errors(COUNTS, *sampled(many, seed))).item() for seed in range(5)]
    assert found == pytest.approx([best] * 5, abs=0.03)


def test_without_noise_proportional_weights_are_best_and_without_a_difference_equal_ones():
    assert best_exponent(squared_errors(COUNTS, *sampled(COUNTS, 0, spread=1e-9 * SPREAD))) == 1
    alike = squared_errors(COUNTS, *sampled(1000 * torch.ones_like(COUNTS), 0, torch.ones(K).double(), 0 * MEANS))
    assert best_exponent(alike) == 0


def test_a_cell_of_one_value_has_the_variance_of_all_and_a_cell_of_none_the_mean_too():
    values, cell = sampled(torch.tensor([9, 9, 9, 9, 9, 9, 1, 0]), 3)
    found = squared_errors(COUNTS, values, cell)
    pooled = sum((values[cell == k] - values[cell == k].mean(0)).square().sum() for k in range(6)) / 48
    means = torch.stack([values[cell == k].mean(0) for k in range(7)] + [values.mean(0)])
    var = torch.stack([values[cell == k].var(0).sum() for k in range(6)] + [pooled, pooled])
    sizes = torch.tensor([9, 9, 9, 9, 9, 9, 1, 1])
    W, w = torch.full((K,), 1 / K).double(), MASSES
    expected = ((W - w) @ means).square().sum() - (W - w).square() @ (var / sizes) + W.square() @ var
    torch.testing.assert_close(found[0], expected)


def test_the_bootstrap_tells_how_far_the_exponent_varies_between_samples():
    found = [best_exponent(squared_errors(COUNTS, *sampled(COUNTS, seed))).item() for seed in range(200)]
    told = [deviation(COUNTS, *sampled(COUNTS, seed), np.random.default_rng(seed)) for seed in range(10)]
    assert np.std(found) > 0.02
    assert np.mean(told) == pytest.approx(np.std(found), rel=0.35)


def test_exponents_keep_of_their_distance_what_is_not_noise():
    rng, true = np.random.default_rng(0), np.random.default_rng(1)
    ideal = 0.5 + 0.1 * torch.from_numpy(true.standard_normal(2000))
    for noise in (0.02, 0.2):
        own = ideal + noise * torch.from_numpy(rng.standard_normal(2000))
        found, between = shrunk(own, torch.full((2000,), noise).double(), 0.5)
        assert between == pytest.approx(0.01, rel=0.25)
        kept = 0.01 / (0.01 + noise**2)
        torch.testing.assert_close(found - 0.5, kept * (own - 0.5), rtol=0.25, atol=1e-12)
        assert (found - ideal).square().mean() < 0.98 * (own - ideal).square().mean()


def test_exponents_that_differ_by_noise_alone_become_one():
    own = torch.tensor([0.4, 0.5, 0.6]).double()
    found, between = shrunk(own, torch.full((3,), 0.3).double(), 0.45)
    assert between == 0 and found.tolist() == pytest.approx([0.45] * 3)
    exact, _ = shrunk(own, torch.zeros(3).double(), 0.45)
    torch.testing.assert_close(exact, own)
    assert shrunk(torch.full((3,), 0.5).double(), torch.zeros(3).double(), 0.5)[0].tolist() == [0.5] * 3
