"""Optimal quantization of the parts of a photograph: the colours of its pixels, and its small patches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from sklearn.datasets import load_sample_images
from torch import Tensor

from ddoq_core.errors import InputError
from ddoq_core.quantization import Quantizer, assign, best_of_restarts, quantize
from ddoq_core.results.table import Column, Table

from ..style import BLUE, INK, figure_style, label, subplots

TOLERANCE = 1e-4  # tolerance of Lloyd's algorithm: an invisible fraction of the distortion
RESTARTS = 3
NAMES = ("china.jpg", "flower.jpg")
LEAST_CONTRAST = 0.2  # of the largest amplitude; a patch below it is shown with less contrast, not to amplify noise


@dataclass(frozen=True)
class CodebookFamily:
    """One measure on R^d with a codebook for each of several K, found on some samples and evaluated on all."""

    samples: Float[Tensor, "n d"]
    quantizers: tuple[Quantizer, ...]  # in increasing order of K; weights and distortion are from all samples

    @property
    def levels(self) -> list[int]:
        """The K."""
        return [len(q.points) for q in self.quantizers]

    @property
    def shares(self) -> Float[ndarray, " levels"]:
        """Distortion as a share of the variance, which is the distortion of one point."""
        return (
            np.array([q.distortion for q in self.quantizers]) / self.samples.double().var(0, correction=0).sum().item()
        )

    @property
    def slope(self) -> float:
        """Slope of log distortion against log K, by least squares."""
        return float(np.polyfit(np.log(self.levels), np.log(self.shares), 1)[0])

    def at(self, K: int) -> Quantizer:
        """The codebook of K points.

        Raises:
            InputError: there is no codebook of K points.
        """
        if K not in self.levels:
            raise InputError(f"K = {K}, but there are codebooks for K in {self.levels}; add it to the levels")
        return self.quantizers[self.levels.index(K)]


def sample_photographs(factor: int = 2) -> dict[str, Float[ndarray, "h w 3"]]:
    """The two photographs in scikit-learn, in [0, 1], each side divided by `factor` (means over squares of pixels).

    Raises:
        InputError: the factor is below 1 or above the smaller side.
    """
    bunch = load_sample_images()
    return {name.removesuffix(".jpg"): _shrunk(image, factor) for name, image in zip(NAMES, bunch.images, strict=True)}


def colours(
    image: Float[ndarray, "h w 3"], levels: Sequence[int], n_pixels: int, rng: np.random.Generator
) -> CodebookFamily:
    """Codebooks of the colours of a photograph, found on n_pixels of its pixels."""
    return _codebooks(torch.from_numpy(image.reshape(-1, 3)).float(), levels, n_pixels, rng)


def patches(
    images: Sequence[Float[ndarray, "h w 3"]], side: int, n: int, rng: np.random.Generator
) -> Float[Tensor, "n {side}*{side}"]:
    """n square patches of the grey images, each minus its own mean, with the same number from every image.

    Raises:
        InputError: the side of a patch is above that of an image.
    """
    rows = []
    for image in images:
        if not 1 <= side <= min(image.shape[:2]):
            raise InputError(f"patch_side = {side}, but the photographs are {image.shape[0]} x {image.shape[1]} pixels")
        windows = np.lib.stride_tricks.sliding_window_view(image.mean(2), (side, side))
        i, j = (rng.integers(0, size, n // len(images)) for size in windows.shape[:2])
        rows.append(windows[i, j].reshape(-1, side * side))
    found = torch.from_numpy(np.concatenate(rows)).float()
    return found - found.mean(1, keepdim=True)


def patch_codebooks(samples: Float[Tensor, "n d"], levels: Sequence[int], rng: np.random.Generator) -> CodebookFamily:
    """Codebooks of patches, found on the first half of the shuffled patches and evaluated on all."""
    return _codebooks(samples, levels, len(samples) // 2, rng)


def mean_colour_error(codebooks: CodebookFamily, K: int, *, uniform: bool) -> float:
    """Distance of the photograph's mean colour from that of the codebook under its weights, or under equal weights."""
    q = codebooks.at(K)
    weights = torch.full((K,), 1 / K) if uniform else q.weights
    return (weights.double() @ q.points.double() - codebooks.samples.double().mean(0)).norm().item()


def shares_table(codebooks: dict[str, CodebookFamily]) -> Table:
    """Share of the variance that is left, per measure and K, and the slope on logarithmic axes next to -2/d."""
    levels = next(iter(codebooks.values())).levels
    columns = ["measure", "d", *(Column(f"K = {K}", _per_cent) for K in levels), Column("slope", ".2f")]
    dimensions = [books.samples.shape[1] for books in codebooks.values()]
    rows = [
        (name, d, *books.shares, books.slope, -2 / d)
        for (name, books), d in zip(codebooks.items(), dimensions, strict=True)
    ]
    return Table.of_rows("Distortion as a share of the variance", [*columns, Column("−2/d", ".2f")], rows)


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


@figure_style()
def palettes_figure(
    images: dict[str, Float[ndarray, "h w 3"]], codebooks: dict[str, CodebookFamily], levels: Sequence[int]
) -> Figure:
    """Each photograph, also repainted with palettes of several K. Under each is its palette; widths are weights."""
    ratios = [4, 0.5] * len(images)
    size = {"height": 1.75 * len(images), "height_ratios": ratios}
    figure, axes = subplots(2 * len(images), 1 + len(levels), squeeze=False, **size)
    for ax in axes.flat:
        _blank(ax)
    for row, (name, image) in enumerate(images.items()):
        above, below = axes[2 * row], axes[2 * row + 1]
        above[0].imshow(image)
        above[0].set_title(name)
        for ax, bar, K in zip(above[1:], below[1:], levels, strict=True):
            q = codebooks[name].at(K)
            cells = assign(codebooks[name].samples, q.points)
            ax.imshow(q.points[cells].numpy().reshape(image.shape).clip(0, 1))
            ax.set_title(f"K = {K}")
            _draw_palette(bar, q)
    return figure


@figure_style()
def patches_figure(quantizer: Quantizer, side: int) -> Figure:
    """The codebook of patches as tiles, heaviest first, each with its own contrast, and the weights next to it."""
    order = quantizer.weights.argsort(descending=True)
    weights, K = 100 * quantizer.weights[order].numpy(), len(order)
    figure, (left, right) = subplots(1, 2, height=3.6, width_ratios=[1, 1])
    left.imshow(_tiled(quantizer.points[order].numpy(), side), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    left.set_title("heaviest at the top left, row by row")
    _blank(left)
    right.bar(np.arange(1, K + 1), weights, color=BLUE, width=0.8)
    right.axhline(100 / K, linestyle="--", color=INK, linewidth=1.2)
    label(right, K, 100 / K, "equal weights, 1/K", xytext=(0, 8), ha="right")
    right.set(yscale="log", xlabel="patch, by weight", ylabel="weight in %")
    return figure


def _codebooks(samples: Tensor, levels: Sequence[int], n: int, rng: np.random.Generator) -> CodebookFamily:
    few = samples[rng.permutation(len(samples))[:n]]
    found = best_of_restarts(few, sorted(levels), n_restarts=RESTARTS, rng=rng, tol=TOLERANCE)
    return CodebookFamily(samples, tuple(quantize(samples, q.points) for q in found))


def _shrunk(image: ndarray, factor: int) -> Float[ndarray, "h w 3"]:
    if not 1 <= factor <= min(image.shape[:2]):
        raise InputError(f"shrink_factor = {factor}, but it must be from 1 to {min(image.shape[:2])}")
    h, w = (size // factor for size in image.shape[:2])
    blocks = image[: h * factor, : w * factor].reshape(h, factor, w, factor, 3)
    return blocks.mean((1, 3)) / 255


def _draw_palette(axes: Axes, quantizer: Quantizer) -> None:
    """The colours side by side, each as wide as its weight, dark to light."""
    order = quantizer.points.sum(1).argsort()
    widths, shades = quantizer.weights[order].numpy(), quantizer.points[order].numpy().clip(0, 1)
    axes.bar(np.cumsum(widths) - widths, 1, widths, align="edge", color=shades)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _tiled(patches: Float[ndarray, "K d"], side: int) -> Float[ndarray, "rows columns"]:
    """Tiles in a square with a margin, each scaled to [-1, 1] unless nearly flat; a missing tile is white."""
    least = LEAST_CONTRAST * np.abs(patches).max()
    across = int(np.ceil(len(patches) ** 0.5))
    board = np.ones(((side + 2) * -(-len(patches) // across), (side + 2) * across))
    for i, patch in enumerate(patches):
        row, column = (side + 2) * np.array(divmod(i, across)) + 1
        board[row : row + side, column : column + side] = patch.reshape(side, side) / max(np.abs(patch).max(), least)
    return board


def _blank(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
