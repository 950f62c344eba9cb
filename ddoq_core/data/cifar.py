"""CIFAR-10 and CIFAR-100 as they are published: Python pickles, read without running what a pickle can run.

In: the folder that torchvision downloads. Out: images and labels. Every file must have its published checksum, and is
then read by an unpickler that knows arrays and plain values, and nothing that could be called.
"""

import pickle
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from .dataset import Dataset, data_root
from .in_memory import with_test_part

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
    """CIFAR as torchvision keeps it, whose class has this name."""
    from torchvision import datasets  # of the extra `pipeline`

    source = getattr(datasets, name)
    root = data_root(profile, f"the folder {source.base_folder}")
    images, labels, names = read_cifar(source, root, profile.download)
    names = [name.replace("_", " ") for name in names]
    return with_test_part(profile, images, labels, names, [f"a photo of a {name}" for name in names])


def read_cifar(
    source: type, root: Path, download: bool
) -> tuple[list[UInt8[Tensor, "_ 3 32 32"]], list[Int64[Tensor, " _"]], list[str]]:
    """Images and labels of the training and of the test part, and the names of the classes.

    Args:
        source: torchvision's class, for the names of the files and their checksums.
    Raises:
        InputError: a file is missing, is not the published one, or holds something else than arrays.
    """
    from torchvision.datasets.utils import check_integrity, download_and_extract_archive  # of the extra `pipeline`

    folder = root / source.base_folder
    parts = [source.train_list, source.test_list]
    files = [*(entry for part in parts for entry in part), (source.meta["filename"], source.meta["md5"])]

    def sound() -> bool:
        return all(check_integrity(str(folder / name), md5) for name, md5 in files)

    if download and not sound():
        try:
            download_and_extract_archive(source.url, str(root), filename=source.filename, md5=source.tgz_md5)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{source.base_folder} cannot be fetched ({error}); put it into {root}") from error
    if not sound():
        raise InputError(f"no sound copy of {source.base_folder} in {root}; mend data_root or set download=true")
    images, labels = [], []
    for part in parts:
        batches = [_read(folder / name) for name, _ in part]
        images.append(torch.from_numpy(np.concatenate([b["data"] for b in batches]).reshape(-1, 3, 32, 32)))
        labels.append(torch.tensor([label for b in batches for label in b.get("labels", b.get("fine_labels"))]))
    return images, labels, _read(folder / source.meta["filename"])[source.meta["key"]]


def _read(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file, encoding="latin1").load()  # written by Python 2
    except Exception as error:  # a pickle that is none raises errors of any kind
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())[:80]}); fetch it again") from error
