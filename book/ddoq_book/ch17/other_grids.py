"""Grids, drawn and checked; laws from densities and from draws; spreads for other powers; bounds from both sides."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ddoq_core.quantization import best_of_restarts, exact_quantizer, random_samples, sampled_quantizer
from ddoq_core.quantization.densities import DensityLaw
from ddoq_core.quantization.dual import dual_quantizer
from ddoq_core.quantization.grids import check_grid, normal_grid, normal_law
from ddoq_core.quantization.powers import power_lloyd
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import As, Column, Table

from ..ch11.cells import cell_polygons
from ..style import BLUE, INK, VERMILION, figure_style, subplots

BOX = (-3.2, 3.2, -3.2, 3.2)  # part of the plane in the figure
WELLS = DensityLaw(lambda x: np.exp(-((x**2 - 4) ** 2) / 4), centre=2)


@figure_style()
def grid_figure(N: int, n_draws: int, seed: int) -> Figure:
    """The grid of N(0, I_2) with N points, checked in the table: its cells, shaded by their masses."""
    grid = normal_grid(N, 2, numpy_rng(seed, "17", "grid", 2), n_draws=n_draws)
    figure, axes = subplots(height=3.8)
    shades = 0.6 * grid.weights / grid.weights.max()
    colours = [to_rgba(BLUE, shade) for shade in shades]
    axes.add_collection(
        PolyCollection(cell_polygons(grid.points, BOX), facecolors=colours, edgecolors=INK, linewidths=0.8)
    )
    axes.plot(*grid.points.T, "o", color=VERMILION, markeredgecolor="white", markersize=5)
    axes.set(xlim=BOX[:2], ylim=BOX[2:], aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    return figure


def checked_grids_table(dimensions: Sequence[int], N: int, n_draws: int, seed: int) -> Table:
    """Grids of N(0, I_d) and the results of a check."""
    rows = []
    for d in dimensions:
        grid = normal_grid(N, d, numpy_rng(seed, "17", "grid", d), n_draws=n_draws)
        found = check_grid(grid, normal_law(d), rng=numpy_rng(seed, "17", "check", d), n_draws=n_draws)
        errors = [f" ± {e:.0e}" if found.draws else "" for e in found.errors]
        how = f"{found.draws:,} draws" if found.draws else "quadrature"
        rows.append((
            d, how, As(found.stationarity, lambda v, e=errors[0]: f"{v:.1e}{e}"),
            As(found.weights, lambda v, e=errors[1]: f"{v:.1e}{e}"),
            As(found.distortion, lambda v, e=errors[2]: f"{v:.6f}{e}"),
        ))  # fmt: skip
    columns = ("d", "checked by", "largest |xᵢ − centroid|", "largest error of a weight", "distortion")
    return Table.of_rows(f"Grids of N(0, I) with {N} points", columns, rows, ("±: one standard deviation.",))


def wells_table(levels: Sequence[int], n_draws: int, seed: int) -> Table:
    """Two wells: quantizers from the density, and by CLVQ on draws, which are quantiles of uniform numbers."""
    rows = []
    for K in levels:
        exact = exact_quantizer(WELLS, K)
        rng = numpy_rng(seed, "17", "wells", K)
        found = sampled_quantizer(lambda r, n: WELLS.ppf(r.random((n, 1))), K, n_draws, rng=rng)
        cost = float(((found.points[:, 0].numpy()[:, None] - exact.points) ** 2).min(1).max() ** 0.5)
        rows.append((K, exact.distortion, found.distortion, cost))
    columns = (
        "K", Column("distortion, from the density", ".6f"), Column("from draws, CLVQ averaged", ".6f"),
        Column("farthest point from an exact one", ".3f"),
    )  # fmt: skip
    return Table.of_rows("The law with density ∝ exp(−(x² − 4)²/4)", columns, rows)


def spreads_table(powers: Sequence[float], K: int, n_draws: int, seed: int) -> Table:
    """N(0, I_2), Lloyd's algorithm for each power from one start: spread of the points over that for r = 2."""
    rng = numpy_rng(seed, "17", "spreads")
    X = torch.from_numpy(rng.standard_normal((n_draws, 2)))
    start = random_samples(X, K, rng)
    spread = {r: power_lloyd(X, start, r).points.square().sum(1).mean().item() for r in {*powers, 2}}
    rows = [(r, spread[r], spread[r] / spread[2], (2 + r) / 4) for r in powers]
    columns = (
        Column("r", "g"), Column("mean of |xᵢ|²", ".2f"), Column("over that for r = 2", ".2f"),
        Column("(d + r) / (d + 2)", ".2f"),
    )  # fmt: skip
    return Table.of_rows(f"{K} points in the plane for other powers", columns, rows)


def brackets_table(levels: Sequence[int], n_draws: int, seed: int) -> Table:
    """E exp(X_1 + X_2) for uniform X on the square: Voronoi rules from below, dual ones from above."""
    rng = numpy_rng(seed, "17", "brackets")
    X = torch.from_numpy(rng.random((n_draws, 2)))
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    mean, rows = np.exp(X.numpy().sum(1)).mean(), []
    for K in levels:
        voronoi = best_of_restarts(X, K, n_restarts=1, rng=rng)
        x = voronoi.points.numpy()
        dual = dual_quantizer(np.concatenate([x, corners]), X.numpy())
        below = float(voronoi.weights.numpy() @ np.exp(x.sum(1)))
        rows.append((K, below, mean, float(dual.weights @ np.exp(dual.points.sum(1)))))
    columns = (
        "K",
        Column("Voronoi", ".4f"),
        Column("mean of the draws", ".4f"),
        Column("dual, and four corners", ".4f"),
    )
    note = f"Bounds for the law of {n_draws:,} draws; on the square itself it is (e − 1)² = {(np.e - 1) ** 2:.4f}."
    return Table.of_rows("E exp(X₁ + X₂) on the unit square, from both sides", columns, rows, (note,))
