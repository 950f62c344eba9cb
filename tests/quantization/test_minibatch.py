"""Algorithm 3, lines 3-11: mini-batch k-means as printed, and as D4M calls that of scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans

from ddoq_core.errors import InputError
from ddoq_core.quantization import distortion, minibatch, random_samples
from ddoq_core.quantization.minibatch import d4m_minibatch
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


# ---- as D4M calls scikit-learn


def test_d4ms_codebook_is_that_of_scikit_learn_called_by_hand(samples):
    found = d4m_minibatch(samples, 7, numpy_rng(0, "test", "d4m"))
    rng = numpy_rng(0, "test", "d4m")
    X = samples.numpy()[rng.permutation(600)]
    model = MiniBatchKMeans(7, batch_size=7, n_init="auto", random_state=int(rng.integers(2**31)))
    for batch in np.split(X[:595], 85):  # the last five samples are not met
        model.partial_fit(batch)
    np.testing.assert_allclose(found.points, model.cluster_centers_, rtol=1e-6)
    np.testing.assert_allclose(found.companion, model._counts / model._counts.sum(), rtol=1e-6)


def test_scikit_learns_own_counts_are_not_the_sizes_of_the_cells(samples):
    found = d4m_minibatch(samples, 7, numpy_rng(0, "test", "d4m"))
    assert found.counts.tolist() == torch.cdist(samples, found.points).argmin(1).bincount(minlength=7).tolist()
    assert found.companion.sum().item() == pytest.approx(1) and found.counts.sum() == 600
    assert (found.companion - found.weights).abs().max() > 0.01
    assert found.distortion == pytest.approx(distortion(samples, found.points), rel=1e-9)


def test_d4ms_codebook_follows_from_the_generator_alone(samples):
    first, again, other = (d4m_minibatch(samples, 7, numpy_rng(0, "test", key)) for key in ("one", "one", "two"))
    assert first.points.equal(again.points) and first.companion.equal(again.companion)
    assert not first.points.equal(other.points)


def test_d4ms_codebook_of_more_points_than_samples_is_refused(samples):
    with pytest.raises(InputError):
        d4m_minibatch(samples[:6], 7, numpy_rng(0, "test"))
