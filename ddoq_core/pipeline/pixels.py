"""The pixels of a distilled set in one memory-mapped file: written once, and read as each batch needs them.

In: a distilled set of PNG files. Out: a tensor whose rows stay on disk until they are indexed, and go to the device
batch by batch. So a set of any size needs no memory of its own, on the card or beside it.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..data.image_files import READERS
from ..processes import bar
from ..store.artifacts import Store, Workspace
from .distilled import DistilledDataset, read_pixels

FILE = "pixels.npy"


def mapped_pixels(store: Store, distilled: DistilledDataset) -> UInt8[Tensor, "n C H W"]:
    """All images as stored, 8 bits a channel, in a file of the store that is written if it is missing."""
    files = [distilled.artifact.path / row["file_name"] for row in distilled.metadata]

    def build(work: Workspace) -> None:
        shape = (len(files), *read_pixels(files[0]).shape)

        def write(path: Path) -> None:
            with open(path, "wb") as file:
                np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "|u1"})
                with ThreadPoolExecutor(READERS) as pool:
                    for image in bar(pool.map(read_pixels, files), total=len(files), desc="pixels", leave=False):
                        file.write(image.numpy().tobytes())

        work.replace(FILE, write)

    made = store.make(
        "pixels", build, parameters={}, inputs=[distilled.artifact], modules=(__name__,), label=distilled.artifact.label
    )
    return torch.from_numpy(
        np.load(made.path / FILE, mmap_mode="c", allow_pickle=False)
    )  # c: writes to the tensor do not reach the file


def fetched(
    pixels: UInt8[Tensor, "n C H W"], rows: Int64[Tensor, " b"], device: torch.device
) -> UInt8[Tensor, "b C H W"]:
    """Some images on a device; only these are read from a mapped file, and a GPU copies them from pinned memory."""
    found = pixels[rows.to(pixels.device)]
    if device.type == "cuda" and found.device.type == "cpu":
        found = found.pin_memory()
    return found.to(device, non_blocking=True)
