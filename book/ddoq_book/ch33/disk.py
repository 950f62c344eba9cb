"""Disk space for ImageNet-1K in the paper's setting: latents, prototypes, images and soft labels.

In: numbers of images per class. Out: bytes, and a table of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ddoq_core.cost.sizes import Images
from ddoq_core.cost.tables import LEVELS, PAPER, bytes_form
from ddoq_core.pipeline.label_forms import label_bytes
from ddoq_core.results.table import Column, Table

NUMBERS_OF_A_LATENT = 4 * 64 * 64  # numbers in a latent of Stable Diffusion 1.5


@dataclass(frozen=True)
class DiskUse:
    """Bytes of one kind of file."""

    what: str
    kept_as: str
    by_level: tuple[float, ...] | None  # None: once for all levels
    together: float


def disk_use(levels: Sequence[int] = LEVELS) -> list[DiskUse]:
    """Bytes of all kinds of files, by images per class."""
    images = Images.of(PAPER)
    m = [ipc * images.n_classes for ipc in levels]

    def each(what: str, kept_as: str, values: list[float]) -> DiskUse:
        return DiskUse(what, kept_as, tuple(values), sum(values))

    return [
        DiskUse("latents, once for all IPC", "float32", None, 4 * images.n * NUMBERS_OF_A_LATENT),
        DiskUse("latents, once for all IPC", "float16", None, 2 * images.n * NUMBERS_OF_A_LATENT),
        each("prototypes", "float32", [4 * k * NUMBERS_OF_A_LATENT for k in m]),
        each("prototypes", "float16", [2 * k * NUMBERS_OF_A_LATENT for k in m]),
        each("distilled images", "pixels", [k * 3 * PAPER.image_size**2 for k in m]),
        each(
            "soft labels",
            "float16",
            [label_bytes(k, images.n_classes, PAPER.epochs) for k in m],
        ),
    ]


def disk_table(found: list[DiskUse], levels: Sequence[int] = LEVELS) -> Table:
    """The disk space by kind of file and by images per class."""
    columns = [Column(name, bytes_form) for name in (*(f"IPC {ipc}" for ipc in levels), "Together")]
    nothing = (None,) * len(levels)
    return Table.of_groups(
        "Disk that ImageNet-1K needs: prior Stable Diffusion 1.5, students at 224 pixels, 300 epochs",
        ("What", "Kept as", *columns),
        [(use.what, use.kept_as, *(use.by_level or nothing), use.together) for use in found],
        ("Latents and prototypes are kept in the precision of the profile; as PNG, photographs take less.",),
    )
