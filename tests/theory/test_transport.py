"""Proposition 2 and eq. 8-9, by a linear program that knows nothing of Voronoi cells."""

import numpy as np
import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import kmeans_plus_plus, lloyd, quantize
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, atoms
from ddoq_core.theory.transport import wasserstein1_of_samples, wasserstein1_on_line, wasserstein2, wasserstein2_on_line


@pytest.fixture
def cloud():
    return torch.randn(300, 2, generator=torch_rng(0, "test", "cloud"), dtype=torch.float64)


@pytest.fixture
def codebook(cloud):
    return kmeans_plus_plus(cloud, 6, numpy_rng(0, "test", "codebook"))


def test_the_distance_of_sorted_points_on_the_line_is_that_of_their_quantiles():
    x, y = np.array([[0.0], [1.0], [5.0]]), np.array([[2.0], [-1.0], [7.0]])
    uniform = np.full(3, 1 / 3)
    assert wasserstein2(x, uniform, y) == pytest.approx(np.sqrt((1 + 1 + 4) / 3))
    assert wasserstein2(x, uniform, x) == 0


def test_weighted_samples_count_as_often_as_they_weigh(cloud, codebook):
    w = np.full(6, 1 / 6)
    twice = torch.cat([cloud, cloud[:150]])
    mass = torch.ones(300, dtype=torch.float64)
    mass[:150] = 2
    weighted = wasserstein2(codebook, w, cloud, mass / mass.sum())
    assert weighted == pytest.approx(wasserstein2(codebook, w, twice), rel=1e-9)


def test_w2_of_the_voronoi_weights_squared_is_the_distortion(cloud, codebook):  # eq. 8
    found = quantize(cloud, codebook)
    assert wasserstein2(found.points, found.weights, cloud) ** 2 == pytest.approx(found.distortion, rel=1e-9)


def test_voronoi_weights_are_the_best_weights_on_that_support(cloud, codebook):  # Proposition 2
    found, rng = quantize(cloud, codebook), numpy_rng(0, "test", "weights")
    others = [np.full(6, 1 / 6), *rng.dirichlet(np.ones(6), 100), *rng.dirichlet(1e3 * found.weights.numpy(), 100)]
    assert min(wasserstein2(codebook, w, cloud) for w in others) > found.distortion**0.5


def test_lowering_the_distortion_lowers_the_distance(cloud, codebook):  # eq. 9
    before, after = quantize(cloud, codebook), lloyd(cloud, codebook)
    assert wasserstein2(after.points, after.weights, cloud) < wasserstein2(before.points, before.weights, cloud)


@pytest.mark.parametrize("weights", [[0.5, 0.4], [1.5, -0.5], [1.0], [float("nan"), 1.0]])
def test_weights_that_are_no_probability_are_refused(weights):
    with pytest.raises(InputError, match=r"weights has shape .* that sum to 1"):
        wasserstein2(np.zeros((2, 1)), np.array(weights), np.ones((4, 1)))


def test_w2_of_normal_laws_on_a_line():
    """(m - m')^2 + (s - s')^2."""
    p, q = (GaussianMixture([1.0], [[m]], [s]) for m, s in ((0.0, 1.0), (0.5, 1.4)))
    levels = torch.special.ndtr(torch.linspace(-7, 7, 4001, dtype=torch.float64)).numpy()
    assert wasserstein2_on_line(p, q, levels) == pytest.approx((0.25 + 0.16) ** 0.5, abs=1e-6)


def test_w1_of_atoms_and_of_shifts():
    p, q = atoms(torch.tensor([[0.0], [1.0]])), atoms(torch.tensor([[0.25], [3.0]]), torch.tensor([0.5, 0.5]))
    assert wasserstein1_on_line(p, q) == pytest.approx(0.5 * 0.25 + 0.5 * 2)
    law = FOUR_ATOMS.noised(BROWNIAN, 0.3)
    moved = GaussianMixture(law.masses, law.means + 0.7, law.scales)
    assert wasserstein1_on_line(law, moved) == pytest.approx(0.7, abs=1e-7)
    assert wasserstein1_on_line(law, atoms(torch.tensor([[-50.0]]))) == pytest.approx(50 + law.masses @ law.means[:, 0])


def test_w1_of_one_sample_is_the_mean_distance_to_it():
    """E|N| = sqrt(2 / pi)."""
    law = GaussianMixture([1.0], [[0.0]], [1.0])
    assert wasserstein1_of_samples(torch.zeros(1), law) == pytest.approx((2 / np.pi) ** 0.5, abs=1e-4)


def test_points_of_another_dimension_and_points_that_are_not_finite_are_refused(cloud):
    with pytest.raises(InputError, match=r"points are \(2, 3\) and samples \(300, 2\); give \(K, d\) and \(n, d\)"):
        wasserstein2(torch.zeros(2, 3), torch.tensor([0.5, 0.5]), cloud)
    with pytest.raises(InputError, match="a point or sample is not finite"):
        wasserstein2(torch.full((1, 2), float("nan")), torch.ones(1), cloud)
