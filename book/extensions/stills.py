"""Still pictures for the handouts, and for the demos in print and where scripts are off.

The package draws them by the functions that the scripts mirror, on data of the same laws.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm
from torch import Tensor

from ddoq_book.ch11.cells import codebook_figure, moments_figure, trace_clvq, trace_lloyd
from ddoq_book.ch12.measured_rates import SAMPLED_LAWS, lloyd_rate
from ddoq_book.ch15.reversal import paths_figure
from ddoq_book.style import BLUE, GREEN, INK, MUTED, VERMILION, figure_style, label, subplots
from ddoq_core.quantization import best_of_restarts, companion_weights, exact_quantizer, random_samples
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.measures import LOPSIDED
from ddoq_core.theory.transport import wasserstein2
from ddoq_core.theory.zador import zador_limit

LEVELS = (4, 8, 16, 32, 64)
SCHEMES = {"uniform": "uniform", "sqrt": "square root", "proportional": "proportional"}


def lloyd_still() -> Figure:
    """Three moments of Lloyd's algorithm on the three clouds."""
    X = _cloud(1500)
    return moments_figure(trace_lloyd(X, random_samples(X, 8, numpy_rng(0, "still", "start")), 12))


def clvq_still() -> Figure:
    """Three moments of CLVQ on the three clouds, from a start in one corner."""
    X = _cloud(1500)
    return moments_figure(trace_clvq(X, X[X.sum(1).argsort()[:8]], 12))


@figure_style()
def rate_still() -> Figure:
    """Distance of codebooks to N(0, I_d) against K, and Zador's lines: exact for d = 1, by Lloyd for d = 2 and 3."""
    figure, axes = subplots()
    K = np.array(LEVELS)
    found = {1: (np.array([exact_quantizer(norm(), k).distortion for k in LEVELS]), zador_limit(1, normal=True))}
    for law in (law for law in SAMPLED_LAWS if law.normal):
        found[law.d] = lloyd_rate(law, LEVELS, 6000, [0]).distortions[0], law.limit
    for (d, (G, limit)), colour, marker in zip(found.items(), (BLUE, GREEN, VERMILION), "osD", strict=True):
        axes.plot(K, np.sqrt(limit) * K ** (-1 / d), "--", color=INK, linewidth=1.2)
        axes.plot(K, np.sqrt(G), marker=marker, color=colour)
        label(axes, K[-1], math.sqrt(G[-1]), f"d = {d}", colour)
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="distance $G^{1/2}$")
    axes.set_title("N(0, I); dashed: Zador's line, of slope −1/d")
    axes.set_xticks(LEVELS, [str(k) for k in LEVELS])
    axes.minorticks_off()
    return figure


@figure_style()
def weights_still() -> Figure:
    """One codebook of the three clouds under three kinds of weights, each with its distance to the samples."""
    X = _cloud(800)
    book = best_of_restarts(X, 12, n_restarts=4, rng=numpy_rng(0, "still", "codebook"))
    figure, panels = subplots(1, 3, height=2.4)
    for axes, (scheme, name) in zip(panels, SCHEMES.items(), strict=True):
        w = companion_weights(book.counts, scheme)
        w = w / w.sum()
        _weighted(axes, X, book.points, w)
        axes.set_title(f"{name}: $W_2$ = {wasserstein2(book.points, w, X):.3f}")
    return figure


def reverse_still() -> Figure:
    """Four atoms: the reverse SDE and the ODE from the same starts."""
    return paths_figure(1.0, 25, 100, 0)


def codebook_still() -> Figure:
    """Twelve points of the three clouds and their cells, without their masses."""
    X = _cloud(2000)
    return codebook_figure(X, best_of_restarts(X, 12, n_restarts=4, rng=numpy_rng(0, "still", "handout")))


@figure_style()
def call_still() -> Figure:
    """A call option on the best seven points of N(0, 1), with a kink inside one cell. Next to it, axes to draw on."""
    figure, (left, right) = subplots(1, 2, height=2.2)
    x, strike, grid = exact_quantizer(norm(), 7).points, 0.45, np.linspace(-2.6, 2.6, 400)
    left.plot(grid, np.maximum(grid - strike, 0), color=BLUE)
    left.vlines((x[1:] + x[:-1]) / 2, 0, 2.2, color=INK, linewidth=0.8)
    left.plot(x, np.zeros(len(x)), "o", color=VERMILION, clip_on=False, zorder=3)
    left.set(xlabel="x: points, and borders of cells", ylabel="payoff", ylim=(0, 2.2))
    inside = x[4], (x[3] + x[4]) / 2, (x[4] + x[5]) / 2
    right.set(xlim=inside[1:], xticks=inside, xticklabels=("point", "left border", "right border"), ylim=(-1, 1))
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(xlabel="strike, inside one cell", ylabel="error of the sum", yticks=[0])
    return figure


def _weighted(axes: Axes, X: Float[Tensor, "n 2"], points: Float[Tensor, "K 2"], w: Float[Tensor, " K"]) -> None:
    """Samples in the background, and points of areas in proportion to their weights."""
    axes.plot(*X.T.numpy(), ".", color=MUTED, markersize=1)
    axes.scatter(*points.T.numpy(), s=1200 * w.numpy(), color=VERMILION, edgecolors="white", zorder=3)
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.grid(False)


def _cloud(n: int) -> Float[Tensor, "n 2"]:
    return LOPSIDED.sample(n, numpy_rng(0, "still")).to(torch.float64)


DRAWN: dict[str, Callable[[], Figure]] = {
    "lloyd": lloyd_still,
    "clvq": clvq_still,
    "rate": rate_still,
    "weights": weights_still,
    "reverse": reverse_still,
    "codebook": codebook_still,
    "call": call_still,
}
