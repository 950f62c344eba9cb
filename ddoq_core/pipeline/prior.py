"""The generative prior: encoder, decoder and denoiser of a latent diffusion model, behind one small interface.

`DiTPrior` is a class-conditional transformer in the folder layout of diffusers' `DiTPipeline`: the one that
`pretrain` fits on the spot, or DiT-XL. For the same noise it computes what `DiTPipeline` computes.
"""

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, DiTTransformer2DModel
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Int64
from torch import Tensor

from ..errors import InputError
from ..profile import Profile
from ..store import Artifact, sha256_of

NULL = 1000  # id of "no class" in the label table, as DiTPipeline hard-codes it
SAMPLERS = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}


class GenerativePrior(Protocol):
    """What Algorithm 4 asks of a latent diffusion model."""

    latent_shape: tuple[int, int, int]
    channels: int
    image_size: int

    def encode(
        self, images: Float[Tensor, "b C H W"], rng: Sequence[torch.Generator] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Latents of images in [0, 1], of about unit variance: the posterior's mean, or one draw per generator."""

    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1] of latents."""

    def embed(self, labels: Int64[Tensor, " b"]) -> Tensor:
        """Conditioning of classes."""

    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Tensor, *, strength: float = 1.0, guidance: float,
        steps: int, noise: Sequence[torch.Generator], sampler: str = "checkpoint",
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """Noise latents to `strength` and run the reverse process back; from pure noise if there are none."""


@dataclass(frozen=True, eq=False)
class DiTPrior:
    """A DiT with its autoencoder and scheduler (Peebles & Xie 2023), in evaluation mode on one device."""

    transformer: DiTTransformer2DModel
    vae: AutoencoderKL
    scheduler_class: type
    scheduler_config: dict
    class_names: tuple[str, ...] = ()  # of its label table, in order

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of a latent."""
        config = self.transformer.config
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
        """Where it computes."""
        return self.transformer.device

    @torch.no_grad()
    def encode(
        self, images: Float[Tensor, "b C H W"], rng: Sequence[torch.Generator] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Latents of images in [0, 1], scaled for the transformer: the posterior's mean, or one draw per generator."""
        posterior = self.vae.encode(2 * images.to(self.device, self.vae.dtype) - 1).latent_dist
        latents = posterior.mean
        if rng is not None:
            latents = latents + posterior.std * self._normal(rng).to(latents.dtype)
        return (latents * self.vae.config.scaling_factor).float()

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1] of scaled latents."""
        latents = latents.to(self.device, self.vae.dtype) / self.vae.config.scaling_factor
        return (self.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1).float()

    def embed(self, labels: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
        """The conditioning of a DiT is the row of its label table."""
        return labels.to(self.device)

    def label_ids(self, class_names: Sequence[str]) -> Int64[Tensor, " n_classes"]:
        """Row of the label table for every class of a data set: by name, or by order when the names are not given.

        Raises:
            InputError: a class that the prior does not know.
        """
        rows = {n.strip(): i for i, label in enumerate(self.class_names) for n in [label, *label.split(",")]}
        missing = [n for n in class_names if n not in rows]
        if not missing:
            return torch.tensor([rows[n] for n in class_names])
        if len(missing) == len(class_names) and len(class_names) in (len(self.class_names), NULL):
            return torch.arange(len(class_names))
        raise InputError(
            f"the prior knows no class '{missing[0]}'; name the class folders as its model_index.json does"
        )

    @torch.no_grad()
    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Int64[Tensor, " b"], *, strength: float = 1.0,
        guidance: float, steps: int, noise: Sequence[torch.Generator], sampler: str = "checkpoint",
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """U_t of Algorithm 4, line 5: noise the latents to `strength`, then run the reverse process with guidance.

        Args:
            latents: scaled latents, or None to start from pure noise (all steps).
            strength: share of the `steps` that are run, as img2img counts them; 0 returns the latents.
            guidance: scale of classifier-free guidance; 1 is none.
            noise: one generator per image, so that an image's noise is its own whatever the batch.
            sampler: `checkpoint` (the scheduler of the folder), `ddim` or `ddpm`.
        """
        scheduler = self._scheduler(sampler)
        scheduler.set_timesteps(steps)
        run = min(int(steps * strength), steps) if latents is not None else steps
        start = (steps - run) * scheduler.order
        timesteps = scheduler.timesteps[start:].to(self.device)
        if run == 0:
            return latents
        x = self._normal(noise).to(self.transformer.dtype)
        if latents is None:
            x = x * scheduler.init_noise_sigma
        else:
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(start)
            x = scheduler.add_noise(latents.to(x), x, timesteps[:1].expand(len(x)))
        draws = {"generator": list(noise)} if "generator" in inspect.signature(scheduler.step).parameters else {}
        for t in timesteps:
            model_output = self._noise_prediction(scheduler.scale_model_input(x, t), t, conditioning, guidance)
            x = scheduler.step(model_output, t, x, **draws).prev_sample
        return x.float()

    def _noise_prediction(self, x: Tensor, t: Tensor, labels: Tensor, guidance: float) -> Tensor:
        """Prediction with classifier-free guidance, cond and null side by side; a learned variance is left out."""
        if guidance > 1:
            x, labels = torch.cat([x, x]), torch.cat([labels, torch.full_like(labels, NULL)])
        predicted = self.transformer(x, timestep=t.expand(len(x)), class_labels=labels).sample[:, : x.shape[1]]
        if guidance > 1:
            conditional, unconditional = predicted.chunk(2)
            predicted = unconditional + guidance * (conditional - unconditional)
        return predicted

    def _scheduler(self, sampler: str):
        """A fresh scheduler: the folder's, or another over its noise schedule; latents are no images to be clipped."""
        if sampler == "checkpoint":
            return self.scheduler_class.from_config(self.scheduler_config)
        clip = self.scheduler_config.get("clip_sample", False)
        return SAMPLERS[sampler].from_config(self.scheduler_config, clip_sample=clip)

    def _normal(self, rng: Sequence[torch.Generator]) -> Float[Tensor, "b c h w"]:
        return randn_tensor(
            (len(rng), *self.latent_shape), generator=list(rng), device=self.device, dtype=torch.float32
        )


def load_prior(path: str | Path, device: str = "cpu") -> DiTPrior:
    """The prior in a folder of the `DiTPipeline` layout (model_index.json, transformer/, vae/, scheduler/).

    Raises:
        InputError: no such folder, or one of another kind; the line names what was found.
    """
    path = Path(path)
    index = _model_index(path)
    try:
        scheduler_class = getattr(diffusers, index["scheduler"][1])
        transformer = DiTTransformer2DModel.from_pretrained(path / "transformer", local_files_only=True)
        vae = AutoencoderKL.from_pretrained(path / "vae", local_files_only=True)
        config = scheduler_class.load_config(path / "scheduler", local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the prior in {path} cannot be loaded ({reason}); mend prior_path") from error
    names = index.get("id2label") or {}
    labels = tuple(names[key] for key in sorted(names, key=int))
    for module in (transformer, vae):
        module.to(device).eval().requires_grad_(False)
    return DiTPrior(transformer, vae, scheduler_class, dict(config), labels)


def prior_artifact(profile: Profile) -> Artifact:
    """The folder prior_path as an artifact, named by the content of its files.

    Raises:
        InputError: no such folder, or one of another kind.
    """
    path = Path(profile.prior_path)
    if not profile.prior_path:
        raise InputError(f"prior = {profile.prior} needs prior_path; set it to a folder in the DiTPipeline layout")
    _model_index(path)
    parts = [
        path / "model_index.json",
        *(p for d in ("transformer", "vae", "scheduler") for p in sorted((path / d).rglob("*"))),
    ]
    content = [[str(p.relative_to(path)), sha256_of(p)] for p in parts if p.is_file()]
    return Artifact(path, "prior", hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16])


def _model_index(path: Path) -> dict:
    """What model_index.json says, which must be a DiTPipeline."""
    layout = "a prior is a folder with model_index.json, transformer/, vae/ and scheduler/ (the DiTPipeline layout)"
    if not path.is_dir():
        raise InputError(f"no folder {path}; {layout}; mend prior_path")
    try:
        index = json.loads((path / "model_index.json").read_text())
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise InputError(f"{path} holds no readable model_index.json (found: {inside}); {layout}") from error
    if kind != "DiTPipeline":
        raise InputError(f"{path} holds a {kind}, but prior = dit needs a DiTPipeline; mend prior_path")
    return index
