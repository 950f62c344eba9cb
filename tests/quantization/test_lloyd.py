"""Algorithm 2: what holds along Lloyd's iteration and at its end."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_core.quantization import assign, best_of_restarts, exact_quantizer, kmeans_plus_plus, lloyd, random_samples
from ddoq_core.randomness import numpy_rng, torch_rng


def test_distortion_never_increases_along_lloyd(samples):
    for seed in range(10):
        history = lloyd(samples, random_samples(samples, 25, numpy_rng(seed, "test")), tol=0).history
        assert len(history) > 3
        assert (np.diff(history) < 0).all()


def test_stationary_grid_is_its_own_cell_means(samples, codebook):
    found = lloyd(samples, codebook, tol=0)
    labels = assign(samples, found.points)
    means = torch.stack([samples[labels == i].double().mean(0) for i in range(8)])
    torch.testing.assert_close(found.points.double(), means, rtol=1e-6, atol=0)


def test_stationary_grid_keeps_the_mean_and_splits_the_variance(samples, codebook):
    # E[X | cell] = point, so E X = E X^ and Var X = Var X^ + G
    found, X = lloyd(samples, codebook, tol=0), samples.double()
    quantized = found.points.double()[assign(samples, found.points)]
    torch.testing.assert_close(quantized.mean(0), X.mean(0), rtol=1e-6, atol=0)
    variances = [(Y - Y.mean(0)).square().sum(1).mean().item() for Y in (X, quantized)]
    assert variances[0] == pytest.approx(variances[1] + found.distortion, rel=1e-5)


def test_the_result_tells_the_distortion_and_cells_of_its_own_points(samples, codebook):
    found = lloyd(samples, codebook)
    assert found.distortion == pytest.approx(found.history[-1], rel=1e-9)
    assert found.counts.tolist() == torch.bincount(assign(samples, found.points), minlength=8).tolist()


def test_one_point_goes_to_the_mean_and_leaves_the_variance(samples):
    found = lloyd(samples, samples[:1])
    torch.testing.assert_close(found.points[0], samples.double().mean(0).float())
    assert found.distortion == pytest.approx(samples.double().var(0, correction=0).sum().item(), rel=1e-6)


def test_as_many_points_as_samples_leave_no_distortion(samples):
    assert lloyd(samples[:40], samples[:40]).distortion == 0


def test_permuted_translated_and_scaled_samples_give_the_same_quantizer(samples, codebook):
    plain = lloyd(samples.double(), codebook.double(), tol=0)
    order = torch.randperm(len(samples), generator=torch_rng(0, "test", "order"))
    moved = lloyd(2 * samples.double()[order] - 7, 2 * codebook.double() - 7, tol=0)
    torch.testing.assert_close(moved.points, 2 * plain.points - 7)
    assert torch.equal(moved.counts, plain.counts)


def test_an_empty_cell_is_refilled(samples, codebook):
    far = codebook.clone()
    far[3:] = 1e3  # five points that no sample is nearest to
    found = lloyd(samples, far)
    assert (found.counts > 0).all()
    assert found.distortion < 1.5 * lloyd(samples, codebook).distortion


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fewer_distinct_samples_than_points_end_without_distortion(dtype):
    X = torch.randn(3, 2, generator=torch_rng(0, "test"), dtype=torch.float64).to(dtype).repeat(7, 1)
    found = best_of_restarts(X, 5, n_restarts=2, rng=numpy_rng(0, "test"))
    assert found.counts.sum() == 21
    assert (found.counts > 0).sum() == 3
    assert found.distortion == pytest.approx(0, abs=1e-12)


def test_lloyd_does_not_change_what_it_is_given(samples, codebook):
    before = samples.clone(), codebook.clone()
    lloyd(samples, codebook)
    assert torch.equal(samples, before[0])
    assert torch.equal(codebook, before[1])


def test_callback_sees_every_iterate_of_the_history(samples, codebook):
    seen = []
    found = lloyd(samples, codebook, callback=lambda it: seen.append((it.step, it.distortion)))
    assert seen == list(enumerate(found.history))


def test_more_restarts_are_never_worse(samples):
    G = [best_of_restarts(samples, 20, n_restarts=r, rng=numpy_rng(0, "test")).distortion for r in (1, 3, 10)]
    assert G[0] >= G[1] >= G[2]


def test_lloyd_on_quantiles_of_the_normal_law_finds_its_exact_quantizer():
    # N(0, 1) is log-concave: the stationary grid is unique
    X = torch.from_numpy(norm.ppf((np.arange(200_000) + 0.5) / 200_000))[:, None]
    found = lloyd(X, kmeans_plus_plus(X, 5, numpy_rng(0, "test")), tol=1e-12, max_iter=2000)
    exact = exact_quantizer(norm(), 5)
    np.testing.assert_allclose(found.points[:, 0].sort().values, exact.points, atol=2e-4)
    assert found.distortion == pytest.approx(exact.distortion, abs=1e-4)
