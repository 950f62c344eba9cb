"""MNIST and its kind: IDX files of bytes, plain or gzipped."""

import gzip
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..config.profile import Profile
from ..errors import InputError
from .dataset import Dataset, data_root
from .in_memory import with_test_part


def idx_files(profile: Profile, source: str, names: list[str], prompts: list[str]) -> Dataset:
    """A data set of four IDX files, in the folder that torchvision's class of the name `source` makes."""
    root = data_root(profile, f"the four IDX files of {profile.dataset}")
    if profile.download:
        from torchvision import datasets  # of the extra `pipeline`

        getattr(datasets, source)(root, download=True)
    images, labels = [], []
    for part in ("train", "t10k"):
        images.append(_read_idx(root, source, f"{part}-images-idx3-ubyte").unsqueeze(1))
        labels.append(_read_idx(root, source, f"{part}-labels-idx1-ubyte").long())
    return with_test_part(profile, images, labels, names, prompts)


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
