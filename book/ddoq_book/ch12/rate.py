"""Tables and figures of the chapter on the rate K^(-1/d): its slope, its constant, and what samples do to it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.optimize import minimize_scalar
from scipy.special import expn
from scipy.stats import expon, laplace, norm, uniform
from torch import Tensor

from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import (
    best_of_restarts,
    distortion,
    exact_distortion,
    exact_quantizer,
    lloyd,
    uniform_quantizer,
)
from ddoq_core.quantization.exact import ZADOR_NORMAL
from ddoq_core.results.intervals import half_width
from ddoq_core.results.table import NOTHING, Table
from ddoq_core.theory.bounds import ball_bound, empirical_gap, normal_norm, random_coding_bound, shannon_bound

from ..style import BLUE, BROWN, GREEN, INK, MUTED, VERMILION, figure_style, label, subplots

LAWS = {  # law, and the limit of K^2 G (Zador)
    "N(0, 1)": (norm(), float(ZADOR_NORMAL)),
    "Laplace": (laplace(), 9.0),
    "Exponential": (expon(), 9 / 4),
    "Uniform": (uniform(), 1 / 12),
}
ZADOR = {2: 5 / (18 * math.sqrt(3)), 3: 19 / (64 * 2 ** (1 / 3))}  # Q_2; Q_3 of the lattice that is conjectured best
FRESH = 200_000  # samples that judge a codebook, none of which it was made from


def line_table(levels: Sequence[int]) -> Table:
    """K^2 G against its limit, and the constant of Proposition 4 with eta = 1, for laws on a line.

    The last row extrapolates a + b / K from the two largest levels.
    """
    blocks = []
    for name, (law, limit) in LAWS.items():
        sigma = _sigma3(law)
        scaled = [K**2 * exact_quantizer(law, K).distortion for K in levels]
        rows = [
            (f"{K:,}", f"{value:.6f}", f"{value / limit:.4f}", f"{math.sqrt(value) / sigma:.4f}")
            for K, value in zip(levels, scaled, strict=True)
        ]
        (last, before), (K, J) = scaled[:-3:-1], levels[:-3:-1]
        beyond = (K * last - J * before) / (K - J)
        rows.append(("→ ∞", f"{beyond:.6f}", f"{beyond / limit:.4f}", f"{math.sqrt(beyond) / sigma:.4f}"))
        blocks.append((f"{name}, limit {limit:.6f}", tuple(rows)))
    columns = ("Law", "K", "K² G", "over its limit", "K e*_K / σ₃ (Proposition 4)")
    return Table("Optimal quantizers on a line, exact", columns, tuple(blocks))


def _sigma3(law: Any) -> float:
    """min_a E[|X - a|^3]^(1/3)."""
    return minimize_scalar(lambda a: law.expect(lambda x: np.abs(x - a) ** 3)).fun ** (1 / 3)


@dataclass(frozen=True)
class Cloud:
    """A law in R^d whose quantizers are sought by Lloyd's algorithm on samples."""

    name: str
    d: int
    normal: bool  # N(0, I_d), else the uniform law on the unit cube

    @property
    def limit(self) -> float:
        """Of K^(2/d) G (Zador)."""
        return ZADOR[self.d] * (normal_norm(self.d) if self.normal else 1)

    def sample(self, n: int, rng: np.random.Generator, spread: float = 1.0) -> Float[Tensor, "n d"]:
        """n draws in float32; a normal law wider by `spread`."""
        draws = spread * rng.standard_normal((n, self.d)) if self.normal else rng.random((n, self.d))
        return torch.from_numpy(draws.astype(np.float32))


CLOUDS = tuple(
    Cloud(f"{kind}, d = {d}", d, normal) for kind, normal in (("cube", False), ("normal", True)) for d in (2, 3)
)


def lloyd_distortions(cloud: Cloud, levels: Sequence[int], n: int, seeds: Sequence[int]) -> Float[ndarray, "seeds K"]:
    """Distortion on fresh samples of codebooks that start with the optimal density of points, p^(d/(d+2))."""
    spread = math.sqrt((cloud.d + 2) / cloud.d)
    rows = []
    for seed in seeds:
        rng = numpy_rng(seed, "rate", cloud.name)
        X, fresh = cloud.sample(n, rng), cloud.sample(FRESH, rng)
        books = [lloyd(X, cloud.sample(K, rng, spread), max_iter=100, tol=1e-5).points for K in levels]
        rows.append([distortion(fresh, points) for points in books])
    return np.array(rows)


def slopes(levels: Sequence[int], distortions: Float[ndarray, "seeds K"]) -> Float[ndarray, " seeds"]:
    """Slope of log G^(1/2) against log K, for each seed."""
    return np.array([np.polyfit(np.log(levels), np.log(G) / 2, 1)[0] for G in distortions])


def slopes_table(levels: Sequence[int], found: dict[Cloud, Float[ndarray, "seeds K"]]) -> Table:
    """Slopes over all levels, local ones between neighbours, and the constant at the last level."""
    blocks = []
    for cloud, G in found.items():
        mean, half = _interval(slopes(levels, G))
        last, half_last = _interval(slopes(levels[-2:], G[:, -2:]))
        ratio, half_ratio = _interval(levels[-1] ** (2 / cloud.d) * G[:, -1] / cloud.limit)
        cells = f"{-1 / cloud.d:.4f}", f"{mean:.4f} ± {half:.4f}", f"{last:.4f} ± {half_last:.4f}"
        cells = *(cell.replace("-", "−") for cell in cells), f"{ratio:.3f} ± {half_ratio:.3f}"
        blocks.append((cloud.name, (cells,)))
    ends = f"K = {levels[-2]} to {levels[-1]}"
    columns = ("law", "−1/d", "slope, all K", f"slope, {ends}", f"G over Zador's limit, K = {levels[-1]}")
    n = len(next(iter(found.values())))
    return Table("Slope of G^(1/2) in K", columns, tuple(blocks), (f"n = {n} seeds, 95 % intervals over them.",))


def local_table(levels: Sequence[int], found: dict[Cloud, Float[ndarray, "seeds K"]]) -> Table:
    """Slopes between neighbouring levels, and the limit of K^(2/d) G extrapolated by a + b K^(-1/d), over Zador's."""
    rows = []
    for cloud, G in found.items():
        pairs = [_interval(slopes(levels[i : i + 2], G[:, i : i + 2])) for i in range(len(levels) - 1)]
        scaled = np.array(levels) ** (2 / cloud.d) * G / cloud.limit
        beyond = np.array([np.polyfit(np.array(levels) ** (-1 / cloud.d), row, 1)[1] for row in scaled])
        cells = [f"{mean:.3f} ± {half:.3f}".replace("-", "−") for mean, half in pairs]
        mean, half = _interval(beyond)
        rows.append((cloud.name, ((*cells, f"{mean:.3f} ± {half:.3f}"),)))
    ends = (f"{a} to {b}" for a, b in itertools.pairwise(levels))
    n = len(next(iter(found.values())))
    notes = (
        f"n = {n} seeds, 95 % over them. Extrapolation: a + b K^(−1/d), fitted to all levels, over Zador's limit.",
    )
    return Table("Local slopes of G^(1/2) in K", ("law", *ends, "extrapolated"), tuple(rows), notes)


def _interval(values: Float[ndarray, " n"]) -> tuple[float, float]:
    return values.mean(), half_width(values)


@figure_style()
def slopes_figure(levels: Sequence[int], found: dict[Cloud, Float[ndarray, "seeds K"]]) -> Figure:
    """K^(2/d) G over the norm of the density, in the band between the ball and random coding; one panel per d."""
    figure, panels = subplots(1, 2, height=3.8, sharey=True)
    for axes, d in zip(panels, (2, 3), strict=True):
        axes.axhspan(ball_bound(d), random_coding_bound(d), color=MUTED, alpha=0.15, linewidth=0)
        axes.axhline(ZADOR[d], linestyle="--", color=INK, linewidth=1.2)
        for cloud, colour, marker in zip((c for c in found if c.d == d), (BLUE, VERMILION), "os", strict=True):
            scaled = np.array(levels) ** (2 / d) * found[cloud] * ZADOR[d] / cloud.limit
            axes.plot(levels, scaled.mean(0), marker=marker, color=colour)
            label(axes, levels[0], scaled.mean(0)[0], cloud.name.split(",")[0], colour, xytext=(2, 9))
        axes.set(xscale="log", xlabel="number of points K", title=f"d = {d}; dashed: Zador's constant", ylim=(0, None))
        axes.set_xticks(levels, [str(K) for K in levels])
        axes.minorticks_off()
    panels[0].set_ylabel(r"$K^{2/d}\, G\, /\, \|p\|_{d/(d+2)}$")
    return figure


def circle_table(levels: Sequence[int]) -> Table:
    """The unit circle in R^3: K equal arcs, each point the mean of its arc; the rate is that of dimension 1."""
    rows = []
    for K in levels:
        G = 1 - (math.sin(math.pi / K) / (math.pi / K)) ** 2
        angle = torch.linspace(0, 2 * math.pi, 2**12 + 1, dtype=torch.float64)[1:]
        X = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], 1)
        found = best_of_restarts(X, K, n_restarts=3, rng=numpy_rng(0, "circle")).distortion
        rows.append((str(K), ((f"{K**2 * G:.4f}", f"{K**2 * found:.4f}"),)))
    rows.append(("∞", ((f"π²/3 = {math.pi**2 / 3:.4f}", ""),)))
    return Table("A circle in R³", ("K", "K² G of K equal arcs", "K² G found by Lloyd"), tuple(rows))


def heavy_table(levels: Sequence[int], horizons: Sequence[float], n_shares: int = 20_000) -> Table:
    """K^2 G on [e, e^y] of the law p(x) ~ x^-3 (log x)^-2, which has a variance but no moment above 2.

    Each entry bounds K^2 G of the whole law from below, and its limit (1/12) (int p^(1/3))^3 grows without end with y.
    """
    total, (t, w), columns = float(expn(2, 2)), np.polynomial.legendre.leggauss(8), []
    for end in horizons:
        cuts = np.linspace(1, end ** (1 / 3), n_shares + 1) ** 3  # equal shares of p^(1/3) dx = y^(-2/3) dy, y = log x
        half = np.diff(cuts)[:, None] / 2
        y = cuts[:-1, None] + half + half * t
        mass, first, second = ((np.exp(-k * y) / y**2 * half * w).sum(1) / total for k in (2, 1, 0))
        X, rng = torch.from_numpy(first / mass)[:, None], numpy_rng(0, "unused")
        books = best_of_restarts(X, levels, n_restarts=1, rng=rng, mass=torch.from_numpy(mass / mass.sum()))
        within = (second - first**2 / mass).sum()  # of the shares themselves
        limit = (3 * (end ** (1 / 3) - 1)) ** 3 / total / 12
        costs = [K**2 * (mass.sum() * book.distortion + within) for K, book in zip(levels, books, strict=True)]
        columns.append([f"{cost:.2f}" for cost in (*costs, limit)])
    names = *(f"{K:,}" for K in levels), "∞ (Zador)"
    caption = "K² G of a law without more than two moments, cut off at e^y"
    rows = tuple((name, (row,)) for name, row in zip(names, zip(*columns, strict=True), strict=True))
    return Table(caption, ("K", *(f"y = {y:g}" for y in horizons)), rows)


def band_table(dimensions: Sequence[int]) -> Table:
    """The bounds on Q_d by a ball and by random coding, both divided by d: they meet."""
    rows = []
    for d in dimensions:
        low, high = ball_bound(d), random_coding_bound(d)
        known = {1: 1 / 12, **ZADOR}.get(d)
        cells = f"{low / d:.5f}", f"{known / d:.5f}" if known else NOTHING, f"{high / d:.5f}", f"{high / low:.4f}"
        rows.append((f"{d:,}", (cells,)))
    columns = ("d", "a ball, over d", "Q_d over d, best known", "random coding, over d", "ratio of the bounds")
    return Table("Zador's constant lies between", columns, tuple(rows), ("Both tend to 1 / (2πe) = 0.05855.",))


@dataclass(frozen=True)
class Gaps:
    """Theorem 3 on N(0, 1): distortion of the optimal quantizers of samples, above the least."""

    sizes: tuple[int, ...]
    gaps: Float[ndarray, "sizes reps"]
    bounds: Float[ndarray, "sizes reps"]  # of eq. 10


def empirical_gaps(K: int, sizes: Sequence[int], reps: int, seed: int) -> Gaps:
    """Optimal quantizers of n samples, found exactly, judged by the exact law."""
    law = norm()
    best = exact_quantizer(law, K).distortion
    gaps, limits = np.empty((len(sizes), reps)), np.empty((len(sizes), reps))
    for i, n in enumerate(sizes):
        shares = uniform_quantizer(law, n)
        for rep in range(reps):
            X = np.sort(numpy_rng(seed, "gap", n, rep).standard_normal(n))
            book = best_of_restarts(torch.from_numpy(X)[:, None], K, n_restarts=1, rng=numpy_rng(0, "unused")).points
            gaps[i, rep] = exact_distortion(law, book[:, 0].numpy()) - best
            away = math.sqrt(shares.distortion + np.mean((X - shares.points) ** 2))  # W_2 of samples to the law
            limits[i, rep] = empirical_gap(math.sqrt(best), away)
    return Gaps(tuple(sizes), gaps, limits)


@figure_style()
def gaps_figure(found: Gaps) -> Figure:
    """Mean gap and mean bound against n, and the line 1 / n that second-order theory predicts for K = 2."""
    figure, axes = subplots()
    sizes = np.array(found.sizes)
    axes.plot(sizes, found.bounds.mean(1), "D-", color=BROWN)
    axes.plot(sizes, found.gaps.mean(1), "o-", color=BLUE)
    axes.plot(sizes, (2 - 2 / math.pi) / sizes, "--", color=INK, linewidth=1.2)
    label(axes, sizes[-1], found.bounds.mean(1)[-1], "bound of Theorem 3", BROWN)
    label(axes, sizes[-1], found.gaps.mean(1)[-1], "gap, mean", BLUE)
    label(axes, sizes[0], (2 - 2 / math.pi) / sizes[0], "(2 − 2/π) / n", INK, xytext=(0, -16))
    axes.set(xscale="log", yscale="log", xlabel="number of samples n", ylabel="distortion above the least")
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
