"""The one figure style of the book: palette, sizes, fonts, direct labels.

Figures have a white background and look the same on the light and the dark theme. Colour-blind readers can distinguish
the colours, also in greyscale. Give important lines different markers or dashes as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.optimize import isotonic_regression

INK = "#222222"  # text and axes
MUTED = "#767676"  # background: samples, baselines, grid text (contrast 4.5:1 on white)
BLUE, BROWN, GREEN, PURPLE, VERMILION = "#00458A", "#7D4C00", "#007A5F", "#A860C0", "#F26440"  # dark to light
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, BROWN)  # the first three are farthest apart in lightness
TEXT_CONTRAST = 4.5  # least contrast of small text with its background (WCAG 2.2, criterion 1.4.3)
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
    "svg.hashsalt": "ddoq",  # equal figures give equal bytes
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Context manager or decorator that gives figures the book's style."""
    with plt.rc_context(RC):
        yield


def subplots(
    rows: int = 1, columns: int = 1, *, width: float = WIDTH, height: float = HEIGHT, **options
) -> tuple[Figure, Axes | ndarray]:
    """`plt.subplots` for a figure that a notebook shows only as the last expression of a cell.

    Args:
        width, height: inches.
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), **options)
    plt.close(figure)
    return figure, axes


def label(axes: Axes, x: float, y: float, text: str, colour: str = INK, **options) -> None:
    """Write `text` next to the data it names, instead of a legend; offset 5 points to the right.

    The text has the colour of the data, darkened if need be for text on white.
    """
    options = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False} | options
    axes.annotate(text, (x, y), color=for_text(colour), **options)


def end_labels(axes: Axes, x: float, ends: dict[str, float], colours: dict[str, str], gap: float) -> None:
    """Name lines at their right ends; names that would touch are moved apart and joined to their lines.

    Call it after the limits of the axes are set.

    Args:
        x, ends: where the lines end, in data coordinates.
        gap: least distance between two names, as a share of the height of the axes.
    """
    to_share = (axes.transData + axes.transAxes.inverted()).transform
    names = sorted(ends, key=ends.get)
    heights, room = np.array([to_share((x, ends[name]))[1] for name in names]), gap * np.arange(len(names))
    for name, height in zip(names, isotonic_regression(heights - room).x + room, strict=True):
        line = {"arrowstyle": "-", "color": colours[name], "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
        beside = {"xytext": (1.05, height), "textcoords": "axes fraction", "arrowprops": line | {"relpos": (0, 0.5)}}
        label(axes, x, ends[name], name, colours[name], **beside)


def luminance(colour: str) -> float:
    """Relative luminance of a colour, 0 for black and 1 for white (WCAG 2.2): its brightness in greyscale print."""
    return float(_linear(colour) @ np.array([0.2126, 0.7152, 0.0722]))


def for_text(colour: str) -> str:
    """The colour, darkened if need be until text in it has the contrast `TEXT_CONTRAST` with white."""
    dimmed = _linear(colour) * min(1, (1.05 / TEXT_CONTRAST - 0.05) / max(luminance(colour), 1e-9))
    return to_hex(np.where(dimmed <= 0.0031308, 12.92 * dimmed, 1.055 * dimmed ** (1 / 2.4) - 0.055))


def _linear(colour: str) -> Float[ndarray, " 3"]:
    """Red, green and blue in proportion to light, without the gamma of sRGB."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def theory_line(axes: Axes, x, y, text: str) -> None:
    """Draw the prediction of the theory as a dashed line, with the name of its statement at the right end."""
    axes.plot(x, y, linestyle="--", color=INK, linewidth=1.2, zorder=1)
    label(axes, x[-1], y[-1], text)
