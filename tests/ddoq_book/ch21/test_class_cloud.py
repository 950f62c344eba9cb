"""One class of latents: distances, errors in expectation and moments of weighted draws."""

import math

import numpy as np
import pytest
import torch

from ddoq_book.ch21.class_cloud import ClassCloud, expectation_errors, moments, quantities
from ddoq_core.randomness import numpy_rng


def cloud(n: int = 40, K: int = 4, d: int = 3, seed: int = 0) -> ClassCloud:
    """Normal latents, the first K of them as codebook with its cell masses."""
    z = torch.from_numpy(numpy_rng(seed, "cloud").standard_normal((n + 20, d)))
    cells = torch.cdist(z[:n], z[:K]).argmin(1)
    return ClassCloud(3, z[:n], z[n:], z[:K], torch.bincount(cells, minlength=K).double() / n)


def test_the_codebook_is_one_unit_from_the_cloud_by_both_distances():
    c = cloud()
    found = quantities(c, c.points[:, None], c.masses, c.held_out)
    assert found["W2"] == pytest.approx(1) and found["W2 of one"] == pytest.approx(1)
    assert found["worst"] == pytest.approx(1)  # Theorem 5: the distance to the codebook is the worst function
    assert found["uniform W2"] > 1  # Proposition 2
    assert found["within"] == found["one draw"] == 0


def test_no_1_lipschitz_function_of_those_tried_has_an_error_above_w1_of_the_codebook():
    c = cloud()
    errors = expectation_errors(c, c.points, c.masses, c.held_out)
    assert len(errors) == len(c.held_out) + 1
    assert errors.max().item() <= c.codebook_errors[0] + 1e-12 and errors[-1].item() == pytest.approx(
        c.codebook_errors[0]
    )


def test_the_cloud_itself_has_no_error_and_its_own_variance():
    c = cloud()
    found = quantities(c, c.latents[:, None], torch.full((40,), 1 / 40, dtype=torch.float64), c.held_out)
    assert found["W2"] == pytest.approx(0, abs=1e-6)
    assert found["error"] == pytest.approx(0, abs=1e-9)
    assert found["mean"] == pytest.approx(0, abs=1e-9) and found["variance"] == pytest.approx(100)


def test_moments_are_unbiased_whatever_the_number_of_draws():
    centres, w = torch.tensor([[0.0, 0.0], [3.0, 0.0]]).double(), torch.tensor([0.25, 0.75]).double()
    for R in (2, 5):
        noise = torch.from_numpy(numpy_rng(1, "moments", R).standard_normal((4000, 2, R, 2)))
        found = [moments(y, w)[1:] for y in centres[:, None] + noise]
        mean, error = np.mean(found, 0), np.std(found, 0) / math.sqrt(4000)
        exact = (2.0, 2.0 + 9 * 0.25 * 0.75, 2 * (0.25**2 + 0.75**2))  # within, in all, of the mean of one draw each
        assert (np.abs(mean - exact) < 5 * error).all()


def test_the_squared_error_of_the_mean_is_freed_of_the_noise_of_its_draws():
    c = cloud()
    rng, w = numpy_rng(2, "mean"), torch.tensor([0.5, 0.5]).double()
    draws = [c.mean + 2 * torch.from_numpy(rng.standard_normal((2, 2, 3))) for _ in range(300)]
    values = np.array([quantities(c, y, w, c.held_out[:1])["mean"] for y in draws])
    assert abs(values.mean()) < 5 * values.std() / math.sqrt(300)
