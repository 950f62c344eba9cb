"""On a line: the optimum, against dynamic programming; Lloyd's algorithm by prefix sums, against brute force."""

import kmeans1d
import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import best_of_restarts, companding, distortion, exact_quantizer, lloyd
from ddoq_core.quantization.line import Line
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
    with pytest.raises(InputError, match="2 dimensions, but companding needs 1"):
        companding(torch.zeros(5, 2), 2)


def weighted_optimum(x, mass, K):
    """Least distortion by dynamic programming over all divisions, in extended precision and without differences."""
    order = x.argsort()
    x, mass = x[order].astype(np.longdouble), mass[order].astype(np.longdouble)
    cost = np.full((len(x) + 1, len(x) + 1), np.inf, np.longdouble)
    for i in range(len(x)):
        total = mean = spent = np.longdouble(0)
        for j in range(i, len(x)):
            if mass[j] > 0:
                share, away = mass[j] / (total + mass[j]), x[j] - x[i] - mean
                total, mean, spent = total + mass[j], mean + share * away, spent + total * share * away**2
            cost[i, j + 1] = spent
    least = cost[0]
    for _ in range(K - 1):
        least = np.array([np.inf, *((least[:j] + cost[:j, j]).min() for j in range(1, len(x) + 1))])
    return float(least[-1] / mass.sum())


PLACES = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "far from the origin": lambda rng, n: 1e6 + rng.standard_normal(n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n) ** 3,
    "lattice": lambda rng, n: rng.integers(0, 20, n).astype(float),
    "twenty-five powers of e": lambda rng, n: np.exp(rng.uniform(0, 25, n)),
}
MASSES = {
    "ones": lambda rng, x: np.ones(len(x)),
    "uniform": lambda rng, x: rng.random(len(x)),
    "light tail": lambda rng, x: np.exp(-2.4 * np.log1p(np.abs(x))),
    "forty powers of e": lambda rng, x: np.exp(-rng.uniform(0, 40, len(x))),
    "a hundred powers of ten": lambda rng, x: 10 ** -rng.uniform(0, 100, len(x)),
    "some zero": lambda rng, x: rng.random(len(x)) * (rng.random(len(x)) < 0.7),
}


@pytest.mark.parametrize("mass", MASSES.values(), ids=MASSES)
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_no_points_are_better_than_the_optimum_whatever_the_masses(places, mass):
    rng = numpy_rng(0, "test", "masses")
    for n, K in ((7, 3), (40, 2), (60, 11), (80, 30)):
        x = places(rng, n)
        m = mass(rng, x)
        found = best(x, K, mass=torch.from_numpy(m))
        rounding = (np.finfo(float).eps * np.abs(x).max()) ** 2  # of the points
        assert found.distortion == pytest.approx(weighted_optimum(x, m, K), rel=1e-9, abs=rounding)
        assert found.weights.sum().item() == pytest.approx(1) and found.points.isfinite().all()


@pytest.mark.parametrize("mass", MASSES.values(), ids=MASSES)
def test_lloyd_with_masses_never_increases_the_distortion_that_it_tells(mass):
    rng = numpy_rng(0, "test", "lloyd")
    x = rng.standard_cauchy(500) ** 3
    m = mass(rng, x)
    found = lloyd(
        torch.from_numpy(x)[:, None], torch.from_numpy(x[m > 0][:20])[:, None], mass=torch.from_numpy(m), tol=0
    )
    assert (np.diff(found.history) < 0).all()
    assert found.history[-1] == pytest.approx(found.distortion, rel=1e-9)


def test_a_light_tail_far_from_the_bulk_gets_its_own_points():
    # 2 K samples of mass 1 about 0, and as many of 1e-14 about 1e7: both halves are worth the same
    bulk = np.repeat(np.arange(10.0), 2) + np.tile([0, 0.125], 10)
    x, m = np.concatenate([bulk, 1e7 * (1 + bulk)]), np.repeat([1.0, 1e-14], 20)
    found = best(x, 20, mass=torch.from_numpy(m))
    assert found.points[:, 0].tolist() == pytest.approx([*(np.arange(10) + 1 / 16), *(1e7 * (np.arange(10) + 17 / 16))])


def test_one_outlier_leaves_its_digits_to_equal_masses():
    bulk = np.repeat(np.arange(10.0), 2) + np.tile([0, 0.125], 10)
    found = best(np.append(bulk, -1e15), 11)
    assert found.points[1:, 0].tolist() == pytest.approx(list(np.arange(10) + 1 / 16), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-170, 1e-100])
def test_the_search_ends_where_some_distances_have_squares_below_the_range(scale):
    x = np.append(scale * np.arange(30.0), 1.0)
    for mass in (np.ones(31), np.append(np.ones(30), 0.5)):
        found = best(x, 6, mass=torch.from_numpy(mass))
        assert found.counts.sum() == 31 and found.points[-1].item() == 1


def test_equal_masses_are_added_up_once_and_unequal_ones_by_cell():
    x = torch.from_numpy(numpy_rng(0, "test").standard_normal(100))[:, None]
    assert not Line(x, torch.full((100,), 0.5).double()).cancels
    assert Line(x, torch.arange(1.0, 101.0).double()).cancels
