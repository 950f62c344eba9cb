"""Operations and parameters of the real networks, counted on torch's meta device, where tensors have shapes only.

In: the names of a profile. Out: what one image costs in each of its networks. A multiply-add is two operations;
matrix products, convolutions and attention are counted, and nothing else is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTTransformer2DModel, PNDMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count
from transformers import CLIPTextConfig, CLIPTextModel

from ..errors import InputError
from ..keys import torch_rng
from ..pipeline import pretrain
from ..pipeline.latent_diffusion import SAMPLERS
from ..pipeline.networks import make_network
from ..profile import Profile

META = torch.device("meta")
TRAINED_TOGETHER = 2  # images of a counted training step: batch norm asks for more than one value of a channel

# The published configurations, for a prior that is told of before it is on the disk.
UNET = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "cross_attention_dim": 768,
    "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8,
}  # fmt: skip
VAE = {
    "sample_size": 512, "latent_channels": 4, "layers_per_block": 2, "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
CLIP = {
    "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "projection_dim": 768, "hidden_act": "quick_gelu",
}  # fmt: skip
DIT = {  # DiT-XL/2
    "num_layers": 28, "num_attention_heads": 16, "attention_head_dim": 72, "patch_size": 2, "sample_size": 32,
    "in_channels": 4, "out_channels": 8, "num_embeds_ada_norm": 1000, "attention_bias": True,
    "activation_fn": "gelu-approximate", "norm_type": "ada_norm_zero", "norm_elementwise_affine": False,
}  # fmt: skip
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


def flops(call: Callable[[], object]) -> int:
    """Operations of one call."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward}) as counter:
        call()
    return counter.get_total_flops()


def _backward(out, x, weight, bias, stride, padding, dilation, transposed, more, groups, mask, **_) -> int:
    """Each gradient of a convolution costs what the convolution does; torch's own count forgets the groups."""
    return sum(mask[:2]) * conv_flop_count(x, weight, out, transposed=transposed)


def n_parameters(*modules: nn.Module) -> int:
    """Numbers that the modules have learned."""
    return sum(p.numel() for module in modules for p in module.parameters())


@dataclass(frozen=True)
class Classifier:
    """A teacher or a student, and its operations on one image."""

    parameters: int
    forward: int
    training: int  # forward and backward


@cache
def classifier(name: str, n_classes: int, channels: int, image_size: int) -> Classifier:
    """Costs of the network of this name.

    Raises:
        InputError: no network has this name, or it does not take images of this size.
    """
    with META:
        network = make_network(name, n_classes, channels, image_size, torch_rng(0, "never drawn"))
        images = torch.empty(TRAINED_TOGETHER, channels, image_size, image_size)
    try:
        training = flops(lambda: network(images).sum().backward()) // TRAINED_TOGETHER
        with torch.no_grad():
            forward = flops(lambda: network.eval()(images)) // TRAINED_TOGETHER
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(f"{name} does not take images of {image_size} pixels; mend image_size") from error
    return Classifier(n_parameters(network), forward, training)


@dataclass(frozen=True, eq=False)
class Prior:
    """A latent diffusion model without its weights, and its operations on one image."""

    name: str
    vae: AutoencoderKL
    network: UNet2DConditionModel | DiTTransformer2DModel
    text_encoder: CLIPTextModel | None
    scheduler: diffusers.SchedulerMixin

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of a latent."""
        config = self.network.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def image_size(self) -> int:
        """Side of its images in pixels."""
        return self.latent_shape[1] * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def parameters(self) -> int:
        """Numbers in all its parts."""
        return n_parameters(*(part for part in (self.vae, self.network, self.text_encoder) if part is not None))

    @cached_property
    @torch.no_grad()
    def encode(self) -> int:
        """E(x)."""
        return flops(lambda: self.vae.encode(self._image()))

    @cached_property
    @torch.no_grad()
    def decode(self) -> int:
        """D(z)."""
        return flops(lambda: self.vae.decode(self._latent()))

    @cached_property
    @torch.no_grad()
    def call(self) -> int:
        """One prediction of the noise, without guidance."""
        return flops(lambda: self._predict(self._latent()))

    @cached_property
    @torch.no_grad()
    def embed(self) -> int:
        """The conditioning of one class: a row of a table costs nothing."""
        if self.text_encoder is None:
            return 0
        tokens = self.text_encoder.config.max_position_embeddings
        return flops(lambda: self.text_encoder(torch.zeros(1, tokens, dtype=torch.long, device=META)))

    @cached_property
    def train_autoencoder(self) -> int:
        """A training step of the autoencoder, as `pretrain` makes it."""
        return flops(lambda: self.vae.decode(self.vae.encode(self._image()).latent_dist.mean).sample.sum().backward())

    @cached_property
    def train_network(self) -> int:
        """A training step of the network, as `pretrain` makes it."""
        return flops(lambda: self._predict(self._latent()).sample.sum().backward())

    def calls(self, profile: Profile, *, from_noise: bool = False) -> int:
        """Calls of the network for one image, guidance counted: the timesteps that `LatentDiffusion.denoise` runs."""
        scheduler = self.scheduler
        if profile.sampler != "checkpoint":
            scheduler = SAMPLERS[profile.sampler].from_config(scheduler.config)
        scheduler.set_timesteps(profile.n_steps)
        run = profile.n_steps if from_noise else min(int(profile.n_steps * profile.strength), profile.n_steps)
        timesteps = scheduler.timesteps[(profile.n_steps - run) * scheduler.order :] if run else ()
        return len(timesteps) * (2 if profile.guidance_scale > 1 else 1)

    def _image(self) -> Tensor:
        return torch.empty(1, self.vae.config.in_channels, self.image_size, self.image_size, device=META)

    def _latent(self) -> Tensor:
        return torch.empty(1, *self.latent_shape, device=META)

    def _predict(self, x: Tensor) -> object:
        t = torch.zeros(1, dtype=torch.long, device=META)
        if self.text_encoder is None:
            return self.network(x, timestep=t, class_labels=t)
        config = self.text_encoder.config
        text = torch.empty(1, config.max_position_embeddings, config.hidden_size, device=META)
        return self.network(x, t, encoder_hidden_states=text)


def prior_of(profile: Profile, channels: int) -> Prior:
    """The prior that a profile names: the one that is fitted, that of its folder, or the published configuration.

    Raises:
        InputError: prior_path is a folder of another layout, or an image size that the fitted prior does not take.
    """
    if profile.prior == "pretrain":
        return _small(profile, channels)
    path = Path(profile.prior_path)
    if profile.prior_path and path.is_dir():
        try:
            return _of_folder(path, profile.prior)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} holds no configuration of a {profile.prior} prior ({' '.join(str(error).split())[:150]}); "
                "mend prior_path, or empty it to count the published one"
            ) from error
    return stable_diffusion() if profile.prior == "stable-diffusion" else dit()


@cache
def stable_diffusion() -> Prior:
    """Stable Diffusion 1.5, the prior of the paper, by its published configuration."""
    with META:
        parts = AutoencoderKL(**VAE), UNet2DConditionModel(**UNET), CLIPTextModel(CLIPTextConfig(**CLIP))
    return Prior(
        "Stable Diffusion 1.5, as published", *parts, PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1)
    )


@cache
def dit() -> Prior:
    """DiT-XL/2 at 256 pixels (Peebles and Xie 2023), by its published configuration."""
    with META:
        parts = AutoencoderKL(**VAE | {"sample_size": 256}), DiTTransformer2DModel(**DIT)
    return Prior("DiT-XL/2, as published", *parts, None, DDIMScheduler())


def _small(profile: Profile, channels: int) -> Prior:
    """What `pretrain` fits."""
    factor = pretrain.PATCH * 2 ** (len(pretrain.WIDTHS) - 1)
    if profile.image_size % factor:
        raise InputError(f"image_size = {profile.image_size}, but prior = pretrain needs a multiple of {factor}")
    images, here = SimpleNamespace(channels=channels, image_size=profile.image_size), profile.but(device="cpu")
    vae, transformer = pretrain._autoencoder(images, here), pretrain._transformer(images, here)
    return Prior("fitted on the spot", vae.to(META), transformer.to(META), None, DDIMScheduler(**pretrain.SCHEDULE))


def _of_folder(path: Path, kind: str) -> Prior:
    """A folder of diffusers' layout; its weights are not read."""

    def part(of: type, name: str) -> nn.Module:
        return of.from_config(of.load_config(path / name, local_files_only=True))

    scheduler = getattr(diffusers, json.loads((path / "model_index.json").read_text())["scheduler"][1])
    with META:
        text = None
        if kind == "dit":
            network = part(DiTTransformer2DModel, "transformer")
        else:
            network = part(UNet2DConditionModel, "unet")
            text = CLIPTextModel(CLIPTextConfig.from_pretrained(path / "text_encoder", local_files_only=True))
        vae = part(AutoencoderKL, "vae")
    return Prior("that of prior_path", vae, network, text, part(scheduler, "scheduler"))
