"""Small clouds that the tests of this folder share."""

import pytest
import torch

from ddoq_core.quantization import kmeans_plus_plus
from ddoq_core.randomness import numpy_rng, torch_rng


@pytest.fixture
def samples():
    """600 points of a lopsided mixture in R^3, far enough from the origin that careless float32 would show."""
    g = torch_rng(0, "test", "samples")
    heavy, light = torch.randn(500, 3, generator=g), 0.3 * torch.randn(100, 3, generator=g) + 4
    return torch.cat([heavy, light]) + 30


@pytest.fixture
def codebook(samples):
    """A k-means++ start with 8 points."""
    return kmeans_plus_plus(samples, 8, numpy_rng(0, "test", "codebook"))
