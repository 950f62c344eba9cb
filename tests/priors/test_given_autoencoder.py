"""autoencoder_path with priors that have, or fit, a network: whose latents they are, and what is refused."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from ddoq_core.cost.model import costs
from ddoq_core.cost.sizes import Images
from ddoq_core.errors import InputError
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.autoencoder import latents_of, read_autoencoder
from ddoq_core.priors.dit import DiTPrior
from ddoq_core.priors.load import load_prior, prior_artifact
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run

PIXELS = torch.rand(2, 1, 16, 16, generator=torch_rng(0, "given", "pixels"))


def save(vae_of, folder) -> str:
    with initialised(torch_rng(0, "given", "autoencoder")):
        vae_of().save_pretrained(folder, safe_serialization=True)
    return str(folder)


@pytest.fixture(scope="module")
def tiny_autoencoder(tmp_path_factory) -> str:
    blocks = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks |= {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}  # half of the side
    channels = {"in_channels": 1, "out_channels": 1, "latent_channels": 4}
    return save(lambda: AutoencoderTiny(**channels, **blocks), tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(tiny, squares, tmp_path, tiny_autoencoder):
    """Of a transformer that is fitted to the latents of the squares by the given autoencoder."""

    def of(store="store", **values) -> Run:
        made = {"prior": "pretrain", "autoencoder_path": tiny_autoencoder, "methods": ["d4m"], "diffusion_width": 32}
        made |= {"diffusion_layers": 1, "artifacts": str(tmp_path / store)}
        found = Run(tiny.replace(**made | values))
        found.__dict__["dataset"] = squares
        return found

    return of


def test_a_transformer_is_fitted_to_the_latents_of_the_given_autoencoder_and_distils(run, tiny_autoencoder):
    found = run()
    assert len(found.distilled("d4m", 2)) == 6
    prior = load_prior(found.prior.path, autoencoder_path=tiny_autoencoder)
    assert isinstance(prior, DiTPrior) and prior.latent_shape == (4, 8, 8)
    assert prior.class_names == ("left", "middle", "right")
    assert prior.transformer.config.num_layers == 1 and prior.transformer.inner_dim == 32
    every = torch.cat([found.class_latents(c)[0] for c in range(3)])
    assert abs(every.std().item() - 1) < 0.01  # the scale that was measured is kept
    torch.testing.assert_close(
        prior.encode(found.dataset.train.images(found.dataset.train.of_class(1)[:2])), found.class_latents(1)[0][:2]
    )


def test_it_learns_to_tell_noise_from_latents(run):
    """The mean squared error of the noise that it predicts, of fresh noise, falls below that of none."""
    found = run(diffusion_epochs=60)
    prior, every = load_prior(found.prior.path), torch.cat([found.class_latents(c)[0] for c in range(3)])
    noise, t = torch.randn(every.shape, generator=torch_rng(1, "given", "noise")), torch.tensor(700)
    signal = prior._scheduler("checkpoint").alphas_cumprod[700]
    labels = torch.arange(3).repeat_interleave(len(every) // 3)
    with torch.no_grad():
        found = prior.predicted(signal.sqrt() * every + (1 - signal).sqrt() * noise, t, labels)
    assert (found - noise).square().mean() < 0.5


def test_a_refit_gives_the_same_bytes_and_another_size_another_prior(run, contents):
    assert contents(run("one").prior) == contents(run("two").prior)
    assert run("one").prior.key != run("one", diffusion_patch=4).prior.key


def test_a_prior_of_latents_needs_latents_that_are_kept(run):
    with pytest.raises(InputError, match="prior = pretrain needs the latents; set keep_latents=true"):
        run(keep_latents=False).prototypes()


def test_a_width_of_no_whole_heads_is_refused_before_anything_is_made(run, tmp_path):
    with pytest.raises(InputError, match="diffusion_width = 40, but it must be a multiple of the width of a head, 32"):
        _ = run(diffusion_width=40).prior
    assert not list((tmp_path / "store").glob("prior/*"))


def test_the_cost_has_no_autoencoder_to_fit_and_encodes_once(tiny, tiny_autoencoder):
    images = Images(n=90, n_classes=3, channels=1, bytes=256, files=True)
    own, given = (
        {c.step: c for c in costs(tiny.replace(prior="pretrain", methods=["d4m"], autoencoder_path=path), images)}
        for path in ("", tiny_autoencoder)
    )
    assert given["prior"].reads == 0 < own["prior"].reads and given["prior"].flops > 0
    assert given["encode"].flops < own["prior"].flops


def kl() -> AutoencoderKL:
    """Of the latents of `save_random_prior`, and of other weights."""
    return AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        mid_block_add_attention=False, scaling_factor=0.3, sample_size=16,
    )  # fmt: skip


def test_a_folder_takes_an_autoencoder_of_the_same_latents_in_place_of_its_own(prior, tiny, tmp_path):
    place = save(kl, tmp_path / "vae")
    mine, own = load_prior(prior.path, autoencoder_path=place), load_prior(prior.path)
    with torch.no_grad():
        torch.testing.assert_close(mine.encode(PIXELS), latents_of(read_autoencoder(tmp_path / "vae"), PIXELS, None))
    assert (mine.encode(PIXELS) - own.encode(PIXELS)).abs().max() > 1e-3
    profile = tiny.replace(prior="dit", prior_path=str(prior.path))
    assert prior_artifact(profile.replace(autoencoder_path=place)).key != prior_artifact(profile).key


def test_an_autoencoder_of_other_latents_is_refused_by_name(prior, tmp_path):
    place = save(lambda: AutoencoderTiny(in_channels=1, out_channels=1, latent_channels=3), tmp_path / "vae")
    with pytest.raises(InputError, match=r"has 3 channels at 1/8 of the side, but the latents of .* have 4 at 1/2"):
        load_prior(prior.path, autoencoder_path=place)


def test_the_index_of_a_prior_that_was_made_on_a_given_autoencoder_names_it(run):
    index = json.loads((run().prior.path / "model_index.json").read_text())
    assert index["_class_name"] == "DiTPipeline" and len(index["autoencoder"]) == 16
