"""The algorithms as printed: steps worked by hand, and the fast forms against them."""

import numpy as np
import pytest
import torch

from ddoq_core.quantization import clvq, kmeans_plus_plus, lloyd, minibatch, power_steps, random_samples
from ddoq_core.quantization.forms import Direct, Gram
from ddoq_core.quantization.line import Line
from ddoq_core.quantization.lloyd import form_of
from ddoq_core.quantization.reference import algorithm_1, algorithm_2, algorithm_3
from ddoq_core.randomness import numpy_rng, torch_rng

START = np.array([[1.0], [5.0]])


def cloud(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch_rng(0, "test", "reference", d), dtype=torch.float64) + 3


@pytest.mark.parametrize(
    ("sample", "gamma", "x", "w"),
    [(0.0, 0.25, [0.75, 5.0], [0.625, 0.375]), (9.0, 0.5, [1.0, 7.0], [0.25, 0.75])],
)
def test_a_step_of_algorithm_1_moves_the_winner_and_all_weights(sample, gamma, x, w):
    points, weights = algorithm_1(np.array([[sample]]), START, [gamma])
    assert (points.flatten().tolist(), weights.tolist()) == (x, w)


def test_algorithm_2_ends_at_the_means_of_its_cells_and_leaves_an_empty_one_alone():
    samples, start = np.array([[0.0], [1.0], [2.0], [10.0], [12.0]]), np.array([[2.0], [10.0], [99.0]])
    assert algorithm_2(samples, start).flatten().tolist() == [1.0, 11.0, 99.0]


def test_algorithm_3_counts_the_start_and_moves_by_one_over_the_count():
    z, v = algorithm_3([np.array([[0.0], [9.0], [0.5]])], START)
    assert (z.flatten().tolist(), v.tolist()) == ([pytest.approx(0.5), 7.0], [3, 2])  # 1 -> 1/2 -> 1/2


def test_no_algorithm_changes_its_start():
    samples, start = cloud(20, 2).numpy(), cloud(3, 2).numpy()
    before = start.copy()
    algorithm_1(samples, start, [0.5] * 20), algorithm_2(samples, start), algorithm_3([samples], start)
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("watch", [None, lambda iterate: None], ids=["at once", "step by step"])
def test_clvq_is_algorithm_1(d, watch):
    X, gamma = cloud(500, d), power_steps(6)
    start = random_samples(X, 6, numpy_rng(0, "test"))
    found = clvq(X, start, steps=gamma, callback=watch)
    x, w = algorithm_1(X.numpy(), start.numpy(), gamma(np.arange(500)))
    np.testing.assert_allclose(found.points, x, rtol=1e-10)
    np.testing.assert_allclose(found.companion, w, rtol=1e-10)


@pytest.mark.parametrize(("n", "d", "form"), [(500, 1, Line), (500, 3, Direct), (80, 400, Gram)])
def test_lloyd_is_algorithm_2_in_every_form(n, d, form):
    X = cloud(n, d)
    start = kmeans_plus_plus(X, 6, numpy_rng(0, "test"))
    assert isinstance(form_of(X, torch.ones(n, dtype=torch.float64), [6], 20), form)
    found, x = lloyd(X, start, tol=0, max_iter=1000).points, algorithm_2(X.numpy(), start.numpy())
    np.testing.assert_allclose(found, np.sort(x, 0) if d == 1 else x, rtol=1e-9)


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("batch", [1, 7, 500])
def test_minibatch_is_algorithm_3_whatever_the_batches(d, batch):
    X = cloud(500, d)
    start = random_samples(X, 6, numpy_rng(0, "test"))
    found = minibatch(X, start)
    z, v = algorithm_3(np.split(X.numpy(), range(batch, 500, batch)), start.numpy())
    np.testing.assert_allclose(found.points, z, rtol=1e-10)
    np.testing.assert_allclose(found.companion, v / v.sum(), rtol=1e-12)
