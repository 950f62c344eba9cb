"""Algorithm 3, lines 3-11: mini-batch k-means as printed."""

import pytest
import torch

from ddoq_core.quantization import distortion, minibatch, random_samples
from ddoq_core.randomness import numpy_rng


def test_one_pass_leaves_each_point_at_the_mean_of_its_start_and_all_it_won(samples, codebook):
    winners = []
    points = codebook.double().clone()

    def note(iterate):
        winners.append((iterate.points != points).any(1).nonzero().flatten().tolist())
        points.copy_(iterate.points)

    found = minibatch(samples, codebook, callback=note)
    won = torch.tensor([w[0] if w else -1 for w in winners])
    for i in range(8):
        mean = torch.cat([codebook[i : i + 1], samples[won == i]]).double().mean(0)
        torch.testing.assert_close(found.points[i].double(), mean, rtol=1e-5, atol=0)


def test_companion_is_v_over_sum_v_with_v_starting_at_1():
    X = torch.tensor([[0.0], [0.1], [9.0]])
    found = minibatch(X, torch.tensor([[0.0], [10.0]]))
    assert found.companion.tolist() == pytest.approx([3 / 5, 2 / 5])
    assert found.counts.tolist() == [2, 1]  # the exact cells: no start counted


def test_more_passes_are_never_worse(samples):
    start = random_samples(samples, 20, numpy_rng(0, "test"))
    G = [minibatch(samples, start, passes=p, rng=numpy_rng(1, "test")).distortion for p in (1, 3, 9)]
    assert G[0] >= G[1] >= G[2]


def test_the_best_pass_is_returned_with_its_exact_cells(samples, codebook):
    found = minibatch(samples, codebook, passes=5, rng=numpy_rng(0, "test"))
    assert len(found.history) == 6
    assert found.distortion == pytest.approx(min(found.history[1:]), rel=1e-9)
    assert found.distortion == pytest.approx(distortion(samples, found.points), rel=1e-9)
    assert found.counts.sum() == len(samples)


def test_fewer_distinct_samples_than_points_still_count_every_sample():
    found = minibatch(torch.tensor([[0.0], [1.0]]).repeat(5, 1), torch.tensor([[0.0], [0.0], [1.0]]), passes=2)
    assert found.counts.sum() == 10
    assert found.distortion == pytest.approx(0)
