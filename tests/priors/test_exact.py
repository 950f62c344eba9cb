"""The exact score of a cloud of latents: against the closed form, where it ends, and what its windows see."""

import torch

from ddoq_core.priors.exact import posterior_mean
from ddoq_core.randomness import torch_rng
from ddoq_core.theory.measures import GaussianMixture

SHAPE = (3, 5, 5)


def cloud(n: int, name: str, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch_rng(0, "exact", name), dtype=torch.float64)


def test_over_the_whole_latent_it_is_the_score_of_the_point_cloud_of_the_theory():
    z, a, s = cloud(20, "cloud"), 0.8, 0.6
    x = a * z[:4] + s * cloud(4, "noise")
    found = (a * posterior_mean(x, [z], a, s, radius=4) - x) / s**2
    noised = GaussianMixture(torch.full((20,), 1 / 20, dtype=torch.float64), a * z.flatten(1), torch.full((20,), s))
    expected = noised.score(x.flatten(1))
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-10)
    single = (a * posterior_mean(x.float(), [z.float()], a, s, radius=4) - x.float()) / s**2
    torch.testing.assert_close(single.double(), found, rtol=0, atol=1e-3)


def test_windows_of_radius_side_minus_one_see_the_whole_latent():
    z, x = cloud(30, "cloud"), cloud(3, "noise")
    whole = posterior_mean(x, [z], 0.9, 0.5, radius=4)
    torch.testing.assert_close(posterior_mean(x, [z], 0.9, 0.5, radius=40), whole)
    assert (posterior_mean(x, [z], 0.9, 0.5, radius=3) - whole).abs().max() > 1e-3


def test_a_window_asks_its_own_pixels_and_no_other():
    z, x, radius = cloud(30, "cloud"), cloud(2, "noise"), 1
    found = posterior_mean(x, [z], 0.7, 0.7, radius)
    for i, j in ((0, 0), (2, 3), (4, 4)):
        rows, columns = slice(max(i - 1, 0), i + 2), slice(max(j - 1, 0), j + 2)
        there = posterior_mean(x[..., rows, columns], [z[..., rows, columns]], 0.7, 0.7, radius=5)
        torch.testing.assert_close(found[..., i, j], there[..., min(i, 1), min(j, 1)])


def test_a_cloud_in_parts_is_the_cloud():
    z, x = cloud(30, "cloud") * 5, cloud(3, "noise")  # far apart, so that one part alone would differ
    parts = posterior_mean(x, z.split([1, 9, 20]), 0.9, 0.3, radius=1)
    torch.testing.assert_close(parts, posterior_mean(x, [z], 0.9, 0.3, radius=1))
    other = posterior_mean(x, z.split([1, 9, 20])[:2], 0.9, 0.3, radius=1)
    assert (parts - other).abs().max() > 1e-3
