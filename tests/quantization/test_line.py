"""On a line: the optimum, against dynamic programming; Lloyd's algorithm by prefix sums, against brute force."""

import kmeans1d
import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import best_of_restarts, companding, distortion, exact_quantizer
from ddoq_core.randomness import numpy_rng


def best(x, K, **options):
    return best_of_restarts(torch.from_numpy(x)[:, None], K, n_restarts=1, rng=numpy_rng(0, "test"), **options)


def dynamic_programming(x, K):
    points = torch.tensor(kmeans1d.cluster(x.tolist(), K).centroids, dtype=torch.float64)[:, None]
    return distortion(torch.from_numpy(x)[:, None], points)


LAWS = {law: getattr(numpy_rng(0, "test", law), law)(size=1500) for law in ("standard_normal", "lognormal", "uniform")}
LATTICES = {
    "lattice": np.arange(100.0),  # one price for many K
    "heavy atoms": np.repeat(np.arange(9.0), 20),
    "random lattice": numpy_rng(0, "test").integers(0, 30, 500).astype(float),
}


@pytest.mark.parametrize("K", [1, 2, 7, 30, 400])
@pytest.mark.parametrize("x", LAWS.values(), ids=LAWS)
def test_no_points_are_better_than_the_optimum(x, K):
    assert best(x, K).distortion == pytest.approx(dynamic_programming(x, K), rel=1e-9)


@pytest.mark.parametrize("K", range(1, 61, 3))
@pytest.mark.parametrize("x", LATTICES.values(), ids=LATTICES)
def test_the_optimum_is_found_where_several_levels_have_one_price(x, K):
    found = best(x, K)
    assert found.distortion == pytest.approx(dynamic_programming(x, K), rel=1e-9, abs=1e-15)
    assert found.counts.sum() == len(x) and len(found.points) == K


def test_random_starts_end_above_the_optimum():
    x = numpy_rng(0, "test").standard_normal(20_000)
    assert best(x, 200, init="random").distortion > 1.05 * best(x, 200).distortion


def test_a_far_origin_does_not_blur_the_optimum():
    x = numpy_rng(0, "test").standard_normal(1000)
    assert best(1e6 + x, 50).distortion == pytest.approx(best(x, 50).distortion, rel=1e-6)


def test_the_optimum_of_weighed_samples_is_that_of_repeated_ones():
    x = numpy_rng(0, "test").standard_normal(300)
    mass = torch.arange(300) % 4
    repeated = best(np.repeat(x, mass.numpy()), 9)
    weighed = best(x, 9, mass=mass)
    torch.testing.assert_close(weighed.points, repeated.points)
    assert weighed.distortion == pytest.approx(repeated.distortion)


def test_the_optimum_of_many_quantiles_is_the_exact_quantizer_of_the_normal_law():
    exact = exact_quantizer(norm(), 20)
    found = best(norm.ppf((np.arange(200_000) + 0.5) / 200_000), 20)
    np.testing.assert_allclose(found.points[:, 0], exact.points, atol=1e-3)
    assert found.distortion == pytest.approx(exact.distortion, rel=1e-2)


def test_companding_points_have_the_optimal_density():
    # For N(0, 1) the density p^(1/3) is that of N(0, 3)
    X = torch.from_numpy(numpy_rng(0, "test").standard_normal((50_000, 1)))
    points = companding(X, 100)
    assert points.std().item() == pytest.approx(np.sqrt(3), rel=0.1)
    assert distortion(X, points) < 1.2 * best(X[:, 0].numpy(), 100).distortion


def test_companding_is_for_one_dimension():
    with pytest.raises(InputError, match="2 dimensions, but companding is for one"):
        companding(torch.zeros(5, 2), 2)
