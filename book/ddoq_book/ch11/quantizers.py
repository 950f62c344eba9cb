"""Figures and tables of the chapter on optimal quantization: weights, gradient, and the quantizers of N(0, 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import norm
from torch import Tensor

from ddoq_core.quantization.exact import (
    ExactQuantizer,
    exact_centroids,
    exact_gradient,
    exact_quantizer,
    finite_differences,
)
from ddoq_core.quantization.voronoi import Quantizer
from ddoq_core.results.table import As, Column, Table
from ddoq_core.theory.transport import wasserstein2_of_weights
from ddoq_core.theory.zador import LINE_LIMITS

from ..style import BLUE, INK, MUTED, VERMILION, figure_style, label, subplots, theory_line

NORMAL, LIMIT = norm(), LINE_LIMITS["N(0, 1)"]
DENSE, SPARSE = 3e3, 0.5  # concentrations of the random weights: near the Voronoi weights, and far from them


@dataclass(frozen=True)
class WeightTrial:
    """A test of Proposition 2: W_2 by linear program for many weightings of one codebook."""

    root_distortion: float  # G(x)^(1/2), computed without transport
    voronoi: float  # W_2 with the Voronoi weights
    uniform: float  # W_2 with weights 1 / K
    random: Float[ndarray, " m"]  # W_2 with random weights
    misplaced: Float[ndarray, " m"]  # total variation of the random weights from the Voronoi weights, in [0, 1]
    misplaced_uniform: float

    @property
    def n_better(self) -> int:
        """Number of other weightings below the Voronoi weights, beyond rounding; by Proposition 2 there are none."""
        return int((np.append(self.random, self.uniform) < self.voronoi - 1e-9).sum())


def try_weights(quantizer: Quantizer, samples: Float[Tensor, "n d"], n: int, rng: np.random.Generator) -> WeightTrial:
    """W_2 of the Voronoi weights, of uniform weights, and of n random ones, near to far (Dirichlet about Voronoi)."""
    best = quantizer.weights.numpy()
    K = len(best)
    concentrations = np.geomspace(DENSE, SPARSE, n)
    others = np.stack([rng.dirichlet(np.maximum(c * K * best, 1e-3)) for c in concentrations])
    weights = np.concatenate([[best, np.full(K, 1 / K)], others])
    distances = wasserstein2_of_weights(quantizer.points, weights, samples)
    misplaced = np.abs(weights - best).sum(1) / 2
    root = quantizer.distortion**0.5
    return WeightTrial(root, distances[0], distances[1], distances[2:], misplaced[2:], misplaced[1])


@figure_style()
def weightings_figure(trial: WeightTrial) -> Figure:
    """W_2 of each weighting against the mass that it misplaces, and the lower bound of eq. 8."""
    figure, axes = subplots()
    floor, ends = trial.root_distortion, (0, 1.02 * max(trial.misplaced.max(), trial.misplaced_uniform))
    axes.axhline(floor, linestyle="--", color=INK, linewidth=1.2)
    label(axes, ends[1], floor, "$G(x)^{1/2}$ (eq. 8)", xytext=(0, -10), ha="right")
    axes.plot(trial.misplaced, trial.random, ".", color=MUTED)
    axes.plot(trial.misplaced_uniform, trial.uniform, "s", color=VERMILION, markersize=7)
    arrow = {"arrowstyle": "-", "color": VERMILION}
    beside = {"xytext": (-20, 60), "arrowprops": arrow}
    label(axes, trial.misplaced_uniform, trial.uniform, "uniform weights", VERMILION, **beside)
    axes.plot(0, trial.voronoi, "o", color=BLUE, markersize=7, clip_on=False, zorder=4)
    label(axes, 0, trial.voronoi, "Voronoi weights", BLUE, xytext=(8, -10))
    axes.set(xlabel="mass on the wrong point (total variation from the Voronoi weights)", ylabel="$W_2$ to the samples")
    axes.set(xlim=ends, ylim=(floor - 0.15 * (trial.random.max() - floor), None))
    return figure


@figure_style()
def gradient_figure(x: Float[ndarray, " K"]) -> Figure:
    """Proposition 6 on N(0, 1): above, each point and its cell's centroid; below, eq. 13 against finite differences."""
    figure, (above, below) = subplots(2, 1, sharex=True, height=4.2, height_ratios=[3, 2])
    grid = np.linspace(min(-3.5, x[0] - 0.3), max(3.5, x[-1] + 0.3), 400)
    above.fill_between(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=BLUE, alpha=0.15, linewidth=0)
    above.vlines((x[1:] + x[:-1]) / 2, 0, 0.42, color=INK, linewidth=0.8)
    for point, centroid in zip(x, exact_centroids(NORMAL, x), strict=True):
        pull = {"arrowstyle": "-|>", "color": VERMILION, "shrinkA": 0, "shrinkB": 0}
        above.annotate("", (centroid, 0.03), (point, 0.03), arrowprops=pull)
    above.plot(x, np.full(len(x), 0.03), "o", color=VERMILION, markersize=6, zorder=4)
    above.set(ylabel="density of N(0, 1)", ylim=(0, 0.42))
    below.bar(x, exact_gradient(NORMAL, x), width=0.12, color=BLUE, alpha=0.5)
    below.plot(x, finite_differences(NORMAL, x), "x", color=INK, markersize=7)
    below.set_title("bar: eq. 13; cross: finite difference")
    below.axhline(0, color=INK, linewidth=0.8)
    below.set(xlabel="position of the point", ylabel=r"$\partial G / \partial x_i$")
    below.margins(y=0.15)
    return figure


@figure_style()
def normal_quantizers_figure(K_max: int) -> Figure:
    """The optimal quantizers of N(0, 1) for K = 1 to K_max, one row each, below the density; dots show the weights."""
    figure, (above, below) = subplots(2, 1, sharex=True, height=3.8, height_ratios=[1, 3])
    grid = np.linspace(-3.2, 3.2, 200)
    above.fill_between(grid, NORMAL.pdf(grid), color=BLUE, alpha=0.15, linewidth=0)
    above.set(yticks=[], ylim=(0, None), title="density of N(0, 1)")
    for K in range(1, K_max + 1):
        q = exact_quantizer(NORMAL, K)
        below.scatter(q.points, np.full(K, K), s=300 * q.weights, color=VERMILION, edgecolors="white", zorder=3)
    below.set(xlabel="x", ylabel="number of points K", yticks=range(1, K_max + 1), ylim=(K_max + 0.8, 0.2))
    return figure


def normal_quantizers_table(quantizers: Sequence[ExactQuantizer]) -> Table:
    """Optimal quantizers of N(0, 1): points from 0 upwards, their weights, distortion, and K^2 G with its limit."""
    rows = []
    for q in quantizers:
        K, upper = len(q.points), q.points > -1e-9
        rows.append((K, np.abs(q.points[upper]), q.weights[upper], q.distortion, K**2 * q.distortion))
    rows.append(("∞", None, None, As(0, "d"), As(LIMIT, "√3 π/2 = {:.4f}".format)))
    lists = Column("points xᵢ ≥ 0", _listed), Column("weights μ(Cᵢ)", _listed)
    columns = ("K", *lists, Column("distortion G", ".6f"), Column("K² G", ".4f"))
    return Table.of_rows("Optimal quantizers of N(0, 1)", columns, rows)


def _listed(values: Float[ndarray, " m"]) -> str:
    return ", ".join(f"{v:.4f}" for v in values)


@figure_style()
def zador_figure(K_max: int) -> Figure:
    """K^2 G of the optimal quantizers of N(0, 1) for K = 1 to K_max, against its limit."""
    figure, axes = subplots(height=3.0)
    levels = np.unique(np.geomspace(1, K_max, 24).round().astype(int))
    axes.plot(levels, [K**2 * exact_quantizer(NORMAL, int(K)).distortion for K in levels], "o-", color=BLUE)
    theory_line(axes, np.array([1, K_max]), np.full(2, LIMIT), "$\\sqrt{3}\\,\\pi/2$\n(Zador)")
    axes.set(xscale="log", xlabel="number of points K", ylabel="$K^2 G$")
    axes.set_ylim(bottom=0)
    return figure
