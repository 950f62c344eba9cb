"""The one figure style of the book: palette, sizes, fonts, direct labels.

Figures keep a white background, so that they read the same on the light and the dark theme. Colours are Okabe and
Ito's, told apart by colour-blind readers; draw lines that matter with different markers or dashes as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#222222"  # text and axes
MUTED = "#767676"  # what stands behind: samples, baselines, grid text (contrast 4.5:1 on white)
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
SEQUENTIAL = "cividis"  # for magnitudes: monotone in lightness, safe for colour-blind readers
WIDTH = 7.0  # inches: the width of the column of a page
HEIGHT = 3.6

RC = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=CYCLE),
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "image.cmap": SEQUENTIAL,
    "svg.hashsalt": "ddoq",  # equal figures, equal bytes
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Context, or decorator, in which figures get the book's style."""
    with plt.rc_context(RC):
        yield


def subplots(
    rows: int = 1, columns: int = 1, *, width: float = WIDTH, height: float = HEIGHT, **options
) -> tuple[Figure, Axes]:
    """`plt.subplots` of a figure that a notebook shows once: where it is the last expression of a cell.

    Args:
        width, height: inches.
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), **options)
    plt.close(figure)
    return figure, axes


def label(axes: Axes, x: float, y: float, text: str, colour: str = INK, **options) -> None:
    """Write `text` beside the data it names, instead of a legend; offset 5 points to the right."""
    options = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False} | options
    axes.annotate(text, (x, y), color=colour, **options)


def theory_line(axes: Axes, x, y, text: str) -> None:
    """The theory's prediction: dashed, named by its statement at its right end."""
    axes.plot(x, y, linestyle="--", color=INK, linewidth=1.2, zorder=1)
    label(axes, x[-1], y[-1], text)
