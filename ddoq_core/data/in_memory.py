"""A data set that fits into memory: its images, resized to the profile's size, split into the three parts."""

import hashlib

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from .dataset import Dataset, Split, content_key, cut
from .imbalance import population


def check_pairs(images: UInt8[Tensor, "n ..."], labels: Int64[Tensor, " m"], n_classes: int, files: str) -> None:
    """Check that images and labels belong together: equal numbers, and every label is one of the classes.

    Raises:
        InputError: they do not; `files` names their source.
    """
    if len(images) != len(labels) or not len(labels):
        raise InputError(
            f"{files}: {len(labels)} labels for {len(images)} images; download both again, from one source"
        )
    strange = torch.nonzero((labels < 0) | (labels >= n_classes)).flatten()
    if len(strange):
        raise InputError(
            f"{files}: image {strange[0]} has label {labels[strange[0]]}, but the classes are 0 to {n_classes - 1}; "
            f"download them again, or choose their own dataset"
        )


def with_test_part(
    profile: Profile, images: list[UInt8[Tensor, "_ C h w"]], labels: list[Int64[Tensor, " _"]], names: list[str],
    prompts: list[str],
) -> Dataset:  # fmt: skip
    """Data set from a published training part and a published test part."""
    first = torch.arange(len(labels[0]))
    test = torch.arange(len(labels[1])) + len(first)
    return in_memory(profile, torch.cat(images), torch.cat(labels), first, test, names, prompts)


def in_memory(
    profile: Profile, images: UInt8[Tensor, "n C h w"], labels: Int64[Tensor, " n"], first: Int64[Tensor, " m"],
    test: Int64[Tensor, " k"], names: list[str], prompts: list[str],
) -> Dataset:  # fmt: skip
    """Data set of 8-bit images: `first` are the indices for training and validation, `test` the others."""
    fingerprint = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
    images, first = fitted(images, profile.picture_size), first[population(labels[first], profile)]
    whole = Split(labels, [f"{profile.dataset}/{i:05d}" for i in range(len(labels))], images, profile.picture_size)
    train, validation = (
        first[part] for part in cut(labels[first], profile.validation_fraction, profile.seed, "validation")
    )
    seen = images[train].float() / 255
    return Dataset(
        profile.dataset, whole.subset(train), whole.subset(validation), whole.subset(test),
        class_ids=[f"{i:0{len(str(len(names) - 1))}d}" for i in range(len(names))], class_names=names, prompts=prompts,
        image_size=profile.picture_size, channels=images.shape[1],
        mean=tuple(seen.mean((0, 2, 3)).tolist()), std=tuple(seen.std((0, 2, 3)).tolist()),
        key="", content=content_key(profile, fingerprint),
    )  # fmt: skip


def fitted(images: UInt8[Tensor, "n C h w"], size: int) -> UInt8[Tensor, "n C {size} {size}"]:
    """28-pixel digits get a border of zeros up to 32; other sizes are resampled."""
    if images.shape[-1] == 28:
        images = torch.nn.functional.pad(images, (2, 2, 2, 2))
    if images.shape[-1] == size:
        return images
    from torchvision.transforms.functional import resize  # of the extra `pipeline`

    return resize(images, [size, size], antialias=True)
