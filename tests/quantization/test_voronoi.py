"""Definition 1: Voronoi cells and the quadratic distortion."""

import math

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import (
    assign,
    clvq,
    distortion,
    kmeans_plus_plus,
    lloyd,
    minibatch,
    power_steps,
    quantize,
    random_samples,
    voronoi,
)
from ddoq_core.randomness import numpy_rng, torch_rng


def brute_force(samples, points):
    return (samples.double()[:, None] - points.double()).square().sum(2)


def test_every_sample_lies_in_the_cell_of_its_nearest_point(samples, codebook):
    squared = brute_force(samples, codebook)
    chosen = squared.gather(1, assign(samples, codebook)[:, None])[:, 0]
    torch.testing.assert_close(chosen, squared.min(1).values, rtol=1e-6, atol=1e-9)


def test_distortion_is_the_mean_squared_distance_to_the_nearest_point(samples, codebook):
    expected = brute_force(samples, codebook).min(1).values.mean().item()
    assert distortion(samples, codebook) == pytest.approx(expected, rel=1e-6)


def test_counts_are_the_cell_sizes_and_sum_to_n(samples, codebook):
    found = quantize(samples, codebook)
    assert found.counts.tolist() == [(assign(samples, codebook) == i).sum() for i in range(8)]
    assert found.counts.sum() == len(samples)
    assert found.weights.sum() == pytest.approx(1)


def test_a_sample_on_a_boundary_is_counted_once():
    assert quantize(torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 9.0]])).counts.sum() == 1


def test_cells_do_not_depend_on_where_the_origin_is(samples, codebook):
    far = torch.tensor([3e3, -2e3, 1e3])
    moved = (samples.double() + far).float()
    agree = (assign(moved, (codebook.double() + far).float()) == assign(samples, codebook)).float().mean()
    assert agree > 0.99  # the data themselves are rounded to 2e-4 out there


def test_distortion_scales_with_the_square_of_the_unit_of_length(samples, codebook):
    assert distortion(8 * samples, 8 * codebook) == pytest.approx(64 * distortion(samples, codebook), rel=1e-6)


def test_cells_do_not_depend_on_how_the_samples_are_cut_into_chunks(samples, codebook, monkeypatch):
    whole = quantize(samples, codebook)
    monkeypatch.setattr(voronoi, "CHUNK", 64)
    cut = quantize(samples, codebook)
    assert torch.equal(cut.counts, whole.counts)
    assert cut.distortion == pytest.approx(whole.distortion, rel=1e-12)


SOLVERS = {
    "kmeans_plus_plus": lambda X, K: kmeans_plus_plus(X, K, numpy_rng(0, "test")),
    "random_samples": lambda X, K: random_samples(X, K, numpy_rng(0, "test")),
    "lloyd": lambda X, K: lloyd(X, torch.zeros(K, X.shape[1])),
    "clvq": lambda X, K: clvq(X, torch.zeros(K, X.shape[1]), steps=power_steps(2)),
    "minibatch": lambda X, K: minibatch(X, torch.zeros(K, X.shape[1])),
}


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sample_that_is_not_finite_is_refused_and_located(solver, value):
    X = torch.randn(20, 2, generator=torch_rng(0, "test"))
    X[7, 1] = value
    with pytest.raises(InputError, match="1 of 20 samples are NaN or infinite, first row 7; remove them"):
        solver(X, 3)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("K", [0, 21])
def test_a_level_below_one_or_above_the_number_of_samples_is_refused(solver, K):
    with pytest.raises(InputError, match=f"K = {K}, but there are 20 samples; choose K from 1 to 20"):
        solver(torch.zeros(20, 2), K)


def test_integers_are_refused_rather_than_rounded():
    with pytest.raises(InputError, match="matrix"):
        lloyd(torch.zeros(20, 2, dtype=torch.int64), torch.zeros(2, 2))
