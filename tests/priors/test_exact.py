"""The exact score of a cloud of latents: against the closed form, where it ends, and what its windows see."""

import pytest
import torch
from diffusers import AutoencoderTiny

from ddoq_core.errors import InputError
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.exact import encoder_artifact, posterior_mean
from ddoq_core.priors.load import load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.theory.measures import GaussianMixture

SHAPE = (3, 5, 5)


def cloud(n: int, name: str, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch_rng(0, "exact", name), dtype=torch.float64)


def test_over_the_whole_latent_it_is_the_score_of_the_point_cloud_of_the_theory():
    z, a, s = cloud(20, "cloud"), 0.8, 0.6
    x = a * z[:4] + s * cloud(4, "noise")
    found = (a * posterior_mean(x, [z], a, s, radius=4) - x) / s**2
    each, spread = torch.full((2, 20), 1 / 20, dtype=torch.float64)
    noised = GaussianMixture(each, a * z.flatten(1), spread * 20 * s)
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
        run = found.setdefault(profile.locality, Run(profile))
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
    with pytest.raises(InputError, match="no folder nowhere"):
        encoder_artifact(store, squares, tiny.replace(prior="exact", autoencoder_path="nowhere"))
