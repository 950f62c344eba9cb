"""The exact score of the training latents: a prior without training, and the prior of Theorem 13.

For a cloud of training latents z_i the posterior mean E[z_0 | x_t] is a weighted mean of the z_i in closed form, and so
is the score. Over the whole latent (`global`) its reverse process ends at training images (Pidstrigach 2022). Over
windows that grow with the noise (`local`) every pixel depends on its own neighbourhood, and the result is new images:
the local score machine of Kamb and Ganguli (2025); see also Niedoba et al. (2025).
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

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import read_tensors
from ..threads import threads
from .autoencoder import (
    autoencoder_digest,
    autoencoder_place,
    measure_scale,
    read_autoencoder,
    save_autoencoder,
    shrinking,
)
from .folder import PriorFolder
from .latent_diffusion import SCHEDULE, LatentDiffusion
from .load import GIVEN

PIPELINE = "ExactScore"
FOLDERS = ("vae", "scheduler")
ALL = -1  # conditioning: the cloud of all classes
MEASURED, BATCH = 500, 50  # training images for the scale of latents, and images encoded together
LEAST_RADIUS = 1  # of a growing window without noise, in latent pixels


@dataclass(frozen=True, eq=False)
class Cloud:
    """Training latents z_i of one class, arranged by pixel for matrix products."""

    points: Float[Tensor, "hw n c"]
    halves: Float[Tensor, "hw 1 n"]  # |z_i|^2 / 2 at every pixel

    @classmethod
    def of(cls, latents: Float[Tensor, "n c h w"]) -> "Cloud":
        points = latents.flatten(2).permute(2, 0, 1).contiguous()
        return cls(points, points.square().sum(2)[:, None] / 2)


def posterior_mean(
    x: Float[Tensor, "b c h w"], clouds: Iterable[Cloud], a: float, s: float, radius: int
) -> Float[Tensor, "b c h w"]:
    """E[z_0 | x = a z_0 + s noise] for z_0 uniform on some clouds, at every pixel given only its window.

    The weight of z_i at a pixel is proportional to exp(-|x - a z_i|^2 / 2 s^2), with the norm over the window of side
    2 radius + 1 around the pixel, cut off at the border; a radius of h - 1 or more is the whole latent of side h.
    Clouds are read one after the other, and their weights are normalised together by a running maximum (log-sum-exp).
    The cost is 4 n c h w operations an image for a cloud of n, plus 2 n h w (h + w) for the sums over windows.

    Args:
        x: noised latents.
        clouds: training latents, for example one cloud for each class.
        a, s: factors of signal and noise; s > 0.
    """
    b, c, h, w = x.shape
    pixels = x.flatten(2).permute(2, 0, 1)
    top, mass, mean = torch.full((1, 1, 1), -torch.inf).to(x), torch.zeros(1).to(x), torch.zeros(1).to(x)
    for cloud in clouds:
        z = cloud.points
        inner = torch.baddbmm(cloud.halves, pixels, z.mT, beta=-a, alpha=1)  # |x|^2 is the same for all z_i
        exponents = (_whole(inner) if radius >= max(h, w) - 1 else _windowed(inner, h, w, radius)).mul_(a / s**2)
        new = torch.maximum(top, exponents.amax(2, keepdim=True))
        weights, kept = exponents.sub_(new).exp_(), (top - new).exp()
        mean = kept * mean + weights.expand(h * w, -1, -1) @ z
        mass, top = kept * mass + weights.sum(2, keepdim=True), new
    return (mean / mass).reshape(h * w, b, c).permute(1, 2, 0).reshape(x.shape)


def _whole(values: Float[Tensor, "hw b n"]) -> Float[Tensor, "1 b n"]:
    """Sums over all pixels, the same for every pixel."""
    return values.sum(0, keepdim=True)


def _windowed(values: Float[Tensor, "hw b n"], h: int, w: int, radius: int) -> Float[Tensor, "hw b n"]:
    """Sums over the window around every pixel: over rows, then over columns, each a product with a band of ones.

    Nothing cancels, since no difference of running sums is used.
    """
    rows, columns = (_band(side, radius).to(values) for side in (h, w))
    of_rows = (rows @ values.reshape(h, -1)).reshape(h, w, -1)
    return (columns @ of_rows).reshape(values.shape)


def _band(side: int, radius: int) -> Float[Tensor, "side side"]:
    at = torch.arange(side)
    return ((at[:, None] - at).abs() <= radius).float()


@dataclass(frozen=True, eq=False, kw_only=True)
class ExactPrior(LatentDiffusion):
    """The conditioning is the index of a class in the table of classes."""

    latents: Path | None  # folder with a file of training latents for each class; None: only encodes and decodes
    n_classes: int
    side: int  # of the images
    locality: str | float  # the window, as in the knob

    @property
    def network(self) -> torch.nn.Module:
        """There is no network; the autoencoder stands in for it and has the device."""
        return self.vae

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        side = self.side // shrinking(self.vae)
        return self.vae.config.latent_channels, side, side

    def embed(self, classes: Sequence[dict]) -> Int64[Tensor, " n_classes"]:
        """Index of every class.

        Raises:
            InputError: the classes are not those of the training latents.
        """
        if len(classes) != self.n_classes:
            raise InputError(f"the exact prior has latents of {self.n_classes} classes, not {len(classes)}")
        return torch.arange(len(classes))

    def _both(self, labels: Int64[Tensor, " b"]) -> Int64[Tensor, " 2*b"]:
        return torch.cat([torch.full_like(labels, ALL), labels])

    def any_condition(self) -> Int64[Tensor, " 1"]:
        """The first class."""
        return torch.zeros(1, dtype=torch.long)

    def denoise(
        self, latents: Float[Tensor, "b c h w"] | None, conditioning: Int64[Tensor, " b"], *,
        noise: Sequence[torch.Generator], **how: object,
    ) -> Float[Tensor, "b c h w"]:  # fmt: skip
        """`LatentDiffusion.denoise` class by class, so each class's latents are read once and only one is in memory."""
        found = torch.empty(len(conditioning), *self.latent_shape)
        for label in conditioning.unique().tolist():
            rows = torch.nonzero(conditioning == label).flatten()
            start, own = None if latents is None else latents[rows], [noise[i] for i in rows.tolist()]
            found[rows] = super().denoise(start, conditioning[rows], noise=own, **how).to(found)
        return found

    def predicted(
        self, x: Float[Tensor, "b c h w"], t: Tensor, labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """The noise in x according to the posterior mean: (x - a E[z_0 | x]) / s."""
        signal = self._signals[int(t)].item()
        a, s = signal**0.5, (1 - signal) ** 0.5
        means = torch.empty_like(x, dtype=torch.float32)  # squared distances exceed half precision
        for label in labels.unique().tolist():
            rows = labels == label
            means[rows] = posterior_mean(x[rows].float(), self._clouds(label), a, s, self._radius(int(t)))
        return ((x - a * means) / s).to(x.dtype)

    def _radius(self, t: int) -> int:
        """Radius of the windows at time t; growing windows reach half of the side at pure noise."""
        side = self.latent_shape[1]
        if self.locality == "global":
            return side
        if self.locality != "local":
            return (int(self.locality) - 1) // 2
        return LEAST_RADIUS + round((side // 2 - LEAST_RADIUS) * (t + 1) / len(self._signals))

    @functools.cached_property
    def _signals(self) -> Float[Tensor, " T"]:
        """a^2 at every time."""
        return self._scheduler("checkpoint").alphas_cumprod

    def _clouds(self, label: int) -> Iterator[Cloud]:
        """The training latents of a class, or of all classes, one class in memory at a time."""
        return (self._of_class(c) for c in (range(self.n_classes) if label == ALL else [label]))

    @functools.lru_cache(1)  # noqa: B019 - a prior lives as long as its process
    def _of_class(self, label: int) -> Cloud:
        latents = read_tensors(self.latents / f"class{label:05d}.safetensors")["latents"]
        return Cloud.of(latents.float().to(self.device))


def encoder_artifact(store: Store, dataset: Dataset, profile: Profile) -> Artifact:
    """The autoencoder of autoencoder_path with a noise schedule: a prior that only encodes and decodes.

    The scale of its latents comes from its config (AutoencoderKL), or is measured on some training images.

    Raises:
        InputError: the autoencoder is missing, unreadable, or does not take images of this size.
    """
    place = autoencoder_place(profile.autoencoder_path)
    factor = shrinking(read_autoencoder(place))  # fails before anything is written
    if dataset.image_size % factor:
        raise InputError(f"image_size = {dataset.image_size}, but the autoencoder needs a multiple of {factor}")

    def build(work: Workspace) -> None:
        vae = read_autoencoder(place)
        if isinstance(vae, AutoencoderTiny):
            rows = torch.linspace(0, len(dataset.train) - 1, min(MEASURED, len(dataset.train))).long()
            measure_scale(vae, (dataset.train.images(some, resize=profile.resize) for some in rows.split(BATCH)))
        save_autoencoder(vae, work.path / "vae")
        schedule = DDIMScheduler(**SCHEDULE, clip_sample=False, timestep_spacing="trailing")
        schedule.save_pretrained(work.path / "scheduler")
        index = {"_class_name": PIPELINE, "scheduler": ["diffusers", "DDIMScheduler"], "image_size": dataset.image_size}
        work.json("model_index.json", index | {GIVEN: digest})

    digest = autoencoder_digest(place)
    with threads(profile.threads):
        return store.make(
            "autoencoder", build, parameters={"content": digest} | profile.keyed("resize"),
            inputs=[dataset.key], modules=(__name__,), label=dataset.name, plan=profile.subset("threads"),
        )  # fmt: skip


def exact_prior(store: Store, encoder: Artifact, latents: Artifact, profile: Profile) -> Artifact:
    """The exact score of an `encode` artifact's training latents, as a folder that points to them."""

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
    """The prior in a folder written by `encoder_artifact` or `exact_prior`."""
    place = folder.index.get("latents")
    latents = (folder.path / place).resolve() if place else None
    files = sorted(latents.glob("class*.safetensors")) if latents else []
    if latents and not files:
        raise OSError(f"its training latents are not in {latents}; run ddoq encode again")
    locality, side = folder.index.get("locality", "local"), folder.index["image_size"]
    return ExactPrior(latents=latents, n_classes=len(files), side=side, locality=locality, **folder.common())
