"""The exact score of a cloud of latents: against the closed form, where it ends, and what its windows see."""

import math

import pytest
import torch
from diffusers import AutoencoderTiny
from torch.utils.flop_counter import FlopCounterMode

from ddoq_core.cost.counts import exact_score
from ddoq_core.errors import InputError
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.exact import Cloud, _windowed, encoder_artifact, posterior_mean
from ddoq_core.priors.load import load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.theory.measures import GaussianMixture

SHAPE = (3, 5, 5)


def latents_of(n: int, name: str, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch_rng(0, "exact", name), dtype=torch.float64)


def mean(x: torch.Tensor, clouds: list[torch.Tensor], a: float, s: float, radius: int) -> torch.Tensor:
    return posterior_mean(x, [Cloud.of(z) for z in clouds], a, s, radius)


def test_over_the_whole_latent_it_is_the_score_of_the_point_cloud_of_the_theory():
    z, a, s = latents_of(20, "cloud") / 4, 0.8, 0.9  # near enough that several points have a say
    x = a * z[:4] + s * latents_of(4, "noise")
    found = (a * mean(x, [z], a, s, radius=4) - x) / s**2
    expected = GaussianMixture([1 / 20] * 20, a * z.flatten(1), [s] * 20).score(x.flatten(1))
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-10)
    single = (a * mean(x.float(), [z.float()], a, s, radius=4) - x.float()) / s**2
    torch.testing.assert_close(single.double(), found, rtol=0, atol=1e-3)
    wrong = (a * mean(x, [z], a, 0.9 * s, radius=4) - x) / s**2  # the control: a noise 10 % smaller is told apart
    assert (wrong.flatten(1) - expected).abs().max() > 1e-3


def test_of_two_clouds_it_is_the_score_of_their_mixture():
    """p = (n p_1 + m p_2) / (n + m), so the score is the mean of both, weighed by their shares of the density at x."""
    a, s = 0.7, 0.9
    clouds = [latents_of(7, "one") / 4, latents_of(13, "two") / 4 + 0.1]
    x = latents_of(5, "x")
    laws = [GaussianMixture([1 / n] * n, a * z.flatten(1), [s] * n) for z, n in ((z, len(z)) for z in clouds)]
    shares = torch.stack([law.log_density(x.flatten(1)) + math.log(len(law.masses)) for law in laws]).softmax(0)
    expected = sum(share[:, None] * law.score(x.flatten(1)) for share, law in zip(shares, laws, strict=True))
    found = (a * mean(x, clouds, a, s, radius=4) - x) / s**2
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-10)
    assert (shares.amin(0) > 0.01).any()  # both clouds have a say


def test_windows_of_side_2h_minus_1_see_the_whole_latent():
    z, x = latents_of(30, "cloud"), latents_of(3, "noise")
    whole = mean(x, [z], 0.9, 0.5, radius=4)  # side 9 of a latent of side 5
    by_windows = _windowed(latents_of(4, "values", (25, 6)).movedim(0, 1), 5, 5, 4)
    torch.testing.assert_close(by_windows, by_windows[:1].expand_as(by_windows), rtol=0, atol=1e-12)
    torch.testing.assert_close(mean(x, [z], 0.9, 0.5, radius=40), whole)
    assert (mean(x, [z], 0.9, 0.5, radius=3) - whole).abs().max() > 1e-3


def test_a_window_asks_its_own_pixels_and_no_other():
    z, x, radius = latents_of(30, "cloud"), latents_of(2, "noise"), 1
    found = mean(x, [z], 0.7, 0.7, radius)
    for i, j in ((0, 0), (2, 3), (4, 4)):
        rows, columns = slice(max(i - 1, 0), i + 2), slice(max(j - 1, 0), j + 2)
        there = mean(x[..., rows, columns], [z[..., rows, columns]], 0.7, 0.7, radius=5)
        torch.testing.assert_close(found[..., i, j], there[..., min(i, 1), min(j, 1)])


def test_a_cloud_in_parts_is_the_cloud():
    z, x = latents_of(30, "cloud") * 5, latents_of(3, "noise")  # far apart, so that one part alone would differ
    parts = mean(x, list(z.split([1, 9, 20])), 0.9, 0.3, radius=1)
    torch.testing.assert_close(parts, mean(x, [z], 0.9, 0.3, radius=1))
    other = mean(x, list(z.split([1, 9, 20])[:2]), 0.9, 0.3, radius=1)
    assert (parts - other).abs().max() > 1e-3


@pytest.mark.parametrize(("b", "radius"), [(1, 7), (10, 7), (1, 3), (10, 3)])
def test_it_costs_two_products_with_the_cloud_and_two_with_bands(b, radius):
    """4 n c h w operations an image, and 2 n h w (h + w) for windows: 2.7 GFLOP for ImageNet's 1,300, where a
    difference for every pair, pixel and channel would read as many numbers as it computes."""
    n, c, side = 13, 32, 8
    z, x = latents_of(n, "cloud", (c, side, side)), latents_of(b, "noise", (c, side, side))
    with FlopCounterMode(display=False) as counter:
        mean(x, [z], 0.9, 0.5, radius)
    assert counter.get_total_flops() == b * exact_score(n, (c, side, side), radius < side - 1)


TINY = {"in_channels": 1, "out_channels": 1, "latent_channels": 4}


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """A folder with an AutoencoderTiny of random weights."""
    folder = tmp_path_factory.mktemp("autoencoder")
    with initialised(torch_rng(0, "exact", "autoencoder")):
        AutoencoderTiny(**TINY).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def run(autoencoder, squares, tiny, tmp_path_factory):
    """A run on the squares whose prior is the exact score of their latents."""
    found = {}

    def of(**values) -> Run:
        profile = tiny.replace(
            prior="exact", autoencoder_path=str(autoencoder), guidance_scale=1.0, methods=["d4m"],
            artifacts=str(tmp_path_factory.getbasetemp() / "exact"), **values,
        )  # fmt: skip
        run = found.setdefault(str(profile.locality), Run(profile))
        run.__dict__["dataset"] = squares
        return run

    return of


def denoised(run, latents, labels, strength=0.7, **values):
    model = load_prior(run.prior.path)
    rng = [torch_rng(0, "exact", "noise", i) for i in range(len(labels))]
    values = {"guidance": 1.0, "steps": 20} | values
    return model.denoise(latents, torch.tensor(labels), strength=strength, noise=rng, **values)


def test_without_noise_it_is_the_decoded_centroid_and_latents_have_unit_variance(run):
    found = run()
    z, _ = found.class_latents(1)
    assert torch.equal(denoised(found, z[:2], [1, 1], strength=0.0), z[:2])
    every = torch.cat([found.class_latents(c)[0] for c in range(3)])
    assert abs(every.mean().item()) < 0.01 and abs(every.std().item() - 1) < 0.01


def test_the_global_score_ends_at_training_latents_from_any_start(run):
    found = run(locality="global")
    z, _ = found.class_latents(2)
    starts = torch.cat([z.mean(0, keepdim=True), z.mean(0, keepdim=True).flip(1)])
    for ends in (denoised(found, starts, [2, 2]), denoised(found, None, [2, 2])):
        distances = (ends[:, None] - z).square().mean((2, 3, 4))
        assert distances.amin(1).max() < 1e-3


def test_windows_that_do_not_grow_have_their_side_and_2h_minus_1_is_global(run):
    start = torch.zeros(1, 4, 2, 2)  # latents of 16 pixels are of side 2
    ends = {name: denoised(run(locality=name), start, [1]) for name in (1, 3, "global")}
    torch.testing.assert_close(ends[3], ends["global"], rtol=0, atol=1e-5)
    assert (ends[1] - ends[3]).abs().max() > 1e-3


def test_noise_is_each_images_own_whatever_the_batch_and_another_sampler_draws_more(run):
    found = run()
    z, _ = found.class_latents(0)
    three = denoised(found, z[:3], [0, 1, 0])
    alone = load_prior(found.prior.path).denoise(
        z[2:3], torch.tensor([0]), strength=0.7, guidance=1.0, steps=20, noise=[torch_rng(0, "exact", "noise", 2)]
    )
    torch.testing.assert_close(three[2:], alone, rtol=0, atol=1e-5)
    assert (denoised(found, z[:3], [0, 1, 0], sampler="ddpm") - three).abs().max() > 1e-2


def test_classes_of_a_batch_do_not_mix_and_guidance_leads_away_from_the_others(run):
    found = run()
    z, _ = found.class_latents(0)
    start = z.mean(0, keepdim=True)
    both = denoised(found, torch.cat([start, start]), [0, 2])
    torch.testing.assert_close(both[:1], denoised(found, start, [0]))
    assert (denoised(found, start, [0], guidance=2.0) - both[:1]).abs().max() > 1e-3


def test_the_pipeline_distils_with_it(run):
    found = run().distilled("d4m", 2)
    assert len(found) == 6


def test_an_autoencoder_that_is_not_there_is_named(tiny, squares, store):
    with pytest.raises(InputError, match="set autoencoder_path"):
        encoder_artifact(store, squares, tiny.replace(prior="exact"))
    with pytest.raises(InputError, match="no folder or file nowhere"):
        encoder_artifact(store, squares, tiny.replace(prior="exact", autoencoder_path="nowhere"))
