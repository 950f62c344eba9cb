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
from ddoq_core.priors.autoencoder import AutoencoderTAEF2, images_of, latents_of, measure_scale, read_autoencoder
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
    with pytest.raises(InputError, match="no folder"):
        read_autoencoder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"0 files \*encoder\.safetensors and no config"):
        read_autoencoder(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(InputError, match="it is a UNet2DModel"):
        read_autoencoder(tmp_path)
    AutoencoderKL(1, 1).save_pretrained(tmp_path / "vae")
    assert isinstance(read_autoencoder(tmp_path), AutoencoderKL)


@pytest.mark.skipif(not DATA, reason="DDOQ_DATA names no folder with weights and photographs")
@torch.no_grad()
def test_the_real_weights_reconstruct_photographs():
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    vae = read_autoencoder(Path(DATA) / "weights")
    files = sorted((Path(DATA) / "data" / "imagenette160" / "val").glob("*/*.JPEG"))[::400]
    images = torch.stack([pil_to_tensor(Image.open(f).convert("RGB").resize((128, 128))) for f in files]) / 255
    error = (images_of(vae, latents_of(vae, images, None)) - images).square().mean((1, 2, 3))
    assert (-10 * error.log10()).mean() > 26  # dB; 28.0 on all of them from 224 pixels
