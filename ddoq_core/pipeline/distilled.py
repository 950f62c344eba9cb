"""The distilled set: a folder that other tools can read, and its reader.

In: images in [0, 1], and how many real images each represents. Out: `00000/class00000_id00000.png`, in the order of the
classes, with `metadata.jsonl` (Hugging Face's `imagefolder` format) and `sample_weights.txt` (WMDD's: a line for each
class, a number for each image); the class table is in the manifest's parameters. One set serves every weighting: it
keeps the counts, and weights are computed in training. A foreign set may have weights without counts: `given`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from PIL import Image
from torch import Tensor

from ..data.dataset import Dataset
from ..data.image_files import opened
from ..errors import InputError
from ..finite import finite
from ..quantization.weights import companion_weights
from ..store.artifacts import Artifact, Workspace
from ..store.manifest import sha256_of
from ..store.safe_files import read_tensors
from .card import CARD, dataset_card

METADATA, WEIGHTS = "metadata.jsonl", "sample_weights.txt"
GIVEN = "given"  # the weighting of a set that came with weights but no counts; also its own soft labels
LABELS, LEARNED = "labels.safetensors", "learned.json"  # soft labels of a foreign set, and its learned rate
MOST = 2**53  # above it, whole numbers are no longer exact in double precision


@dataclass(frozen=True)
class DistilledDataset:
    """A finished distilled set, class by class: row i of everything is image i."""

    artifact: Artifact

    @cached_property
    def metadata(self) -> list[dict]:
        """One row per image: file_name, label, count, weight (eq. 33), seed, prompt, sha256.

        Raises:
            InputError: a row that is not that of the next image, or an image outside the folder.
        """
        return _read_metadata(self.artifact.path, len(self.classes))

    @property
    def classes(self) -> list[dict]:
        """The class table: index, directory, name, prompt."""
        return self.artifact.manifest["parameters"]["classes"]

    @property
    def ipc(self) -> int:
        """Images per class, K: the largest number in any class."""
        return int(torch.bincount(self.labels).max())

    def __len__(self) -> int:
        return len(self.metadata)

    @cached_property
    def labels(self) -> Int64[Tensor, " n"]:
        """Class index of every image."""
        return torch.tensor([row["label"] for row in self.metadata])

    @property
    def given_labels(self) -> Float[Tensor, "n classes"]:
        """Class probabilities in the label of every image, for a set that came with soft labels."""
        return read_tensors(self.artifact.path / LABELS)["shares"]

    @cached_property
    def counts(self) -> Int64[Tensor, " n"]:
        """Number of real images that every image represents, v: the size of its centroid's cell."""
        return torch.tensor([row["count"] for row in self.metadata])

    def weights(self, scheme: str | float) -> Float[Tensor, " n"]:
        """Weights of the images in the loss: from their counts class by class, or `given`, as stored in the set."""
        if scheme == GIVEN:
            return torch.tensor([row["weight"] for row in self.metadata])
        return torch.cat([companion_weights(v, scheme) for v in self.by_class(self.counts)]).float()

    def by_class(self, values: Shaped[Tensor, "n ..."]) -> Sequence[Shaped[Tensor, "_ ..."]]:
        """A value of every image, class by class."""
        return values.split(torch.bincount(self.labels).tolist())

    def pixels(self) -> UInt8[Tensor, "n C H W"]:
        """All images as stored, 8 bits a channel."""
        return torch.stack([read_pixels(self.artifact.path / row["file_name"]) for row in self.metadata])

    def images(self) -> Float[Tensor, "n C H W"]:
        """All images in [0, 1]."""
        return self.pixels().float() / 255


def image_name(label: int, item: int) -> str:
    """File of image `item` of class `label`; sorted names are in class order."""
    return f"{label:05d}/class{label:05d}_id{item:05d}.png"


def write_image(work: Workspace, label: int, item: int, image: Float[Tensor, "C H W"]) -> None:
    """Write image `item` of a class, unless an earlier run did; InputError if it is not finite."""
    finite(image[None], lambda _: f"image {item} of class {label}")
    write_picture(work, image_name(label, item), image)


def write_picture(work: Workspace, name: str, image: Float[Tensor, "C H W"]) -> None:
    """Write one image in [0, 1] as PNG, grey or RGB, unless an earlier run did."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    work.chunk(name, lambda path: picture.save(path, format="png"))


def read_pixels(path: Path) -> UInt8[Tensor, "C H W"]:
    """Pixels of a PNG, as stored.

    Raises:
        InputError: it is not an image, or has more pixels than Pillow considers safe.
    """
    with opened(path.read_bytes(), str(path), "remove its folder to make it again") as picture:
        pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def write_metadata(
    work: Workspace, dataset: Dataset, counts: Int64[Tensor, "C K"] | Sequence[Int64[Tensor, " _"]], *,
    seed: int | None, sources: Sequence[str] = (),
    weights: Float[Tensor, "C K"] | Sequence[Float[Tensor, " _"]] | None = None,
) -> None:  # fmt: skip
    """Write `metadata.jsonl`, `sample_weights.txt` and the card for images that `write_image` wrote.

    Args:
        counts: number of real images that each image represents, class by class.
        seed: of the distillation; with the manifest's `seed` it identifies every draw. None: a foreign set.
        sources: identities of the kept real images, or the files of a foreign set.
        weights: of a foreign set without counts; otherwise those of eq. 33.
    """
    weights = [companion_weights(v, "sqrt") for v in counts] if weights is None else weights
    rows = []
    for label, item in ((label, item) for label, v in enumerate(counts) for item in range(len(v))):
        name = image_name(label, item)
        row = {
            "file_name": name,
            "label": label,
            "count": int(counts[label][item]),
            "weight": round(float(weights[label][item]), 6),
            "seed": seed,
            "prompt": dataset.prompts[label],
            "sha256": sha256_of(work.path / name),
        }
        rows.append(row | ({"source": sources[len(rows)]} if sources else {}))
    work.jsonl(METADATA, rows)
    lines = [" ".join(f"{w:.6f}" for w in of_class.tolist()) + "\n" for of_class in weights]
    work.replace(WEIGHTS, lambda path: path.write_text("".join(lines)))
    work.replace(CARD, lambda path: path.write_text(dataset_card(dataset, counts)))


def _read_metadata(folder: Path, n_classes: int) -> list[dict]:
    """Rows of `metadata.jsonl`, which must name the images class by class: no other name is followed."""
    path = folder / METADATA
    rows, label, item = [], 0, 0
    for number, line in enumerate(path.read_bytes().splitlines()):
        where = f"line {number + 1} of {path}"
        try:
            rows.append(json.loads(line))
            if item and rows[-1]["label"] == label + 1:
                label, item = label + 1, 0
            _check_row(rows[-1], folder, label, item, where)
            item += 1
        except InputError:
            raise
        except (ValueError, RecursionError, OverflowError, KeyError, TypeError):
            raise InputError(f"{where} is not a row of an image; remove its folder to make it again") from None
    if not item or label + 1 != n_classes:
        raise InputError(
            f"{path} has {len(rows)} rows, of {label + bool(item)} classes, but the set has {n_classes}; remove its "
            f"folder to make it again"
        )
    return rows


def _check_row(row: dict, folder: Path, label: int, item: int, where: str) -> None:
    """Raise InputError unless the row is that of image `item` of class `label`."""
    seed = 0 if row["seed"] is None else row["seed"]  # of a foreign set
    name, numbers = image_name(label, item), [row["label"], row["count"], seed]
    if row["file_name"] != name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{where} names the image {str(row['file_name'])[:80]!r}, not {name} of this folder; remove its folder to "
            f"make it again"
        )
    if not all(type(n) is int and 0 <= n < MOST for n in numbers) or row["label"] != label:
        raise InputError(
            f"{where} has label, count, seed = {str(numbers)[:80]}, but they must be whole numbers, with label "
            f"{label}; remove its folder to make it again"
        )
    is_text = isinstance(row["prompt"], str)
    if not is_text or not math.isfinite(row["weight"]) or len(bytes.fromhex(row["sha256"])) != 32:
        raise InputError(f"{where} has an invalid weight, prompt or checksum; remove its folder to make it again")
