"""Starting codebooks lie in the support, and k-means++ spreads them."""

import numpy as np
import pytest
import torch

from ddoq_core.quantization import distortion, kmeans_plus_plus, random_samples
from ddoq_core.randomness import numpy_rng


@pytest.mark.parametrize("start", [kmeans_plus_plus, random_samples])
def test_a_start_is_made_of_distinct_samples(samples, start):
    points = start(samples, 20, numpy_rng(1, "test"))
    rows = (points[:, None] == samples).all(2)
    assert rows.any(1).all()
    assert len(rows.float().argmax(1).unique()) == 20


@pytest.mark.parametrize("start", [kmeans_plus_plus, random_samples])
def test_a_start_depends_on_its_key_only(samples, start):
    first, again, other = (start(samples, 5, numpy_rng(seed, "test")) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_k_means_plus_plus_starts_lower_than_random_samples(samples):
    lower = [
        distortion(samples, kmeans_plus_plus(samples, 8, numpy_rng(s, "test")))
        < distortion(samples, random_samples(samples, 8, numpy_rng(s, "test")))
        for s in range(20)
    ]
    assert np.mean(lower) > 0.9


def test_all_samples_can_be_chosen():
    X = torch.arange(12.0).reshape(6, 2)
    assert distortion(X, kmeans_plus_plus(X, 6, numpy_rng(0, "test"))) == 0


def test_equal_samples_still_give_k_points():
    assert kmeans_plus_plus(torch.ones(6, 2), 4, numpy_rng(0, "test")).shape == (4, 2)


@pytest.mark.parametrize("d", [2, 3])
def test_k_means_plus_plus_seeds_spread_nearly_like_optimal_points(d):
    """E|x|^2 of seeds of N(0, I_d): d if their density were p, d + 2 if p^(d/(d+2)), from which they are not far."""
    X = torch.from_numpy(numpy_rng(0, "test", "seeds", d).standard_normal((10_000, d)))
    seeds = [kmeans_plus_plus(X, 200, numpy_rng(s, "test", "seeds")).square().sum(1).mean().item() for s in range(4)]
    assert d + 1 < np.mean(seeds) < d + 2
