"""CIFAR-10 and CIFAR-100 as published: Python pickles, read without running any code in them.

In: the folder or the archive that torchvision downloads. Out: images and labels. Every file must have its published
checksum; it is then read by an unpickler that knows arrays and plain values, and cannot call anything.
"""

import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from .dataset import Dataset, data_root
from .folders import holding
from .in_memory import check_pairs, with_test_part

ARRAYS = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): np._core.multiarray._reconstruct for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ARRAYS[module, name]


def cifar(profile: Profile, name: str) -> Dataset:
    """CIFAR in torchvision's layout; `name` is that of its class."""
    from torchvision import datasets  # of the extra `pipeline`

    source = getattr(datasets, name)
    root = data_root(profile, f"the folder {source.base_folder}")
    images, labels, names = read_cifar(source, root, profile.download)
    names = [name.replace("_", " ") for name in names]
    return with_test_part(profile, images, labels, names, [f"a photo of a {name}" for name in names])


def read_cifar(
    source: type, root: Path, download: bool
) -> tuple[list[UInt8[Tensor, "_ 3 32 32"]], list[Int64[Tensor, " _"]], list[str]]:
    """Images and labels of the training part and the test part, and the names of the classes.

    Args:
        source: torchvision's class, for the names of the files and their checksums.
    Raises:
        InputError: a file is missing, is not the published one, or does not hold as many labels as images.
    """
    from torchvision.datasets.utils import download_and_extract_archive  # of the extra `pipeline`

    parts = [[name for name, _ in part] for part in (source.train_list, source.test_list)]
    files, problem = _published(source, root)
    if download and problem:
        try:
            download_and_extract_archive(source.url, str(root), filename=source.filename, md5=source.tgz_md5)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{source.base_folder} cannot be downloaded ({error}); put it into {root}") from error
        files, problem = _published(source, root)
    if problem:
        raise InputError(
            f"no valid copy of {source.base_folder} in {root}: {problem}; correct data_root or set download=true"
        )
    names = _read(files[source.meta["filename"]], source.meta["filename"])[source.meta["key"]]
    batches = [[_images_and_labels(files[name], name, len(names)) for name in part] for part in parts]
    images, labels = ([torch.cat([batch[i] for batch in part]) for part in batches] for i in (0, 1))
    return images, labels, names


def _published(source: type, root: Path) -> tuple[dict[str, bytes], str]:
    """Contents of the published files by name, from their folder or their archive; or the problem with them."""
    wanted = dict([*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])])
    base, packed = source.base_folder, source.filename
    places = (root / base, root, root / packed.partition(".")[0] / base)
    folders = [place for place in places if any((place / name).is_file() for name in wanted)]
    archives = [p for p in (root / packed, root / packed.removesuffix(".gz")) if p.is_file()]  # browsers unpack the .gz
    problems = []
    for place in folders[:1] + archives[:1]:
        try:
            files = _archived(place, base, wanted) if place in archives else _filed(place, wanted)
        except FileNotFoundError as error:
            problems.append(f"{place} has no {Path(error.filename).name}")
            continue
        except (OSError, EOFError, KeyError, AttributeError, tarfile.TarError, zlib.error) as error:
            problems.append(f"{place} is damaged ({' '.join(str(error).split())[:80]})")
            continue
        wrong = [n for n in wanted if wanted[n] not in (None, hashlib.md5(files[n], usedforsecurity=False).hexdigest())]
        if not wrong:
            return files, ""
        problems.append(f"{wrong[0]} of {place} is not as it was published")
    return {}, " and ".join(problems) or holding(root)


def _filed(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def _archived(path: Path, base: str, names: Iterable[str]) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {name: archive.extractfile(f"{base}/{name}").read() for name in names}


def _images_and_labels(
    content: bytes, name: str, n_classes: int
) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, " n"]]:
    batch = _read(content, name)
    try:
        images = torch.from_numpy(batch["data"]).reshape(-1, 3, 32, 32)
        labels = torch.tensor(batch["labels"] if "labels" in batch else batch["fine_labels"], dtype=torch.int64)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is damaged (no images and labels: {error}); download it again") from error
    check_pairs(images, labels, n_classes, name)
    return images, labels


def _read(content: bytes, name: str) -> dict:
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()  # written by Python 2
    except Exception as error:  # a file that is not a pickle raises errors of any kind
        raise InputError(f"{name} is damaged ({' '.join(str(error).split())[:80]}); download it again") from error
