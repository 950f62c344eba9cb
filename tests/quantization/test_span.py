"""n samples in R^d with n < d: their span holds all that quantization sees."""

import pytest
import torch

from ddoq_core.keys import numpy_rng, torch_rng
from ddoq_core.quantization import best_of_restarts, kmeans_plus_plus, lloyd
from ddoq_core.quantization.span import span_of


@pytest.fixture
def few():
    """30 samples in R^200, off the origin."""
    return 5 + torch.randn(30, 200, generator=torch_rng(0, "test", "few"))


def test_the_span_of_few_samples_keeps_all_distances_in_fewer_coordinates(few):
    coordinates = span_of(few).coordinates
    assert coordinates.shape == (30, 30)
    torch.testing.assert_close(torch.pdist(coordinates), torch.pdist(few), rtol=1e-5, atol=0)


def test_a_quantizer_of_the_coordinates_is_one_of_the_samples(few):
    span = span_of(few)
    direct = lloyd(few, kmeans_plus_plus(few, 5, numpy_rng(0, "test")), tol=0)
    lifted = span.lift(lloyd(span.coordinates, kmeans_plus_plus(span.coordinates, 5, numpy_rng(0, "test")), tol=0))
    torch.testing.assert_close(lifted.points, direct.points, rtol=1e-4, atol=1e-4)
    assert torch.equal(lifted.counts, direct.counts)
    assert lifted.distortion == pytest.approx(lifted.history[-1], rel=1e-5)


def test_many_samples_stay_as_they_are(samples):
    span = span_of(samples)
    assert span.coordinates is samples
    found = best_of_restarts(samples, 4, n_restarts=1, rng=numpy_rng(0, "test"))
    assert torch.equal(span.lift(found).points, found.points)


def test_equal_samples_keep_their_counts():
    span = span_of(torch.ones(4, 10))
    assert span.lift(lloyd(span.coordinates, span.coordinates[:2])).counts.sum() == 4
