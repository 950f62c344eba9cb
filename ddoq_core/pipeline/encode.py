"""Algorithm 4, line 1: the latent variables Z = E(T), one file per class, or one class after the other in memory.

In: a data set and a prior. Out: latents/class00000.safetensors with {"latents": [n_c, c, h, w] in the profile's
precision, "index": [n_c] int64 (into the training part)}, all images of the class, none dropped; and classes.json.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import safetensors.torch
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..errors import InputError
from ..finite import finite
from ..priors.load import KNOBS, PRECISIONS, GenerativePrior, load_prior, prior_modules
from ..processes import bar, world
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import read_tensors
from ..threads import threads

ENCODE_KNOBS = ("seed", "resize", "encode_sample")  # knobs of a profile that `encode_images` uses
BATCH = 50  # images encoded together


def encode(store: Store, dataset: Dataset, prior: Artifact, profile: Profile) -> Artifact:
    """Algorithm 4, line 1: Z = E(T), the posterior's mean of every training image, or a keyed draw (encode_sample).

    Images are read at the size of the prior, by the profile's `resize`.

    Raises:
        InputError: the prior is for images with another number of channels.
    """

    def write(model: GenerativePrior, index: Int64[Tensor, " n"], path: Path) -> None:
        latents = _sound_latents(model, dataset.train, index, profile)
        safetensors.torch.save_file({"latents": latents.to(dtype), "index": index}, path)

    def share(work: Workspace) -> None:
        model = load_prior(prior.path, **profile.subset(*KNOBS))
        check_fit(model, dataset)
        for c in bar(world().my_share(range(dataset.n_classes)), desc="encode"):
            index = dataset.train.of_class(c)
            work.chunk(f"latents/class{c:05d}.safetensors", functools.partial(write, model, index))

    def build(work: Workspace) -> None:
        work.json("classes.json", dataset.sized_classes)

    dtype = PRECISIONS[profile.precision]  # the encoder's own precision, so nothing is lost
    with threads(profile.threads):
        return store.make(
            "encode", build, parameters=_shaping(profile), inputs=[dataset.key, prior],
            modules=(__name__, *prior_modules(profile)), label=dataset.name, plan=profile.subset("threads", "device"),
            share=share,
        )  # fmt: skip


@runtime_checkable
class Latents(Protocol):
    """Latents of the training images, class by class, with their part of the key of later artifacts."""

    classes: list[dict]  # the class table with the number of images of each
    inputs: list[Artifact | str]  # what they are made or read from
    parameters: dict  # the knobs that shape them; none if an artifact identifies them
    modules: tuple[str, ...]  # modules whose source makes them; none if it is in an artifact's key

    def of_class(self, label: int) -> Float[Tensor, "n c h w"]:
        """Latents of all images of a class, in order."""


class PassingLatents(Latents):
    """Latents that are encoded on demand and not kept: one class is in memory at a time."""

    def __init__(self, dataset: Dataset, prior: Artifact, profile: Profile) -> None:
        self.dataset, self.prior, self.profile = dataset, prior, profile
        self.classes, self.inputs = dataset.sized_classes, [dataset.key, prior]
        self.parameters, self.modules = _shaping(profile), prior_modules(profile)

    @cached_property
    def _model(self) -> GenerativePrior:
        model = load_prior(self.prior.path, **self.profile.subset(*KNOBS))
        check_fit(model, self.dataset)
        return model

    def of_class(self, label: int) -> Float[Tensor, "n c h w"]:
        split = self.dataset.train
        return _sound_latents(self._model, split, split.of_class(label), self.profile)


class StoredLatents(Latents):
    """The same from an artifact of `encode`."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact, self.classes, self.inputs = artifact, artifact.json("classes.json"), [artifact]
        self.parameters, self.modules = {}, ()

    def of_class(self, label: int) -> Float[Tensor, "n c h w"]:
        path = self.artifact.path / "latents" / f"class{label:05d}.safetensors"
        return read_tensors(path)["latents"].float()


def _shaping(profile: Profile) -> dict:
    return profile.keyed("resize", "precision") | {"sample": {"seed": profile.seed} if profile.encode_sample else None}


def _sound_latents(
    prior: GenerativePrior, split: Split, index: Int64[Tensor, " n"], profile: Profile
) -> Float[Tensor, "n c h w"]:
    """The result of `encode_images`; InputError for an image whose latents are not finite."""
    latents = encode_images(prior, split, index, **profile.subset(*ENCODE_KNOBS))
    return finite(latents, lambda i: f"image {split.ids[index[i]]} of class {split.labels[index[i]]}")


def encode_images(
    prior: GenerativePrior, split: Split, index: Int64[Tensor, " n"], *, seed: int, resize: str,
    encode_sample: bool = False, batch: int = BATCH,
) -> Float[Tensor, "n c h w"]:  # fmt: skip
    """Latents of some images of a split: the posterior's mean, or a draw keyed by the image's index if `encode_sample`.

    The next batch is read while one is encoded. A batch for which the device lacks the memory is encoded in halves.
    """
    latents, parts = [], index.split(batch)

    def read(part: Int64[Tensor, " b"]) -> Float[Tensor, "b C H W"]:
        return split.images(part, prior.image_size, resize)

    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(read, parts[0])
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            images = waiting.result()
            if following is not None:
                waiting = reader.submit(read, following)
            rng = [torch_rng(seed, "encode", i) for i in part.tolist()] if encode_sample else None
            latents.append(_encoded(prior, images, rng))
    return torch.cat(latents)


def _encoded(
    prior: GenerativePrior, images: Float[Tensor, "b C H W"], rng: list[torch.Generator] | None
) -> Float[Tensor, "b c h w"]:
    """Latents of images, encoded at once or in halves."""
    try:
        return prior.encode(images, rng).cpu()
    except torch.OutOfMemoryError:
        if len(images) == 1:
            raise InputError(
                f"the device has not enough memory to encode one image of {prior.image_size} pixels; "
                "set precision=float16 or device=cpu"
            ) from None
    half = len(images) // 2
    parts = (slice(None, half), slice(half, None))
    return torch.cat([_encoded(prior, images[part], rng and rng[part]) for part in parts])


def check_fit(prior: GenerativePrior, dataset: Dataset) -> None:
    """Raise InputError unless the prior's images have as many channels as the data set's."""
    if prior.channels != dataset.channels:
        raise InputError(
            f"the prior has {prior.channels} image channels, but {dataset.name} has {dataset.channels}; set prior_path"
        )
