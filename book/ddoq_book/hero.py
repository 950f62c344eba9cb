"""The picture on the first page: real images, the centroids of their cells, and the distilled images with weights.

In: a run, and the strips of pictures from the study `photographs`, if they exist. Out: a figure, and a copy of it for
the README.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.quantization.weights import companion_weights
from ddoq_core.runs.run import Run

from .ch32.figure1 import nearest_latents
from .image_rows import show_image
from .recorded import RESULTS
from .studies.photographs import NAME, recorded_pictures
from .studies.strips import distilled_images
from .style import WIDTH, figure_style, subplots

STEPS = ("a real image", "the mean of\nits cell", "distilled,\nand its weight")
KINDS = ("five classes", "five more", "one class,\nweighted")  # rows of photographs
CLASSES, WITHOUT = 2, 5  # classes shown, with two cells each: next to photographs, and without photographs
LARGEST = 0.9  # inches: side of a picture
COLUMNS, GAP = 5, 0.1  # columns of photographs, and the gap before them as a share of a column
HEADER = 0.2  # inches: height of the names of the two sides


@figure_style()
def hero_figure(run: Run, ipc: int, records: Path | None = None) -> Figure:
    """The heaviest and the lightest cell of the classes whose cells differ most, next to photographs if recorded.

    Args:
        records: folder that contains the folder of the study; None is that of the book.
    """
    photographs = recorded_pictures((records or RESULTS) / NAME)
    digits, weights = _cells(run, ipc, CLASSES if photographs else WITHOUT)
    columns = digits[0].shape[0]
    widths = [1] * columns + ([GAP] + [1] * COLUMNS if photographs else [])
    sides = 2 if photographs else 1
    height = min(WIDTH / (sum(widths) + 1.6 * sides), LARGEST) * len(STEPS) + 0.45 + HEADER * (sides - 1)
    shape = {"squeeze": False, "gridspec_kw": {"width_ratios": widths}}
    figure, axes = subplots(len(STEPS), len(widths), width=WIDTH, height=height, **shape)
    for ax in axes.flat:
        _frame(ax)
    for line, images, name in zip(axes, digits, STEPS, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for ax, image in zip(line, images, strict=False):
            show_image(ax, image)
    _weigh(axes[-1], weights.tolist())
    if photographs:
        (classes, of_class), found = photographs
        rows = [classes, classes[COLUMNS:], of_class]
        for line, images in zip(axes[:, columns + 1 :], rows, strict=True):
            for ax, image in zip(line, images, strict=False):
                show_image(ax, image)
        _weigh(axes[-1, columns + 1 :], found["weights"])
        for line, name in zip(axes[:, columns + 1], KINDS, strict=True):
            line.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for column, name in ((0, "digits"), (columns + 1, "distilled photographs")):
            place = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points", "fontsize": 9}
            axes[0, column].annotate(name, (0, 1), annotation_clip=False, **place).set_in_layout(False)
        figure.get_layout_engine().set(rect=(0, 0, 1, 1 - HEADER / height))
    return figure


def _frame(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _weigh(line: Iterable[Axes], weights: Iterable[float]) -> None:
    """The weights of eq. 33 below the pictures."""
    for ax, weight in zip(line, weights, strict=False):
        ax.set_xlabel(f"×{weight:.2f}", fontsize=8, labelpad=2)


def _cells(run: Run, ipc: int, n_classes: int) -> tuple[list[Float[Tensor, "n C H W"]], Float[Tensor, " n"]]:
    """Rows of real images, centroids and distilled images, and the weights of the distilled images."""
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    points, counts = load_prototypes(run.prototypes(), ipc)
    share = counts.double() / counts.sum(1, keepdim=True)
    uneven = (share.max(1).values - share.min(1).values).argsort(descending=True, stable=True)[:n_classes]
    ends = {c: dict.fromkeys([int(counts[c].argmax()), int(counts[c].argmin())]) for c in sorted(uneven.tolist())}
    cells = [(c, k) for c, of_class in ends.items() for k in of_class]
    real = []
    for c, k in cells:
        latents, index = run.class_latents(c)
        real.append(int(index[nearest_latents(points[c, k][None], latents)[0][0]]))
    made = distilled_images(run.distilled("ddoq", ipc), [c * ipc + k for c, k in cells])
    weights = companion_weights(counts, "sqrt")
    decoded = prior.decode(torch.stack([points[c, k] for c, k in cells])).cpu()
    return [run.dataset.train.images(real), decoded, made], torch.stack([weights[c, k] for c, k in cells])


def keep_picture(path: Path, profile: Profile) -> None:
    """Draw the picture of a profile's run and write it for the README."""
    hero_figure(Run(profile), max(profile.ipc)).savefig(path, dpi=150, metadata={"Software": None})


if __name__ == "__main__":  # python -m ddoq_book.hero book/assets/hero.png
    keep_picture(Path(sys.argv[1]), Profile.load("laptop"))
