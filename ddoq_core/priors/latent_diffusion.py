"""The common part of all priors from diffusers: an autoencoder, a noise schedule, and the denoising loop.

In: latents, the conditioning of their classes, one generator of noise per image. Out: denoised latents. Models and
schedulers are diffusers' own, unpatched; for the same noise the loop computes the same as its pipelines.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, DDPMScheduler
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from .autoencoder import images_of, latents_of
from .load import Guide

# Stable Diffusion's noise schedule, so that `strength` means the same here as in the paper
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
SAMPLERS = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}


@dataclass(frozen=True, eq=False, kw_only=True)
class LatentDiffusion(ABC):
    """An autoencoder and a noise schedule around a network that predicts noise, in evaluation mode on one device."""

    vae: AutoencoderKL | AutoencoderTiny
    scheduler_class: type
    scheduler_config: dict

    @property
    @abstractmethod
    def network(self) -> torch.nn.Module:
        """The network that predicts the noise; its config has `in_channels` and `sample_size`."""

    @abstractmethod
    def embed(self, classes: Sequence[dict]) -> Tensor:
        """Conditioning of every class of a class table (index, directory, name, prompt), one row each."""

    @abstractmethod
    def _both(self, conditioning: Tensor) -> Tensor:
        """Conditioning for guidance: without the class, then with it, in the order of `predicted`."""

    @abstractmethod
    def any_condition(self) -> Tensor:
        """Conditioning of one class with the shape of `embed` but no meaning; used to count the cost."""

    @abstractmethod
    def predicted(self, x: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """The noise that the network predicts in x at time t."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of a latent."""
        config = self.network.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def channels(self) -> int:
        """Channels of the images: 1 grey, 3 colour."""
        return self.vae.config.in_channels

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.latent_shape[1] * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.network.device

    @torch.no_grad()
    def encode(
        self, images: Float[Tensor, "b C H W"], rng: Sequence[torch.Generator] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Latents of images in [0, 1], scaled for the network: the posterior's mean, or one draw per generator."""
        normal = None if rng is None else self._normal(rng).to(self.vae.dtype)
        return latents_of(self.vae, images.to(self.device, self.vae.dtype), normal).float()

    def decode(self, latents: Float[Tensor, "b c h w"], *, graph: bool = False) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1] from scaled latents; with a graph they may leave [0, 1], so that gradients pass."""
        with torch.set_grad_enabled(graph):
            return images_of(self.vae, latents.to(self.device, self.vae.dtype), clamped=not graph).float()

    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Tensor, *, strength: float = 1.0, guidance: float,
        steps: int, noise: Sequence[torch.Generator], sampler: str = "checkpoint", guide: Guide | None = None,
        graph: bool = False,
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """U_t of Algorithm 4, line 5: add noise to the latents up to `strength`, then run the guided reverse process.

        Args:
            latents: scaled latents, or None to start from pure noise (all steps).
            conditioning: rows of `embed`, one per image.
            strength: share of the `steps` that are run, as in img2img; 0 returns the latents.
            guidance: scale of classifier-free guidance; 1 means no guidance.
            noise: one generator per image, so an image's noise does not depend on its batch; the draws are made on the
                device of the generators (the CPU), so that devices agree.
            sampler: `checkpoint` (the scheduler of the folder), `ddim` or `ddpm`.
            guide: a function that replaces the predicted clean latents at every step.
            graph: keep the graph, so that the result can be differentiated with respect to the latents.
        """
        scheduler = self._scheduler(sampler)
        scheduler.set_timesteps(steps)
        run = min(int(steps * strength), steps) if latents is not None else steps
        start = (steps - run) * scheduler.order
        timesteps = scheduler.timesteps[start:].to(self.device)
        if run == 0:
            return latents
        with torch.set_grad_enabled(graph):
            x = self._normal(noise).to(self.network.dtype)
            if latents is None:
                x = x * scheduler.init_noise_sigma
            else:
                if hasattr(scheduler, "set_begin_index"):
                    scheduler.set_begin_index(start)
                x = scheduler.add_noise(latents.to(x), x, timesteps[:1].expand(len(x)))
            conditioning = conditioning.to(self.device)
            if guidance > 1:
                conditioning = self._both(conditioning)
            draws = {"generator": list(noise)} if "generator" in inspect.signature(scheduler.step).parameters else {}
            for i, t in enumerate(timesteps):
                model_output = self._guided(scheduler.scale_model_input(x, t), t, conditioning, guidance)
                if guide:
                    model_output = _led(guide, x, model_output, scheduler.alphas_cumprod[t], 1 - i / len(timesteps))
                x = scheduler.step(model_output, t, x, **draws).prev_sample
            return x.float()

    def _guided(self, x: Tensor, t: Tensor, conditioning: Tensor, guidance: float) -> Tensor:
        """Prediction with classifier-free guidance; the versions with and without the class are computed together."""
        if guidance <= 1:
            return self.predicted(x, t, conditioning)
        without, given = self.predicted(torch.cat([x, x]), t, conditioning).chunk(2)
        return without + guidance * (given - without)

    def _scheduler(self, sampler: str):
        """A new scheduler: the folder's, or another with its noise schedule; latents are not clipped like images."""
        if sampler == "checkpoint":
            return self.scheduler_class.from_config(self.scheduler_config)
        clip = self.scheduler_config.get("clip_sample", False)
        return SAMPLERS[sampler].from_config(self.scheduler_config, clip_sample=clip)

    def _normal(self, rng: Sequence[torch.Generator]) -> Float[Tensor, "b c h w"]:
        return randn_tensor(
            (len(rng), *self.latent_shape), generator=list(rng), device=self.device, dtype=torch.float32
        )


def _led(guide: Guide, x: Tensor, noise: Tensor, signal: Tensor, left: float) -> Tensor:
    """The noise in x if its clean latents are the guide's replacement of those that `noise` predicts."""
    a, s = signal.to(x) ** 0.5, (1 - signal.to(x)) ** 0.5
    return (x - a * guide((x - s * noise) / a, left)) / s
