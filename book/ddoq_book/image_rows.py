"""Images in figures: labelled rows of equal frames, and the index of a class from its name."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.data.dataset import Dataset
from ddoq_core.errors import InputError

from .style import WIDTH, subplots

LARGEST = 1.3  # inches: side of an image if there are few
SHOWN = 200  # pixels: larger images are reduced to this, to keep pages small


def image_rows(rows: list[tuple[str, Float[Tensor, "_ C H W"]]]) -> tuple[Figure, np.ndarray]:
    """A figure with one line of images per row, named at its left, and its axes [rows, columns]."""
    columns = max(len(images) for _, images in rows)
    side = min(WIDTH / (columns + 1), LARGEST)
    width, height = side * (columns + 1), side * len(rows) + 0.25
    figure, axes = subplots(len(rows), columns, width=width, height=height, squeeze=False)
    for line, (name, images) in zip(axes, rows, strict=True):
        for column, ax in enumerate(line):
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
            if column < len(images):
                show_image(ax, images[column])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure, axes


def show_image(ax: Axes, image: Float[Tensor, "C H W"]) -> None:
    """Show one image with values in [0, 1], grey or colour, in its own frame."""
    step = -(-image.shape[-1] // SHOWN)
    pixels = image[:, ::step, ::step].permute(1, 2, 0).numpy()
    ax.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def find_class(dataset: Dataset, name: str) -> int:
    """Index of the class with this name or directory name; an empty name means the first class.

    Raises:
        InputError: there is no such class.
    """
    if not name:
        return 0
    for names in (dataset.class_names, dataset.class_ids):
        if name in names:
            return names.index(name)
    few = ", ".join(dataset.class_names[:10])
    raise InputError(f"class_name = '{name}', but {dataset.name} has no such class; its classes begin with: {few}")
