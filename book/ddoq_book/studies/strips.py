"""Strips: a PNG with one picture of every class of a distilled set, which a long run stores next to its records."""

from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.methods import METHODS
from ddoq_core.pipeline.distilled import DistilledDataset, read_pixels, write_picture
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace


def keep_strips(run: Run, methods: list[str], ipc: int, folder: Path) -> None:
    """Write the gallery's row of each distilled set to one PNG named by data, level and method.

    An existing row is not made again, like the records next to it.
    """
    for first, *_ in sharing(methods):
        name = strip_name(run.profile.dataset, ipc, first)
        if not (folder / name).exists():
            distilled = run.distilled(first, ipc)
            row = torch.cat(list(distilled_images(distilled, heaviest(distilled))), dim=-1)
            write_picture(Workspace(folder), name, row)


def sharing(methods: list[str]) -> list[list[str]]:
    """Methods with distilled sets in the order of the table; methods that share a set are together."""
    found: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        if name in methods and method.distill:
            found.setdefault(method.images, []).append(name)
    return list(found.values())


def strip_name(dataset: str, ipc: int, method: str) -> str:
    """File name of the strip of a method's set."""
    return f"{dataset}-ipc{ipc:03d}-{method}.png"


def strip_pictures(path: Path) -> Float[Tensor, "k C H W"]:
    """The pictures of a strip, in [0, 1]."""
    strip = read_pixels(path).float() / 255
    return torch.stack(strip.split(strip.shape[1], dim=-1))


def heaviest(distilled: DistilledDataset) -> list[int]:
    """The heaviest image of every class, which represents the most real images; the first if several are equal."""
    order = distilled.counts.reshape(-1, distilled.ipc).argsort(dim=1, descending=True, stable=True)
    return (order[:, 0] + distilled.ipc * torch.arange(len(order))).tolist()


def distilled_images(distilled: DistilledDataset, items: Iterable[int]) -> Float[Tensor, "k C H W"]:
    """Some images of a distilled set in [0, 1]; the others are not read."""
    files = [distilled.artifact.path / distilled.metadata[i]["file_name"] for i in items]
    return torch.stack([read_pixels(path) for path in files]).float() / 255
