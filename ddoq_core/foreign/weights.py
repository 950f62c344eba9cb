"""Weights in a foreign distilled folder: by image in `metadata.jsonl`, or in `sample_weights.txt`.

`sample_weights.txt` is WMDD's (relabel/utils_fkd.py, recover/data_synthesis_new.py): a line for each class, in class
order, with a number for each of its images, in the order of their ids. In WMDD each line adds up to 1, and a batch's
weights are divided by their mean; so here all weights are divided by their mean.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..data.folders import unified
from ..errors import InputError
from ..pipeline.distilled import GIVEN, METADATA, MOST, WEIGHTS

LARGEST_WEIGHT = torch.finfo(torch.float32).max  # the mean of such weights is finite in double precision


@dataclass(frozen=True)
class ForeignWeights:
    """The weighting in a folder: for each image the number of real images that it represents, a weight, or nothing."""

    file: str  # its source; '' if there is none
    counts: Int64[Tensor, "classes ipc"]  # all 1 if not known
    weights: Float[Tensor, "classes ipc"] | None = None  # with mean 1, if there are no counts

    def scheme(self, wanted: str | float) -> tuple[str | float, str]:
        """How a student's loss weights the images if the profile has `weights = wanted`, and a description."""
        if not self.file:
            return "uniform", f"uniform; neither {METADATA} nor {WEIGHTS} has weights"
        if wanted == "uniform":
            return wanted, f"uniform, since weights = uniform; those of {self.file} are not used"
        if self.weights is not None:
            return GIVEN, f"those of {self.file}, divided by their mean"
        equal = "; the counts of each class are equal" if (self.counts == self.counts[:, :1]).all() else ""
        return wanted, f"{wanted} (knob weights), from the counts of {self.file}{equal}"


def read_weights(folder: Path, rows: list[dict], n_classes: int) -> ForeignWeights:
    """Read counts or weights of the images of a folder.

    Args:
        rows: file and sha256 of each image, class by class, the same number of each.
    Raises:
        InputError: lines that do not fit the images; an invalid weight; a label or checksum of another image.
    """
    shape = (n_classes, len(rows) // n_classes)
    if (folder / METADATA).is_file():
        lines = _lines_of_images(folder / METADATA, rows, shape[1])
        counts, weights = ([line.get(name) for line in lines] for name in ("count", "weight"))
        if None not in counts:
            valid = all(type(v) is int and 0 <= v < MOST for v in counts)
            if not valid or not (table := torch.tensor(counts).reshape(shape)).any(1).all():
                raise InputError(
                    f"{folder / METADATA}: counts must be whole numbers >= 0, with at least one above 0 in every class"
                )
            return ForeignWeights(METADATA, table)
        if None not in weights:
            return _of_mean_1(folder / METADATA, weights, shape)
        if any(v is not None for v in counts + weights):
            raise InputError(f"{folder / METADATA} has counts or weights for only some images; fix or remove it")
    if (folder / WEIGHTS).is_file():
        return _of_mean_1(folder / WEIGHTS, _table(folder / WEIGHTS, shape), shape)
    return ForeignWeights("", torch.ones(shape, dtype=torch.int64))


def _lines_of_images(path: Path, rows: list[dict], ipc: int) -> list[dict]:
    """The line of each image, checked to belong to this image."""
    try:
        read = [json.loads(line) for line in path.read_bytes().splitlines()]
        lines = {unified(str(line["file_name"])): line for line in read}
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not one JSON object with a file_name on each line; fix or remove it") from error
    files = [unified(row["file"]) for row in rows]
    different = sorted(set(lines) ^ set(files))
    if different or len(read) != len(lines):
        what = f"only one of them has '{brief(different[0])}'" if different else "one image has two lines"
        raise InputError(f"{path} does not describe the images of its folder: {what}; fix or remove it")
    for i, row in enumerate(rows):
        line, label = lines[files[i]], i // ipc
        if isinstance(line.get("label"), int) and line["label"] != label:
            raise InputError(
                f"{path} gives {row['file']} label {brief(line['label'])}, but its folder is that of class {label}"
            )
        if line.get("sha256", row["sha256"]) != row["sha256"]:
            raise InputError(f"{row['file']} is not the image described in {path}: its checksum differs; copy it again")
    return [lines[file] for file in files]


def _table(path: Path, shape: tuple[int, int]) -> list[float]:
    try:
        lines = [[float(number) for number in line.split()] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a line of numbers for each class ({error}); fix or remove it") from error
    widths = sorted({len(line) for line in lines})
    if (len(lines), widths) != (shape[0], [shape[1]]):
        found = f"{len(lines)} lines of {' or '.join(map(str, widths)) or 'no'} numbers"
        raise InputError(f"{path} has {found}, but there are {shape[0]} classes of {shape[1]} images; fix or remove it")
    return [number for line in lines for number in line]


def _of_mean_1(path: Path, weights: list, shape: tuple[int, int]) -> ForeignWeights:
    if not all(type(w) in (int, float) and 0 <= w <= LARGEST_WEIGHT for w in weights) or not any(weights):
        raise InputError(f"{path}: weights must be numbers >= 0 in float32's range, and not all 0")
    table = torch.tensor(weights, dtype=torch.float64).reshape(shape)
    return ForeignWeights(path.name, torch.ones(shape, dtype=torch.int64), table / table.mean())


def brief(foreign: object) -> str:
    """Foreign text for a message: without control characters, and shortened."""
    return repr(str(foreign)[:80])[1:-1]
