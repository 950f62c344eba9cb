"""The exact score of the training latents: a prior that is not fitted, and the one that Theorem 13 speaks of.

For a cloud of training latents z_i the posterior mean E[z_0 | x_t] is a weighted mean of the z_i, in closed form, and
so is the score. Over the whole latent (`global`) its reverse process ends at training images (Pidstrigach 2022). Over
windows that grow with the noise (`local`) every pixel asks its own neighbourhood, and new images come out: the local
score machine of Kamb and Ganguli (2025), also Niedoba et al. (2025).
"""

import functools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import read_tensors
from ..threads import threads
from .autoencoder import autoencoder_folder, content_of, measure_scale, read_autoencoder
from .folder import PriorFolder
from .latent_diffusion import SCHEDULE, LatentDiffusion

PIPELINE = "ExactScore"
FOLDERS = ("vae", "scheduler")
ALL = -1  # conditioning: the cloud of all classes
MEASURED, BATCH = 500, 50  # training images that the scale of latents is measured on, and encoded together
LEAST_RADIUS = 1  # of a window, in pixels of the latent, where there is no noise


def posterior_mean(
    x: Float[Tensor, "b c h w"], clouds: Iterable[Float[Tensor, "_ c h w"]], a: float, s: float, radius: int
) -> Float[Tensor, "b c h w"]:
    """E[z_0 | x = a z_0 + s noise] for z_0 uniform on some clouds, at every pixel given its window alone.

    The weight of z_i at a pixel is proportional to exp(-|x - a z_i|^2 / 2 s^2), the norm taken over the window of side
    2 radius + 1 about it, cut off at the border; radius h - 1 or more is the whole latent of side h. Clouds are read
    one after the other, and their weights normalised together by a running maximum.

    Args:
        x: noised latents.
        clouds: training latents, for example of one class each.
        a, s: factors of signal and noise; s > 0.
    """
    b, c, h, w = x.shape
    whole = radius >= max(h, w) - 1
    pixels = x.permute(2, 3, 0, 1).reshape(h * w, b, c)
    top, mass, mean = torch.full((1, 1, 1), -torch.inf).to(x), torch.zeros(1).to(x), torch.zeros(1).to(x)
    for Z in clouds:
        Z = Z.to(x)
        z = Z.permute(2, 3, 0, 1).reshape(h * w, len(Z), c)
        # |x|^2 is the same for all z_i
        exponents = (a / s**2) * (pixels @ z.mT) - (a**2 / (2 * s**2)) * z.square().sum(2)[:, None]
        exponents = _windowed(exponents, h, w, h if whole else radius)
        new = torch.maximum(top, exponents.amax(2, keepdim=True))
        weights, kept = (exponents - new).exp_(), (top - new).exp()
        mean, mass, top = kept * mean + weights @ z, kept * mass + weights.sum(2, keepdim=True), new
    return (mean / mass).reshape(h, w, b, c).permute(2, 3, 0, 1)


def _windowed(values: Float[Tensor, "hw b n"], h: int, w: int, radius: int) -> Float[Tensor, "hw b n"]:
    """Sums over the window about every pixel."""
    if radius >= max(h, w):
        return values.sum(0, keepdim=True).expand_as(values)
    board = values.reshape(h, w, -1).permute(2, 0, 1)
    for side in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        reach = tuple((n - 1) // 2 for n in side)
        board = avg_pool2d(board, side, 1, reach, divisor_override=1)
    return board.permute(1, 2, 0).reshape(values.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class ExactPrior(LatentDiffusion):
    """Conditioning is the index of a class in the table of classes."""

    latents: Path | None  # folder with the training latents, a file for each class; None: encodes and decodes only
    n_classes: int
    side: int  # of the images
    local: bool  # whether windows grow with the noise; else the whole latent decides

    @property
    def network(self) -> torch.nn.Module:
        """There is none: the autoencoder says where it is computed."""
        return self.vae

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return self.vae.config.latent_channels, self.side // factor, self.side // factor

    def embed(self, classes: Sequence[dict]) -> Int64[Tensor, " n_classes"]:
        """Index of every class.

        Raises:
            InputError: other classes than those of the training latents.
        """
        if len(classes) != self.n_classes:
            raise InputError(f"the exact prior has latents of {self.n_classes} classes, not {len(classes)}")
        return torch.arange(len(classes))

    def _both(self, labels: Int64[Tensor, " b"]) -> Int64[Tensor, " 2b"]:
        return torch.cat([torch.full_like(labels, ALL), labels])

    def any_condition(self) -> Int64[Tensor, " 1"]:
        return torch.zeros(1, dtype=torch.long)

    def predicted(
        self, x: Float[Tensor, "b c h w"], t: Tensor, labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """The noise in x that the posterior mean leaves: (x - a E[z_0 | x]) / s."""
        signal = self._signals[t].item()
        a, s = signal**0.5, (1 - signal) ** 0.5
        means = torch.empty_like(x)
        for label in labels.unique().tolist():
            rows = labels == label
            means[rows] = posterior_mean(x[rows], self._clouds(label), a, s, self._radius(int(t)))
        return (x - a * means) / s

    def _radius(self, t: int) -> int:
        """Of the windows at time t: from LEAST_RADIUS without noise to half of the side with nothing but noise."""
        half = self.latent_shape[1] // 2
        if not self.local:
            return 2 * half
        return LEAST_RADIUS + round((half - LEAST_RADIUS) * (t + 1) / len(self._signals))

    @functools.cached_property
    def _signals(self) -> Float[Tensor, " T"]:
        """a^2 of every time."""
        return self._scheduler("checkpoint").alphas_cumprod

    def _clouds(self, label: int) -> Iterator[Float[Tensor, "n c h w"]]:
        """The training latents of a class, or of all, one class in memory at a time."""
        return (self._of_class(c) for c in (range(self.n_classes) if label == ALL else [label]))

    @functools.lru_cache(1)  # noqa: B019 - a prior lives as long as its process
    def _of_class(self, label: int) -> Float[Tensor, "n c h w"]:
        return read_tensors(self.latents / f"class{label:05d}.safetensors")["latents"].float().to(self.device)


def encoder_artifact(store: Store, dataset: Dataset, profile: Profile) -> Artifact:
    """The autoencoder of autoencoder_path beside a noise schedule: a prior that encodes and decodes, and no more.

    The scale of its latents is that of its config (AutoencoderKL), or measured on some training images.

    Raises:
        InputError: there is no such autoencoder, or it cannot be read.
    """
    folder = autoencoder_folder(profile.autoencoder_path)
    read_autoencoder(folder)  # refuses before anything is written

    def build(work: Workspace) -> None:
        vae = read_autoencoder(folder)
        if isinstance(vae, AutoencoderTiny):
            rows = torch.linspace(0, len(dataset.train) - 1, min(MEASURED, len(dataset.train))).long()
            measure_scale(vae, (dataset.train.images(some) for some in rows.split(BATCH)))
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        if dataset.image_size % factor:
            raise InputError(f"image_size = {dataset.image_size}, but the autoencoder needs a multiple of {factor}")
        vae.save_pretrained(work.path / "vae", safe_serialization=True)
        DDIMScheduler(**SCHEDULE, clip_sample=False, timestep_spacing="trailing").save_pretrained(
            work.path / "scheduler"
        )
        index = {"_class_name": PIPELINE, "scheduler": ["diffusers", "DDIMScheduler"], "image_size": dataset.image_size}
        work.json("model_index.json", index)

    with threads(profile.threads):
        return store.make(
            "autoencoder", build, parameters={"content": content_of(folder)}, inputs=[dataset.key],
            modules=(__name__,), label=dataset.name, plan=profile.subset("threads"),
        )  # fmt: skip


def exact_prior(store: Store, encoder: Artifact, latents: Artifact, profile: Profile) -> Artifact:
    """The exact score of the training latents of an artifact of `encode`, as a folder that names them."""

    def build(work: Workspace) -> None:
        for part in FOLDERS:
            shutil.copytree(encoder.path / part, work.path / part)
        there = Path("..", "..") / latents.path.relative_to(store.root) / "latents"
        index = encoder.json("model_index.json") | {"latents": str(there), "locality": profile.locality}
        work.json("model_index.json", index)

    parameters = profile.keyed("locality")
    modules = (__name__,)
    return store.make("prior", build, parameters=parameters, inputs=[encoder, latents], modules=modules, label="exact")


def from_folder(folder: PriorFolder) -> ExactPrior:
    """The prior in a folder that `encoder_artifact` or `exact_prior` has written."""
    place = folder.index.get("latents")
    latents = (folder.path / place).resolve() if place else None
    files = sorted(latents.glob("class*.safetensors")) if latents else []
    if latents and not files:
        raise OSError(f"its training latents are not in {latents}; run ddoq encode again")
    local, side = folder.index.get("locality") == "local", folder.index["image_size"]
    return ExactPrior(latents=latents, n_classes=len(files), side=side, local=local, **folder.common())
