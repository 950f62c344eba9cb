"""MNIST and similar data sets: IDX files of bytes, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from .dataset import Dataset, data_root
from .folders import holding
from .in_memory import check_pairs, with_test_part

GZIP = b"\x1f\x8b"


def idx_files(profile: Profile, source: str, names: list[str], prompts: list[str]) -> Dataset:
    """A data set of four IDX files, in the folder that torchvision's class `source` makes.

    Raises:
        InputError: a file is missing or damaged, or images and labels do not belong together.
    """
    root = data_root(profile, f"the four IDX files of {profile.dataset}")
    if profile.download:
        from torchvision import datasets  # of the extra `pipeline`

        getattr(datasets, source)(root, download=True)
    images, labels = [], []
    for part in ("train", "t10k"):
        files = [_find(root, source, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
        images.append(_read_idx(files[0], 3).unsqueeze(1))
        labels.append(_read_idx(files[1], 1).long())
        check_pairs(images[-1], labels[-1], len(names), " and ".join(map(str, files)))
    if images[0].shape[1:] != images[1].shape[1:]:
        sizes = [" x ".join(map(str, part.shape[2:])) for part in images]
        raise InputError(
            f"the images of {root} are {sizes[0]} for training, {sizes[1]} for the test; download them again"
        )
    return with_test_part(profile, images, labels, names, prompts)


def _find(root: Path, source: str, name: str) -> Path:
    """The file with a name: also with a dot in it as on Kaggle, compressed, or in a folder with its own name."""
    called = [n + end for n in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    folders = (root, root / "raw", root / source / "raw", root / source)
    places = [f / n for f in folders for n in called] + [f / o / n for f in folders for o in called for n in called]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(
            f"no {name} or {name}.gz in {root} or {root / source / 'raw'} ({holding(root)}); unpack archives, "
            f"correct data_root or set download=true"
        )
    return found


def _read_idx(path: Path, rank: int) -> UInt8[Tensor, "..."]:
    """Array of an IDX file of bytes: two zero bytes, type 8, rank, the sizes big-endian, then the values."""
    try:
        content = path.read_bytes()
        for _ in range(2):  # some files are compressed twice; others are called .gz and are not compressed
            content = gzip.decompress(content) if content[:2] == GZIP else content
        if content[:4] != bytes([0, 0, 8, rank]):
            begin = content[:4].hex(" ") or "nothing"
            raise ValueError(f"it begins with {begin}, but an IDX file of its name begins with 00 00 08 0{rank}")
        shape = np.frombuffer(content, ">u4", rank, offset=4).tolist()
        there, wanted = len(content) - 4 - 4 * rank, math.prod(shape)
        if there != wanted:
            raise ValueError(f"{there} values, but its header says {' x '.join(map(str, shape))}")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); download it again") from error
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())
