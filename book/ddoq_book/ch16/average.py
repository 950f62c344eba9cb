"""The averaged constant of Theorem 13, and how much smaller than Lambda it is for small noise; on a line, delta = 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.quantization import assign, best_of_restarts
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import Process
from ddoq_core.theory.measures import GaussianMixture

from ..ch15.reversal import quantiles
from ..style import BLUE, GREEN, INK, MUTED, figure_style, label, subplots
from .expectation_errors import constant_of_measure

QUANTILES = 20_000  # quantiles that represent mu_T
PLACES = (np.arange(8) + 0.5) / 8  # places on the segment from a point to the point of its cell


def posterior_variance(
    data: GaussianMixture, process: Process, T: float, x: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Var(X_0 | X_T = x) of a cloud on a line."""
    r, z = data.noised(process, T).responsibilities(x[:, None]), data.means[:, 0]
    return r @ z.square() - (r @ z).square()


def averaged_constant(data: GaussianMixture, process: Process, T: float) -> float:
    """kappa (E Var(X_0 | X_T)^2)^(1/2): at most 3^(1/2) / decay(T) for any data."""
    variance = posterior_variance(data, process, T, quantiles(data.noised(process, T), QUANTILES)[:, 0])
    return process.decay(T) / process.variance(T) * math.sqrt(variance.square().mean().item())


@dataclass(frozen=True)
class AveragedBound:
    """The error of the best K points of mu_T after the reverse SDE, and its bounds."""

    T: float
    K: int
    law: float  # Lambda
    own: float  # the constant of this measure
    averaged: float
    limit: float  # 3^(1/2) / decay(T)
    by_law: float  # Lambda W_1
    by_average: float  # averaged along the coupling of each point with the point of its cell
    error: float  # error of the worst 1-Lipschitz function


def averaged_bounds(
    data: GaussianMixture, process: Process, times: Sequence[float], K: int
) -> tuple[AveragedBound, ...]:
    """One bound for each time of the noise; the data are atoms on a line, in increasing order."""
    found, R = [], data.means.abs().max().item()
    for T in times:
        mu_T, kappa = data.noised(process, T), process.decay(T) / process.variance(T)
        X = quantiles(mu_T, QUANTILES)
        best = best_of_restarts(X, K, n_restarts=1, rng=numpy_rng(0, "unused"))
        x = best.points[assign(X, best.points)]
        away = (X - x)[:, 0].abs()
        on_the_way = [posterior_variance(data, process, T, (X + s * (x - X))[:, 0]) for s in PLACES.tolist()]
        along = kappa * (torch.stack(on_the_way).mean(0) * away).mean().item()
        law, own = law_constant(process, R, 0.0, T), constant_of_measure(data, process, 0.0, T)
        averaged, limit = averaged_constant(data, process, T), math.sqrt(3) / process.decay(T)
        error = _error(data, mu_T, X, x)
        found.append(AveragedBound(T, K, law, own, averaged, limit, law * away.mean().item(), along, error))
    return tuple(found)


def _error(data: GaussianMixture, mu_T: GaussianMixture, X: Float[Tensor, "n 1"], x: Float[Tensor, "n 1"]) -> float:
    """W_1 at time 0: both laws sit on the atoms."""
    moved = (mu_T.responsibilities(x) - mu_T.responsibilities(X)).mean(0).cumsum(0)[:-1]
    return (moved.abs() * data.means[:, 0].diff()).sum().item()


def averages_table(found: Sequence[AveragedBound]) -> Table:
    """One row per time."""
    K = found[0].K
    columns = (
        Column("T", "g"),
        *(Column(name, ".3f") for name in ("Λ", "Λ of these atoms", "averaged", "its bound, √3 / a_T")),
        *(Column(f"{name}, K = {K}", ".1e") for name in ("Λ W₁", "averaged bound", "error")),
    )
    rows = ((at.T, at.law, at.own, at.averaged, at.limit, at.by_law, at.by_average, at.error) for at in found)
    note = f"δ = 0; {QUANTILES:,} quantiles stand for the law at T. Averaged bound: along the coupling with the cells."
    return Table.of_rows("Constants and bounds where the noise is small", columns, rows, (note,))


@figure_style()
def averages_figure(data: GaussianMixture, process: Process, times: Sequence[float]) -> Figure:
    """Constants against the time of the noise, on logarithmic axes."""
    figure, axes = subplots()
    grid = np.geomspace(min(times), max(times), 15).tolist()
    R = data.means.abs().max().item()
    beside, below = {}, {"xytext": (6, -9)}
    for name, of, colour, style, place in (
        ("Λ, any data", lambda T: law_constant(process, R, 0.0, T), INK, "--", beside),
        ("these atoms, worst place", lambda T: constant_of_measure(data, process, 0.0, T), GREEN, "-", beside),
        ("these atoms, averaged", lambda T: averaged_constant(data, process, T), BLUE, "-", below),
        ("√3 / a_T, any data averaged", lambda T: math.sqrt(3) / process.decay(T), MUTED, "--", beside),
    ):
        values = [of(T) for T in grid]
        axes.plot(grid, values, style, color=colour)
        label(axes, grid[-1], values[-1], name, colour, **place)
    axes.set(xscale="log", yscale="log", xlabel="time T of the noise", ylabel="constant in front of the distance")
    axes.set_xlim(right=grid[-1] * 12)
    return figure
