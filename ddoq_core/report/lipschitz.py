"""Tables and figures of the chapter on Theorem 13: what it bounds, measured, beside the constants that bound it.

Everything is on a line, where the worst 1-Lipschitz function is known: the error in expectation is W_1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ..quantization.exact import exact_quantizer, uniform_quantizer
from ..theory.bounds import law_constant, log_pathwise_constant, log_printed_constant
from ..theory.diffusion import Process, probability_flow, reverse
from ..theory.measures import GaussianMixture, atoms, law_on_line
from ..theory.transport import wasserstein1_on_line
from .style import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, VERMILION, figure_style, label, subplots
from .table import Table

FLOW_STEPS = 1000  # of the ODE: more change no digit that is shown


@dataclass(frozen=True)
class Start:
    """A K-point measure nu_T in place of mu_T, the noised data."""

    points: Float[Tensor, "K 1"]
    weights: Float[Tensor, " K"]
    W1: float  # W_1(mu_T, nu_T)
    W2: float  # W_2(mu_T, nu_T)


def starts(data: GaussianMixture, process: Process, T: float, K: int) -> dict[str, Start]:
    """Optimal quantizer of mu_T, best K equal masses, and the optimal points with equal masses (D4M's construction).

    mu_T must be log-concave, as Lemma 12 says it is when R^2 <= T under Brownian motion.
    """
    mu_T = data.noised(process, T)
    law = law_on_line(mu_T)
    best, equal = exact_quantizer(law, K, log_concave=True), uniform_quantizer(law, K)
    shifted = equal.distortion + np.mean((best.points - equal.points) ** 2)  # both orders are increasing: optimal
    found = {
        "optimal": (best.points, best.weights, best.distortion),
        "equal masses": (equal.points, equal.weights, equal.distortion),
        "optimal points, equal masses": (best.points, equal.weights, shifted),
    }
    made = {}
    for name, (points, weights, squared) in found.items():
        x, w = torch.from_numpy(points)[:, None], torch.from_numpy(weights / weights.sum())
        made[name] = Start(x, w, wasserstein1_on_line(atoms(x, w), mu_T), math.sqrt(squared))
    return made


def expectation_error(data: GaussianMixture, process: Process, start: Start, delta: float, T: float) -> float:
    """sup over 1-Lipschitz f of |E_{mu_delta} f - E_{nu_delta} f| for the reverse SDE with exact score: W_1."""
    back = data.reversed(process, start.points, start.weights, delta, T)
    return wasserstein1_on_line(back, data.noised(process, delta))


def bounds_table(
    data: GaussianMixture, R: float, processes: Sequence[Process], T: float, K: int, deltas: Sequence[float]
) -> Table:
    """One row per delta: the error, and the four bounds on it."""
    blocks = []
    for process in processes:
        start = starts(data, process, T, K)["optimal"]
        rows = []
        for delta in deltas:
            printed, pathwise = (
                log_printed_constant(process, R, delta, T, 1),
                log_pathwise_constant(process, R, delta, T),
            )
            logs = [
                printed + math.log(start.W2),
                pathwise + math.log(start.W2),
                pathwise + math.log(start.W1),
                math.log(law_constant(process, R, delta, T) * start.W1),
            ]
            error = expectation_error(data, process, start, delta, T)
            rows.append((f"{delta:g}", f"{error:.2e}", *map(_power, logs)))
        blocks.append((process.name, tuple(rows)))
    columns = ("Process", "δ", "error", "C W₂, as printed", "C W₂, corrected", "C W₁, corrected", "Λ W₁")
    note = f"K = {K}, T = {T:g}, R = {R:g}. Error: of the worst 1-Lipschitz function, exact up to quadrature."
    return Table("Theorem 13: the error in expectation and what bounds it", columns, tuple(blocks), (note,))


def _power(log: float) -> str:
    """exp(log), also where that is too large for a float."""
    if math.isinf(log):
        return "∞"
    exponent = math.floor(log / math.log(10))
    return f"{math.exp(log):.2e}" if abs(exponent) < 300 else f"10^{exponent}"


@figure_style()
def bounds_figure(data: GaussianMixture, R: float, process: Process, T: float, K: int) -> Figure:
    """Error and bounds against delta, on logarithmic axes."""
    start = starts(data, process, T, K)["optimal"]
    deltas = np.geomspace(0.02 * T, 0.95 * T, 24)
    figure, axes = subplots()
    pathwise = np.array([math.exp(log_pathwise_constant(process, R, t, T)) for t in deltas.tolist()])
    printed = np.array([math.exp(log_printed_constant(process, R, t, T, 1)) for t in deltas.tolist()])
    sharp = np.array([law_constant(process, R, t, T) for t in deltas.tolist()])
    error = np.array([expectation_error(data, process, start, t, T) for t in deltas.tolist()])
    beside, left, above = {"xytext": (8, 6)}, {"xytext": (-8, -6), "ha": "right"}, {"xytext": (0, 9)}
    steep = int((start.W2 * printed < 100).argmax())  # where the exponential bounds enter the figure
    for name, values, at, colour, style, place in (
        ("C W₂, as printed", start.W2 * printed, steep, VERMILION, ":", beside),
        ("C W₁, corrected", start.W1 * pathwise, steep, ORANGE, "-.", left),
        ("Λ W₁, which no start exceeds", start.W1 * sharp, 0, INK, "--", above),
        ("error of the optimal quantizer", error, 0, BLUE, "-", above),
    ):
        axes.plot(deltas, values, style, color=colour)
        label(axes, deltas[at], values[at], name, colour, **place)
    axes.set(xscale="log", yscale="log", ylim=(1e-6, 1e4), xlabel="time δ at which the reverse process stops")
    axes.set_ylabel("error in expectation")
    return figure


@dataclass(frozen=True)
class Rates:
    """Error in expectation against K, for each kind of start and sampler."""

    levels: tuple[int, ...]
    errors: dict[str, Float[ndarray, " n"]]

    def slope(self, name: str) -> float:
        """Slope of log error against log K over the last four levels."""
        return float(np.polyfit(np.log(self.levels[-4:]), np.log(self.errors[name][-4:]), 1)[0])


def rates(data: GaussianMixture, process: Process, T: float, delta: float, levels: Sequence[int]) -> Rates:
    """Corollary 15 measured: the reverse SDE from three kinds of K points, the probability-flow ODE, and W_2 at T."""
    kinds = [starts(data, process, T, K) for K in levels]
    points = torch.cat([kind["optimal"].points for kind in kinds])
    rng = np.random.default_rng(0)  # the flow draws nothing of it
    ends = reverse(data, process, points, delta, T, n_steps=FLOW_STEPS, rng=rng, step=probability_flow)
    goal, rows = data.noised(process, delta), []
    for kind, end in zip(kinds, ends.split(list(levels)), strict=True):
        row = {f"SDE, {name}": expectation_error(data, process, start, delta, T) for name, start in kind.items()}
        row["ODE, optimal"] = wasserstein1_on_line(atoms(end, kind["optimal"].weights), goal)
        row["W₂ at time T"] = kind["optimal"].W2
        rows.append(row)
    return Rates(tuple(levels), {name: np.array([row[name] for row in rows]) for name in rows[0]})


@figure_style()
def rates_figure(found: Rates) -> Figure:
    """Errors against K on logarithmic axes, each named with its slope."""
    colours = (BLUE, GREEN, VERMILION, PURPLE, MUTED)
    figure, axes = subplots(height=4.2)
    for (name, errors), colour, marker in zip(found.errors.items(), colours, "osD^v", strict=True):
        axes.plot(found.levels, errors, marker=marker, color=colour)
        label(axes, found.levels[-1], errors[-1], f"{name}: {found.slope(name):.2f}".replace("-", "−"), colour)
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="error in expectation")
    axes.set_xticks(found.levels, [str(K) for K in found.levels])
    axes.minorticks_off()
    axes.set_xlim(right=found.levels[-1] * 16)
    return figure


def one_draw_each(
    data: GaussianMixture, process: Process, T: float, delta: float, K: int, rng: np.random.Generator, n: int = 30
) -> Float[ndarray, " n"]:
    """The error when each point of the optimal quantizer is sent through the SDE once, n times over."""
    start = starts(data, process, T, K)["optimal"]
    kernels = [data.reversed(process, x[None], torch.ones(1), delta, T) for x in start.points]
    draws = torch.stack([kernel.sample(n, rng)[:, 0] for kernel in kernels], 1)
    goal = data.noised(process, delta)
    return np.array([wasserstein1_on_line(atoms(x[:, None], start.weights), goal) for x in draws])
