"""Tables and figures of the chapter on equal and Voronoi weights: three measures, and the limits of weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ot
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import expon, laplace, norm
from torch import Tensor

from ddoq_core.quantization import (
    best_of_restarts,
    exact_quantizer,
    kmeans_plus_plus,
    minibatch,
    random_samples,
    uniform_quantizer,
)
from ddoq_core.quantization.voronoi import Quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import limit_exponent
from ddoq_core.theory.measures import GaussianMixture, law_on_line
from ddoq_core.theory.transport import wasserstein2

from ..style import BLUE, GREEN, VERMILION, figure_style, label, subplots
from .digit_latents import digit_latents

MIXTURE = GaussianMixture([0.9, 0.1], [[0.0], [0.0]], [0.25, 3.0])  # narrow and wide: uneven, like clustered data
LINE_LAWS = {"N(0, 1)": norm(), "Laplace": laplace(), "Exponential": expon(), "Narrow and wide": law_on_line(MIXTURE)}
OPTIMAL, EQUAL, MIXED = "optimal quantizer", "best equal masses", "optimal points, equal masses"
WEIGHT_POWERS = {"uniform": 0.0, "square root, eq. 33": 0.5, "proportional": 1.0}  # alpha of weights mu(C_i)^alpha


@dataclass(frozen=True)
class LineErrors:
    """W_2^2 to a law on a line of three K-point measures."""

    K: int
    optimal: float
    equal: float  # the best equal masses
    mixed: float  # optimal points, equal masses


def line_errors(law: Any, K: int) -> LineErrors:
    """The three errors; both grids are increasing, and the optimal transport keeps the order."""
    best, equal = exact_quantizer(law, K), uniform_quantizer(law, K)
    mixed = equal.distortion + float(np.mean((best.points - equal.points) ** 2))
    return LineErrors(K, best.distortion, equal.distortion, mixed)


def errors_by_law(levels: Sequence[int]) -> dict[str, tuple[LineErrors, ...]]:
    """The three errors for every law of LINE_LAWS, level by level."""
    return {name: tuple(line_errors(law, K) for K in levels) for name, law in LINE_LAWS.items()}


def errors_table(found: dict[str, tuple[LineErrors, ...]]) -> Table:
    """Ratios to the optimum for every law and level."""
    blocks = tuple(
        (name, tuple((e.K, e.optimal, e.equal / e.optimal, e.mixed / e.optimal) for e in errors))
        for name, errors in found.items()
    )
    ratios = (Column(f"{kind}, over it", ".4g") for kind in (EQUAL, MIXED))
    note = (
        "Narrow and wide: 0.9 N(0, 1/16) + 0.1 N(0, 9). It is not log-concave, and its optimum is the best grid found. "
        "The optima of the others are proved."
    )
    columns = ("Law", "K", Column("optimal W₂²", ".6f"), *ratios)
    return Table("Three K-point measures on a line", columns, blocks, (note,))


@figure_style()
def errors_figure(name: str, levels: Sequence[int]) -> Figure:
    """W_2^2 of the three measures against K, for one law."""
    found = [line_errors(LINE_LAWS[name], K) for K in levels]
    errors = np.array([(e.optimal, e.equal, e.mixed) for e in found])
    figure, axes = subplots()
    for values, kind, colour, marker in zip(
        errors.T, (OPTIMAL, EQUAL, MIXED), (BLUE, GREEN, VERMILION), "osD", strict=True
    ):
        axes.plot(levels, values, marker=marker, color=colour)
        label(axes, levels[-1], values[-1], kind, colour)
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="$W_2^2$")
    axes.set_xticks(levels, [str(K) for K in levels])
    axes.minorticks_off()
    axes.set_xlim(right=levels[-1] * 8)
    return figure


def second_moment(points: Float[ndarray, "K d"], masses: Float[ndarray, " K"], alpha: float) -> float:
    """E|x|^2 under weights proportional to masses^alpha."""
    w = masses**alpha
    return float(w @ np.square(points).sum(1) / w.sum())


@dataclass(frozen=True)
class LineMoments:
    """E x^2 of the optimal K-point quantizer of N(0, 1) under the weights of WEIGHT_POWERS."""

    K: float  # infinite: the limit
    moments: tuple[float, ...]


def line_moments(levels: Sequence[int]) -> tuple[LineMoments, ...]:
    """E x^2 at every level, and the limits."""
    found = []
    for K in levels:
        q = exact_quantizer(norm(), K)
        moments = (second_moment(q.points[:, None], q.weights, alpha) for alpha in WEIGHT_POWERS.values())
        found.append(LineMoments(K, tuple(moments)))
    limits = tuple(1 / limit_exponent(1, alpha) for alpha in WEIGHT_POWERS.values())
    return (*found, LineMoments(math.inf, limits))


def limits_table(found: Sequence[LineMoments]) -> Table:
    """E x^2 of the optimal quantizers of N(0, 1) under three kinds of weights, and its limit."""
    columns = (Column("K", _count), *(Column(name, ".4f") for name in WEIGHT_POWERS))
    note = "The limit law has density ∝ p^β, here N(0, 1/β); of N(0, 1) itself, E x² = 1."
    rows = ((at.K, *at.moments) for at in found)
    return Table.of_rows("E x² under weights of optimal quantizers of N(0, 1)", columns, rows, (note,))


def _count(K: float) -> str:
    return "∞" if math.isinf(K) else f"{K:,}"


def plane_moments(K: int, n: int, seeds: Sequence[int]) -> dict[str, Float[ndarray, "seeds weights"]]:
    """E|x|^2 under the weights of WEIGHT_POWERS on N(0, I_2): converged Lloyd, and one pass from each of two starts.

    K of the samples have the density p. k-means++ draws distant samples more often; its starts lie about where the
    optimal points do.
    """
    passes = (f"one mini-batch pass from {start}" for start in ("samples", "k-means++"))
    found: dict[str, list] = {name: [] for name in ("Lloyd, converged", *passes)}
    for seed in seeds:
        X = torch.from_numpy(numpy_rng(seed, "plane").standard_normal((n, 2)))
        rng = numpy_rng(seed, "plane", "start")
        one_pass = minibatch(X, random_samples(X, K, rng), passes=1)
        seeded = minibatch(X, kmeans_plus_plus(X, K, numpy_rng(seed, "plane", "k-means++")), passes=1)
        books = best_of_restarts(X, K, n_restarts=1, rng=rng), one_pass, seeded
        for name, book in zip(found, books, strict=True):
            masses = book.weights.numpy()
            found[name].append([second_moment(book.points.numpy(), masses, alpha) for alpha in WEIGHT_POWERS.values()])
    return {name: np.array(rows) for name, rows in found.items()}


def plane_table(moments: dict[str, Float[ndarray, "seeds weights"]]) -> Table:
    """Mean and 95 % interval over seeds of E|x|^2, and the limits of optimal grids; for N(0, I_2) it is 2."""
    rows = [(name, *map(Mean.of, values.T)) for name, values in moments.items()]
    rows.append(("limit of optimal grids", *(2 / limit_exponent(2, alpha) for alpha in WEIGHT_POWERS.values())))
    columns = ("codebook", *(Column(name, ".3f") for name in WEIGHT_POWERS))
    note = f"n = {rows[0][1].n} seeds, 95 % intervals."
    return Table.of_rows("E|x|² on N(0, I₂)", columns, rows, (note,))


@dataclass(frozen=True)
class UniformLimit:
    """Uniform weights on optimal grids of N(0, I_d) tend to N(0, (d + 2) / d I) as K goes to infinity."""

    d: int
    floor: float  # W_2 to N(0, I_d)
    spread: float  # standard deviation of the weights K mu(C_i) that they ignore


def uniform_limit(d: int) -> UniformLimit:
    """The effect of weights, which fades with the dimension."""
    s = (d + 2) / d
    spread = math.sqrt(math.expm1(d * (math.log(s) - math.log(2 * s - 1) / 2)))
    return UniformLimit(d, math.sqrt(d + 2) - math.sqrt(d), spread)


def dimensions_table(found: Sequence[UniformLimit]) -> Table:
    """One row per dimension."""
    columns = (
        Column("d", ","),
        Column("W₂ floor of uniform weights", ".4f"),
        Column("over √d, the size of x", ".5f"),
        Column("spread of the weights K μ(Cᵢ)", ".4f"),
    )
    rows = ((at.d, at.floor, at.floor / math.sqrt(at.d), at.spread) for at in found)
    return Table.of_rows("Uniform weights on N(0, I_d), as K → ∞", columns, rows)


@dataclass(frozen=True)
class PlaneTrial:
    """W_2 of three K-point measures to samples in the plane, by linear program."""

    optimal: float
    equal: float  # best equal masses found by POT's free-support barycenter
    mixed: float  # optimal points, equal masses


def plane_trial(samples: Float[Tensor, "n d"], K: int, n_starts: int, rng: np.random.Generator) -> PlaneTrial:
    """The optimal quantizer, and for equal masses the best of several starts of a local method."""
    best: Quantizer = best_of_restarts(samples, K, n_restarts=10, rng=rng)
    uniform = torch.full((K,), 1 / K)
    X, masses = samples.numpy(), np.full(len(samples), 1 / len(samples))
    solve: Callable = ot.lp.free_support_barycenter
    begin = [best.points, *(random_samples(samples, K, rng) for _ in range(n_starts - 1))]
    found = [solve([X], [masses], start.numpy().copy(), np.full(K, 1 / K), numItermax=200) for start in begin]
    equal = min(wasserstein2(torch.from_numpy(points), uniform, samples) for points in found)
    return PlaneTrial(best.distortion**0.5, equal, wasserstein2(best.points, uniform, samples))


@dataclass(frozen=True)
class LatentTrial:
    """One class of images as latents in R^d, and the normal law with their mean and covariance, both quantized."""

    equal: float  # W_2 of the best equal masses found, over that of the optimal quantizer
    mixed: float  # W_2 of the optimal points with equal masses, over that of the optimal quantizer
    spread: float  # standard deviation of K mu(C_i): 0 if all cells have the same mass
    spread_normal: float  # the same for the same number of draws of the normal law

    @property
    def spread_by_clusters(self) -> float:
        """The spread minus that of the normal law."""
        return self.spread - self.spread_normal


def latent_trial(latents: Float[Tensor, "n d"], K: int, n_starts: int, rng: np.random.Generator) -> LatentTrial:
    """The three measures on latents, and the spread of the masses for data without clusters."""
    three = plane_trial(latents, K, n_starts, rng)
    spreads = [
        best_of_restarts(X, K, n_restarts=10, rng=rng).weights.mul(K).std(correction=0).item()
        for X in (latents, _normal_twin(latents, rng))
    ]
    return LatentTrial(three.equal / three.optimal, three.mixed / three.optimal, *spreads)


def latent_trials(
    dimensions: Sequence[int], K: int, n_classes: int, n_starts: int, seed: int
) -> dict[int, tuple[LatentTrial, ...]]:
    """Trials on the first d principal components of the digits, for every d and class."""
    found = {}
    for d in dimensions:
        rng = numpy_rng(seed, "14", "latents", d)
        found[d] = tuple(latent_trial(x, K, n_starts, rng) for x in digit_latents(d, n_classes))
    return found


def latents_table(found: dict[int, tuple[LatentTrial, ...]], K: int) -> Table:
    """Three measures on the digits' principal components: means over classes."""
    columns = {
        "equal": "equal masses, W₂",
        "mixed": "optimal points, equal masses, W₂",
        "spread": "spread of K μ(Cᵢ)",
        "spread_normal": "normal twin",
        "spread_by_clusters": "difference",
    }
    rows = [
        (d, *(Mean.of(np.array([getattr(trial, field) for trial in trials])) for field in columns))
        for d, trials in found.items()
    ]
    n = rows[0][1].n
    note = f"K = {K}; W₂ over that of the optimal quantizer; n = {n} classes of 500 digits, 95 % over classes."
    heads = ("d", *(Column(name, ".3f") for name in columns.values()))
    return Table.of_rows("Digits as latents: principal components", heads, rows, (note,))


def _normal_twin(X: Float[Tensor, "n d"], rng: np.random.Generator) -> Float[Tensor, "n d"]:
    """As many draws of the normal law with the mean and covariance of X."""
    values, vectors = torch.linalg.eigh(torch.atleast_2d(X.T.cov()))
    noise = torch.from_numpy(rng.standard_normal(X.shape))
    return X.mean(0) + (noise * values.clamp_min(0).sqrt()) @ vectors.T
