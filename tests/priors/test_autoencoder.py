"""Autoencoders from a folder: the layouts that are read, and the networks against their authors' description."""

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import nn

from ddoq_core.errors import InputError
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.autoencoder import (
    AutoencoderTAEF2,
    autoencoder_digest,
    images_of,
    latents_of,
    measure_scale,
    read_autoencoder,
    save_autoencoder,
)
from ddoq_core.randomness import torch_rng

DATA = os.environ.get("DDOQ_DATA")


class Block(nn.Module):
    """TAEF2's block as its authors describe it."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        three = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(three[0], nn.ReLU(), three[1], nn.ReLU(), three[2])
        down, up = nn.Conv2d(64, 256, 1, bias=False), nn.Conv2d(256, 64, 1, bias=False)
        self.pool = nn.Sequential(down, nn.GroupNorm(4, 256), nn.ReLU(), up) if pooled else None

    def forward(self, x):
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    def forward(self, x):
        return 3 * torch.tanh(x / 3)


def numbered(near: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder with the layers of the published files, in their order."""

    def stage(pooled: bool = False) -> list[nn.Module]:
        return [Block(pooled) for _ in range(3)]

    def down() -> nn.Module:
        return nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)

    def up() -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]

    first, last = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 32, 3, padding=1)
    encoder = [first, Block(False), down(), *stage(), down(), *stage(), down(), *stage(near), last]
    first, last = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 3, 3, padding=1)
    decoder = [Clamp(), first, nn.ReLU(), *stage(near), *up(), *stage(), *up(), *stage(), *up(), Block(False), last]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


@pytest.mark.parametrize(("near", "kind"), [(True, AutoencoderTAEF2), (False, AutoencoderTiny)])
@torch.no_grad()
def test_the_two_files_of_taesd_and_its_kin_are_read(tmp_path, near, kind):
    with initialised(torch_rng(0, "autoencoder")):
        encoder, decoder = numbered(near)
    safetensors.torch.save_model(encoder, tmp_path / "mine_encoder.safetensors")
    safetensors.torch.save_model(decoder, tmp_path / "mine_decoder.safetensors")
    vae, images = read_autoencoder(tmp_path), torch.rand(2, 3, 16, 16, generator=torch_rng(0, "images"))
    assert type(vae) is kind
    latents = latents_of(vae, images, None)
    torch.testing.assert_close(latents, encoder(images))
    torch.testing.assert_close(images_of(vae, latents), decoder(latents).clamp(0, 1))
    vae.save_pretrained(tmp_path / "saved")
    torch.testing.assert_close(latents_of(read_autoencoder(tmp_path / "saved"), images, None), latents)


@torch.no_grad()
def test_the_measured_scale_gives_unit_variance_and_is_undone_by_the_decoder():
    with initialised(torch_rng(0, "autoencoder")):
        vae = AutoencoderTiny()
    images = torch.rand(8, 3, 32, 32, generator=torch_rng(0, "images"))
    before = images_of(vae, latents_of(vae, images, None))
    measure_scale(vae, images.split(3))
    latents = latents_of(vae, images, None)
    assert abs(latents.mean()) < 1e-3 and abs(latents.std() - 1) < 1e-3
    torch.testing.assert_close(images_of(vae, latents), before, rtol=0, atol=1e-5)


def test_another_network_a_missing_file_and_a_folder_that_is_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match="no folder or file"):
        read_autoencoder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"0 files \*encoder\.safetensors and no config"):
        read_autoencoder(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(InputError, match="it is a UNet2DModel"):
        read_autoencoder(tmp_path)
    AutoencoderKL(1, 1).save_pretrained(tmp_path / "vae")
    assert isinstance(read_autoencoder(tmp_path), AutoencoderKL)


def test_two_pairs_in_a_folder_are_told_apart_by_one_of_their_files(tmp_path):
    for name, near in (("a", True), ("b", False)):
        for part, network in zip(("encoder", "decoder"), numbered(near), strict=True):
            safetensors.torch.save_model(network, tmp_path / f"{name}_{part}.safetensors")
    with pytest.raises(InputError, match=r"2 files \*encoder\.safetensors.*name one of its two files"):
        read_autoencoder(tmp_path)
    assert type(read_autoencoder(tmp_path / "a_encoder.safetensors")) is AutoencoderTAEF2
    assert type(read_autoencoder(tmp_path / "b_decoder.safetensors")) is AutoencoderTiny
    a, b = (autoencoder_digest(tmp_path / f"{name}_encoder.safetensors") for name in "ab")
    assert a == autoencoder_digest(tmp_path / "a_decoder.safetensors") != b


@torch.no_grad()
def test_a_written_autoencoder_is_read_without_a_warning(tmp_path, capfd):
    with initialised(torch_rng(0, "autoencoder")):
        vae = AutoencoderTAEF2(scaling_factor=1.1, shift_factor=0.2)
    save_autoencoder(vae, tmp_path)
    images = torch.rand(1, 3, 16, 16, generator=torch_rng(0, "images"))
    torch.testing.assert_close(latents_of(read_autoencoder(tmp_path), images, None), latents_of(vae, images, None))
    assert "not expected" not in capfd.readouterr().err


@pytest.mark.parametrize("shift", [None, 0.3])
@torch.no_grad()
def test_latents_of_an_autoencoder_kl_are_shifted_and_scaled_as_its_config_says(shift):
    with initialised(torch_rng(0, "autoencoder")):
        vae = AutoencoderKL(1, 1, block_out_channels=[4], norm_num_groups=2, scaling_factor=0.5, shift_factor=shift)
    images, normal = (torch.rand(2, 1, 8, 8, generator=torch_rng(0, name)) for name in ("images", "normal"))
    posterior = vae.encode(2 * images - 1).latent_dist
    normal = normal.repeat(1, vae.config.latent_channels, 1, 1)
    for noise, latents in ((None, posterior.mean), (normal, posterior.mean + posterior.std * normal)):
        found = latents_of(vae, images, noise)
        torch.testing.assert_close(found, (latents - (shift or 0)) * 0.5)
        torch.testing.assert_close(images_of(vae, found), (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1))


needs_data = pytest.mark.skipif(not DATA, reason="DDOQ_DATA names no folder with weights and photographs")


def photographs(step: int, size: int = 128) -> torch.Tensor:
    """Every step-th test image of ImageNette."""
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    files = sorted((Path(DATA) / "data" / "imagenette160" / "val").glob("*/*.JPEG"))[::step]
    return torch.stack([pil_to_tensor(Image.open(f).convert("RGB").resize((size, size))) for f in files]) / 255


@needs_data
@torch.no_grad()
def test_the_real_weights_compute_what_their_authors_layers_do():
    weights = Path(DATA) / "weights"
    encoder, decoder = numbered(True)
    for part, network in (("encoder", encoder), ("decoder", decoder)):
        state = safetensors.torch.load_file(weights / f"taef2_{part}.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    vae, images = read_autoencoder(weights / "taef2_encoder.safetensors"), photographs(2000, 64)
    latents = latents_of(vae, images, None)
    torch.testing.assert_close(latents, encoder(images), rtol=0, atol=1e-4)
    torch.testing.assert_close(images_of(vae, latents), decoder(latents).clamp(0, 1), rtol=0, atol=1e-4)


@needs_data
@torch.no_grad()
def test_the_real_weights_reconstruct_photographs_at_28_decibels():
    vae, images = read_autoencoder(Path(DATA) / "weights" / "taef2_encoder.safetensors"), photographs(200)
    error = (images_of(vae, latents_of(vae, images, None)) - images).square().mean((1, 2, 3))
    assert abs((-10 * error.log10()).mean() - 28.0) < 1  # on these 20 the mean has a standard error of 0.6
