"""Tables and figures of the chapter on the rate K^(-1/d): its slope, its constant, and the effect of samples."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from ddoq_core.quantization import best_of_restarts
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import As, Column, Table
from ddoq_core.theory.bounds import ball_bound, random_coding_bound, shannon_bound
from ddoq_core.theory.zador import ZADOR

from ..style import BLUE, BROWN, GREEN, INK, MUTED, VERMILION, figure_style, label, subplots
from .measured_rates import AlternatingCircle, EmpiricalGaps, HeavyTail, LineRate, LloydRate

SHORT = {"uniform on [0, 1]": "Uniform"}  # a name that is too long for a column


def line_table(found: Sequence[LineRate]) -> Table:
    """K^2 G against its limit, and the constant of Proposition 4 with eta = 1, for laws on a line.

    The last row of a law extrapolates a + b / K from the two largest levels.
    """
    blocks = []
    for rate in found:
        levels, scaled = (*rate.levels, "→ ∞"), (*rate.scaled, rate.beyond)
        rows = [(K, G, G / rate.limit, rate.constant(G)) for K, G in zip(levels, scaled, strict=True)]
        blocks.append((rate, tuple(rows)))
    law = Column("Law", lambda rate: f"{SHORT.get(rate.name, rate.name)}, limit {rate.limit:.6f}")
    numbers = Column("K² G", ".6f"), Column("over its limit", ".4f"), Column("K e*_K / σ₃ (Proposition 4)", ".4f")
    return Table("Optimal quantizers on a line, exact", (law, Column("K", ",d"), *numbers), tuple(blocks))


def heavy_table(found: HeavyTail) -> Table:
    """K^2 G of a law with a heavy tail for several cut-offs, and its limit."""
    rows = list(zip((*found.levels, "∞ (Zador)"), (*found.scaled.T, found.limits), strict=True))
    columns = Column("K", ",d"), *(Column(f"y = {end:g}", ".2f") for end in found.ends)
    caption = "K² G of a law with only two moments, cut off at e^y"
    return Table.of_rows(caption, columns, [(K, *values) for K, values in rows])


def slopes_table(found: Sequence[LloydRate]) -> Table:
    """Slopes over all levels and between the last two, and the constant at the last level."""
    rows = [
        (
            rate.law.name,
            -1 / rate.law.d,
            Mean.of(rate.slopes()),
            Mean.of(rate.slopes(-2)),
            Mean.of(rate.ratios[:, -1]),
        )
        for rate in found
    ]
    before, last = found[0].levels[-2:]
    slopes = (Column(name, ".4f") for name in ("−1/d", "slope, all K", f"slope, K = {before} to {last}"))
    columns = ("law", *slopes, Column(f"G over Zador's limit, K = {last}", ".3f"))
    note = f"n = {len(found[0].distortions)} seeds, 95 % intervals over them."
    return Table.of_rows("Slope of G^(1/2) in K", columns, rows, (note,))


def local_table(found: Sequence[LloydRate]) -> Table:
    """Slopes between neighbouring levels, and the limit of K^(2/d) G extrapolated by a + b K^(-1/d), over Zador's."""
    levels = found[0].levels
    rows = [
        (
            rate.law.name,
            *(Mean.of(rate.slopes(i, i + 2)) for i in range(len(levels) - 1)),
            Mean.of(rate.extrapolated),
        )
        for rate in found
    ]
    pairs = (f"{a} to {b}" for a, b in itertools.pairwise(levels))
    columns = ("law", *(Column(name, ".3f") for name in (*pairs, "extrapolated")))
    note = (
        f"n = {len(found[0].distortions)} seeds, 95 % over them. "
        "Extrapolation: a + b K^(−1/d), fitted to all levels, over Zador's limit."
    )
    return Table.of_rows("Local slopes of G^(1/2) in K", columns, rows, (note,))


@figure_style()
def slopes_figure(found: Sequence[LloydRate]) -> Figure:
    """K^(2/d) G over the norm of the density, with the band from the ball to random coding; one panel per d."""
    figure, panels = subplots(1, 2, height=3.8, sharey=True)
    for axes, d in zip(panels, (2, 3), strict=True):
        axes.axhspan(ball_bound(d), random_coding_bound(d), color=MUTED, alpha=0.15, linewidth=0)
        axes.axhline(ZADOR[d], linestyle="--", color=INK, linewidth=1.2)
        here = [rate for rate in found if rate.law.d == d]
        for rate, colour, marker in zip(here, (BLUE, VERMILION), "os", strict=True):
            scaled = ZADOR[d] * rate.ratios.mean(0)
            axes.plot(rate.levels, scaled, marker=marker, color=colour)
            label(axes, rate.levels[0], scaled[0], rate.law.name.split(",")[0], colour, xytext=(2, 9))
        axes.set(xscale="log", xlabel="number of points K", title=f"d = {d}; dashed: Zador's constant", ylim=(0, None))
        axes.set_xticks(rate.levels, [str(K) for K in rate.levels])
        axes.minorticks_off()
    panels[0].set_ylabel("$K^{2/d}\\,G$, over the norm of p", fontsize=12)
    return figure


@dataclass(frozen=True)
class CircleRate:
    """K^2 G of K points for the unit circle in R^3, with the rate of dimension 1."""

    K: int
    arcs: float  # K^2 G of K equal arcs, each point the mean of its arc
    lloyd: float  # K^2 G found by Lloyd's algorithm on a fine grid


def circle_rates(levels: Sequence[int]) -> tuple[CircleRate, ...]:
    """K^2 G of the circle at several levels."""
    angle = torch.linspace(0, 2 * math.pi, 2**12 + 1, dtype=torch.float64)[1:]
    X = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], 1)
    found = []
    for K in levels:
        arcs = 1 - (math.sin(math.pi / K) / (math.pi / K)) ** 2
        lloyd = best_of_restarts(X, K, n_restarts=3, rng=numpy_rng(0, "circle")).distortion
        found.append(CircleRate(K, K**2 * arcs, K**2 * lloyd))
    return tuple(found)


def circle_table(found: Sequence[CircleRate]) -> Table:
    """The circle's K^2 G and its limit."""
    rows = [(rate.K, rate.arcs, rate.lloyd) for rate in found]
    rows.append(("∞", As(math.pi**2 / 3, "π²/3 = {:.4f}".format), ""))
    columns = "K", Column("K² G of K equal arcs", ".4f"), Column("K² G found by Lloyd", ".4f")
    return Table.of_rows("A circle in R³", columns, rows)


@dataclass(frozen=True)
class ZadorBand:
    """Known bounds of Zador's constant Q_d."""

    d: int
    ball: float  # lower bound of Q_d
    known: float | None  # Q_d, or the best lattice known
    random_coding: float  # upper bound of Q_d


def zador_bands(dimensions: Sequence[int]) -> tuple[ZadorBand, ...]:
    """The bounds on Q_d by a ball and by random coding, and the best known value between them."""
    return tuple(ZadorBand(d, ball_bound(d), ZADOR.get(d), random_coding_bound(d)) for d in dimensions)


def band_table(found: Sequence[ZadorBand]) -> Table:
    """The bounds divided by d; they have the same limit."""
    rows = [
        (b.d, b.ball / b.d, b.known and b.known / b.d, b.random_coding / b.d, b.random_coding / b.ball) for b in found
    ]
    names = "a ball, over d", "Q_d over d, best known", "random coding, over d"
    ratio = Column("ratio of the bounds", ".4f")
    columns = (Column("d", ",d"), *(Column(name, ".5f") for name in names), ratio)
    note = "Both tend to 1 / (2πe) = 0.05855."
    return Table.of_rows("Bounds of Zador's constant", columns, rows, (note,))


@figure_style()
def gaps_figure(found: EmpiricalGaps) -> Figure:
    """Mean gap and mean bound against n, and the line 1 / n that second-order theory predicts for K = 2."""
    figure, axes = subplots()
    sizes = np.array(found.sizes)
    axes.plot(sizes, found.bounds.mean(1), "D-", color=BROWN)
    axes.plot(sizes, found.gaps.mean(1), "o-", color=BLUE)
    axes.plot(sizes, (2 - 2 / math.pi) / sizes, "--", color=INK, linewidth=1.2)
    label(axes, sizes[-1], found.bounds.mean(1)[-1], "bound of Theorem 3", BROWN)
    label(axes, sizes[-1], found.gaps.mean(1)[-1], "gap, mean", BLUE)
    label(axes, sizes[0], (2 - 2 / math.pi) / sizes[0], "(2 − 2/π) / n", INK, xytext=(0, -16))
    axes.set(xscale="log", yscale="log", xlabel="number of samples n", ylabel="distortion minus the least")
    axes.set_xlim(right=sizes[-1] * 6)
    return figure


@figure_style()
def dimensions_figure(dimensions: Sequence[int], K_max: int) -> Figure:
    """Shannon's floor d K^(-2/d) of N(0, I_d), as a share of the distortion of one point."""
    figure, axes = subplots()
    levels = np.unique(np.geomspace(1, K_max, 40).round())
    for d, colour in zip(dimensions, (BLUE, GREEN, BROWN, VERMILION, INK), strict=False):
        share = [shannon_bound(d, K) / d for K in levels]
        axes.plot(levels, share, color=colour)
        label(axes, levels[-1], share[-1], f"d = {d:,}", colour)
    axes.set(xscale="log", ylim=(0, 1.05), xlabel="number of points K", ylabel="least G, as a share of that of K = 1")
    return figure


def attained_table(found: Sequence[AlternatingCircle]) -> Table:
    """A case in which Theorem 3 is attained to first order."""
    columns = "K", Column("gap over the bound", ".5f"), Column("cos(π / 2K)", ".5f")
    rows = ((at.K, at.ratio, math.cos(math.pi / (2 * at.K))) for at in found)
    return Table.of_rows("2K atoms on a circle, two equally good quantizers of the samples", columns, rows)
