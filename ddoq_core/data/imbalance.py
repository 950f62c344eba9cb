"""The distribution of the classes: how many images of each class are kept, and which classes are merged.

A super-class consists of classes, its sub-populations, whose masses are chosen: the r-th keeps a share proportional to
r^-zipf. All test images are kept, so a score under any other masses is a weighted mean.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from ..randomness import numpy_rng
from .dataset import Dataset, Split


def masses(n_classes: int, superclasses: int, zipf: float, seed: int) -> Float[np.ndarray, " n_classes"]:
    """Mass of every class within its super-class, r^-zipf / sum r^-zipf, with ranks r drawn by key."""
    groups = np.arange(n_classes) % superclasses if superclasses else np.arange(n_classes)
    found = np.empty(n_classes)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        shares = np.arange(1, len(members) + 1) ** -float(zipf)
        found[numpy_rng(seed, "zipf", int(group)).permutation(members)] = shares / shares.sum()
    return found


def population(labels: Int64[Tensor, " n"], profile: Profile) -> Int64[Tensor, " m"]:
    """Indices, in order, of the `train_size` images that are kept: drawn by key, class by class.

    Every super-class, or class, keeps its share of all images; within it, every class keeps its mass.

    Raises:
        InputError: a class has too few images; zipf without train_size.
    """
    if not profile.train_size:
        if profile.zipf:
            raise InputError(f"zipf = {profile.zipf} needs a number of images to distribute; set train_size")
        return torch.arange(len(labels))
    n_classes = int(labels.max()) + 1
    of_class = torch.bincount(labels, minlength=n_classes).numpy()
    groups = np.arange(n_classes) % (profile.superclasses or n_classes)
    of_group = np.bincount(groups, of_class)[groups]
    share = masses(n_classes, profile.superclasses, profile.zipf, profile.seed) * of_group / len(labels)
    wanted = np.maximum(np.round(profile.train_size * share).astype(int), 1)
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for label, (count, there) in enumerate(zip(wanted.tolist(), of_class.tolist(), strict=True)):
        if count > there:
            raise InputError(
                f"train_size = {profile.train_size} needs {count} images of class {label}, which has {there}; "
                f"lower train_size or zipf"
            )
        members = torch.nonzero(labels == label).flatten()
        kept[members[numpy_rng(profile.seed, "population", label).permutation(there)[:count]]] = True
    return torch.nonzero(kept).flatten()


def merged(dataset: Dataset, superclasses: int) -> Dataset:
    """The data set with its classes merged: class i becomes part of super-class i mod `superclasses`."""
    if not superclasses:
        return dataset
    if superclasses >= dataset.n_classes:
        raise InputError(
            f"superclasses = {superclasses}, but {dataset.name} has {dataset.n_classes} classes; lower superclasses"
        )

    def merge(split: Split) -> Split:
        return replace(split, labels=split.labels % superclasses, parts=split.labels)

    groups = range(superclasses)
    return replace(
        dataset, train=merge(dataset.train), validation=merge(dataset.validation), test=merge(dataset.test),
        class_ids=[f"{g:0{len(str(superclasses - 1))}d}" for g in groups],
        class_names=[" ".join(dataset.class_names[g::superclasses]) for g in groups],
        prompts=[" or ".join(dataset.prompts[g::superclasses]) for g in groups],
        key=f"{dataset.key}-{superclasses}", content=f"{dataset.content}-{superclasses}",
    )  # fmt: skip
