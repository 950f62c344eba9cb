"""The common interface of digits, CIFAR and folders of photographs: what a data set is, and how its parts are cut.

The validation part is cut from the training part, class by class, keyed by the profile's seed.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from ..randomness import numpy_rng
from .image_files import read_images, resized


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images; the pixels are in memory, or in files that are read on demand."""

    labels: Int64[Tensor, " n"]
    ids: list[str]
    pixels: UInt8[Tensor, "n C H W"] | list[Path]
    image_size: int
    parts: Int64[Tensor, " n"] | None = None  # the original classes, in a data set of super-classes
    crop: float = 0.0  # kept share of the short side, for images that students are tested on (`read_image`)

    def __len__(self) -> int:
        return len(self.labels)

    def images(
        self, indices: Int64[Tensor, " b"] | list[int] | range, size: int | None = None, resize: str = "center-crop"
    ) -> Float[Tensor, "b C H W"]:
        """Images in [0, 1].

        Args:
            size: their side; None is that of the data set. Files are read again at this size.
            resize: how a photograph becomes square, `center-crop` or `squash`.
        Raises:
            InputError: a file cannot be read (any more).
        """
        indices = torch.as_tensor(indices, dtype=torch.int64)
        size = size or self.image_size
        if isinstance(self.pixels, Tensor):
            return resized(self.pixels[indices].float() / 255, size)
        return read_images([self.pixels[i] for i in indices.tolist()], size, resize, self.crop).float() / 255

    def of_class(self, label: int) -> Int64[Tensor, " n_c"]:
        """Indices of all images of a class, in order."""
        return torch.nonzero(self.labels == label).flatten()

    def parts_of_class(self, label: int) -> Int64[Tensor, " n_c"] | None:
        """Sub-populations of all images of a super-class, in order; None if no classes were merged."""
        return None if self.parts is None else self.parts[self.of_class(label)]

    def subset(self, indices: Int64[Tensor, " m"]) -> "Split":
        """Some of these images, in the order of `indices`."""
        chosen = indices.tolist()
        pixels = self.pixels[indices] if isinstance(self.pixels, Tensor) else [self.pixels[i] for i in chosen]
        parts = None if self.parts is None else self.parts[indices]
        return Split(self.labels[indices], [self.ids[i] for i in chosen], pixels, self.image_size, parts, self.crop)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of labelled classes, split in three, with everything that a step needs to know about them."""

    name: str
    train: Split
    validation: Split
    test: Split
    class_ids: list[str]  # directory names, sorted: their order is the class order
    class_names: list[str]
    prompts: list[str]
    image_size: int  # of the pictures; students may see them smaller (`for_students`)
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    key: str  # identifies the content and the code that reads it
    content: str = ""  # identifies the files or pixels, the image size and the split
    unreadable: list[str] = field(default_factory=list)

    @property
    def n_classes(self) -> int:
        return len(self.class_ids)

    @property
    def classes(self) -> list[dict]:
        """The class table of manifests: index, directory, name, prompt."""
        rows = zip(self.class_ids, self.class_names, self.prompts, strict=True)
        return [{"index": i, "directory": d, "name": n, "prompt": p} for i, (d, n, p) in enumerate(rows)]

    @property
    def sized_classes(self) -> list[dict]:
        """The class table with `n`, the number of training images of each."""
        sizes = torch.bincount(self.train.labels, minlength=self.n_classes).tolist()
        return [row | {"n": n} for row, n in zip(self.classes, sizes, strict=True)]

    def for_students(self, profile: Profile) -> "Dataset":
        """The same images at the students' size, if it differs from the teacher's (`teacher_size`)."""
        size = profile.image_size
        if not profile.teacher_size or size == self.image_size:
            return self
        parts = {name: replace(getattr(self, name), image_size=size) for name in ("train", "validation", "test")}
        return replace(self, **parts, image_size=size, key=f"{self.key}-{size}")

    def normalise(self, images: Float[Tensor, "b C H W"]) -> Float[Tensor, "b C H W"]:
        """The input of networks: zero mean, unit standard deviation per channel."""
        shape = (1, -1, 1, 1)
        return (images - images.new_tensor(self.mean).view(shape)) / images.new_tensor(self.std).view(shape)


def check_class_sizes(classes: list[dict], wanted: int, need: str, mend: str = "lower ipc") -> None:
    """Raise InputError for the first class with fewer than `wanted` training images; `need` says what they are for."""
    for row in classes:
        if row["n"] < wanted:
            named = f'class {row["index"]} ("{row["name"]}", {row["directory"]})'
            raise InputError(f"{need}, but {named} has {row['n']} training images; {mend} or drop the class")


def cut(labels: Int64[Tensor, " n"], fraction: float, seed: int, name: str) -> tuple[Tensor, Tensor]:
    """Indices (kept, cut off), each in order: a share of every class, drawn by key, is cut off, but never all of it."""
    off, sizes = torch.zeros(len(labels), dtype=torch.bool), torch.bincount(labels).tolist()
    for label, members in enumerate(labels.argsort(stable=True).split(sizes)):
        if not len(members):
            continue
        count = min(round(fraction * len(members)), len(members) - 1)
        off[members[numpy_rng(seed, "split", name, label).permutation(len(members))[:count]]] = True
    return torch.nonzero(~off).flatten(), torch.nonzero(off).flatten()


def content_key(profile: Profile, fingerprint: str) -> str:
    """Identifies a content after this profile's cuts and resizing; records of students are compared by it."""
    split = [profile.dataset, profile.image_size, profile.seed, profile.validation_fraction, fingerprint]
    if profile.teacher_size:
        split += ["teacher_size", profile.teacher_size]
    if profile.test_crop:
        split += ["test_crop", profile.test_crop]
    if profile.train_size:
        split += [profile.train_size, profile.superclasses, profile.zipf]
    return hashlib.sha256(json.dumps(split).encode()).hexdigest()[:16]


def data_root(profile: Profile, what: str) -> Path:
    """The data root; InputError if it is not set or does not exist."""
    root = Path(profile.data_root)
    if not profile.data_root or not (root.is_dir() or profile.download):
        found = f"no folder {root}" if profile.data_root else f"dataset {profile.dataset} needs data_root"
        raise InputError(f"{found}; set data_root to the folder that holds {what}")
    return root
