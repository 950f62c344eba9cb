"""Your own tensors as input of the steps: prototypes for `synthesize`, images for `relabel` and `train`.

In: tensors. Out: an artifact, or a DistilledDataset, named by its content. Equal tensors are stored once.
"""

import functools
import hashlib

import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset
from ..errors import InputError
from ..store.artifacts import Artifact, Store, Workspace
from .cluster import class_file, level_entries
from .distilled import DistilledDataset, write_image, write_metadata


def store_prototypes(store: Store, points: Tensor, counts: Tensor | None = None) -> Artifact:
    """Store K prototypes of every class, in latents of the prior, for `synthesize` with ipc = K.

    Args:
        points: (C, K, c, h, w), finite; class by class, in the order of the data set.
        counts: (C, K), number of real images that each represents, at least 0; None is 1 each.
    Raises:
        InputError: points that are not finite; counts that are negative, or not one for each point.
    """
    counts = torch.ones(points.shape[:2], dtype=torch.int64) if counts is None else counts
    finite = "" if points.isfinite().all() else "not finite, "
    if finite or points.ndim != 5 or counts.shape != points.shape[:2] or not (counts >= 0).all():
        shapes = f"points are {finite}{tuple(points.shape)}, counts {tuple(counts.shape)}"
        raise InputError(f"{shapes}; give finite points (classes, K, c, h, w) and a count >= 0 for each")

    def build(work: Workspace) -> None:
        for label, level in enumerate(zip(points.cpu(), counts.cpu(), strict=True)):
            work.chunk(class_file(label), functools.partial(safetensors.torch.save_file, level_entries(*level)))

    parameters, label = {"content": _digest(points=points, counts=counts)}, f"ipc{points.shape[1]:03d}"
    return store.make("prototypes", build, parameters=parameters, modules=(__name__,), label=label)


def store_images(
    store: Store, dataset: Dataset, images: Float[Tensor, "n C H W"], labels: Tensor,
    counts: Tensor | None = None,
) -> DistilledDataset:  # fmt: skip
    """Store images as a distilled set of a data set, class by class, with 8 bits a channel.

    Args:
        images: in [0, 1], with the data set's channels and size.
        labels: (n,), class of each; every class needs an image.
        counts: (n,), number of real images that each represents, for the weights; None is 1 each.
    Raises:
        InputError: images of another size or outside [0, 1]; not one label for each image, or a class without images;
            not one count for each image.
    """
    counts = torch.ones_like(labels) if counts is None else counts
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    if images.shape[1:] != shape or not ((images >= 0) & (images <= 1)).all():
        raise InputError(f"images are {tuple(images.shape[1:])}; give numbers from 0 to 1 of {shape}")
    if not len(labels) == len(counts) == len(images) or labels.unique().tolist() != [*range(dataset.n_classes)]:
        have = f"{len(images)} images have {len(labels)} labels and {len(counts)} counts"
        raise InputError(f"{have}; give one of each, and an image of every class, 0 to {dataset.n_classes - 1}")

    def build(work: Workspace) -> None:
        members = [torch.nonzero(labels == label).flatten() for label in range(dataset.n_classes)]
        for label, rows in enumerate(members):
            for item, image in enumerate(images[rows]):
                write_image(work, label, item, image)
        write_metadata(work, dataset, [counts[rows] for rows in members], seed=None)

    parameters = {"content": _digest(images=images, labels=labels, counts=counts), "classes": dataset.classes}
    return DistilledDataset(store.make("images", build, parameters=parameters, modules=(__name__,)))


def _digest(**tensors: Tensor) -> str:
    """SHA-256 of some tensors with their names, types and shapes."""
    content = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    return hashlib.sha256(content).hexdigest()
