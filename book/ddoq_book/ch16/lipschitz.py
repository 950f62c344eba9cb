"""Tables and figures of the chapter on Theorem 13: what it bounds, measured, beside the constants that bound it.

Everything is on a line, where the worst 1-Lipschitz function is known: the error in expectation is W_1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.keys import numpy_rng
from ddoq_core.quantization.exact import exact_quantizer, uniform_quantizer
from ddoq_core.quantization.voronoi import assign
from ddoq_core.results.table import Table
from ddoq_core.theory.bounds import curvature_constant, law_constant, log_pathwise_constant, log_printed_constant
from ddoq_core.theory.diffusion import BROWNIAN, Process, probability_flow, reverse
from ddoq_core.theory.measures import GaussianMixture, atoms, law_on_line
from ddoq_core.theory.transport import wasserstein1_on_line

from ..style import BLUE, BROWN, GREEN, INK, MUTED, PURPLE, VERMILION, figure_style, label, subplots

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
    data: GaussianMixture,
    R: float,
    processes: Sequence[Process],
    T: float,
    levels: Sequence[int],
    deltas: Sequence[float],
) -> Table:
    """One row per process, K and delta: the error, and the five bounds on it."""
    blocks = []
    for process in processes:
        for K in levels:
            start = starts(data, process, T, K)["optimal"]
            rows = []
            for delta in deltas:
                printed = log_printed_constant(process, R, delta, T, 1)
                pathwise = log_pathwise_constant(process, R, delta, T)
                second = curvature_constant(process, R, delta, T) / 2 * start.W2**2
                logs = [
                    printed + math.log(start.W2),
                    pathwise + math.log(start.W2),
                    pathwise + math.log(start.W1),
                    math.log(law_constant(process, R, delta, T) * start.W1),
                    math.log(second),
                ]
                error = expectation_error(data, process, start, delta, T)
                rows.append((f"{delta:g}", f"{error:.2e}", *map(_power, logs)))
            blocks.append((f"{process.name}, K = {K} points", tuple(rows)))
    bounds = "C W₂, as printed", "C W₂, corrected", "C W₁, corrected", "Λ W₁", "second order"
    note = f"T = {T:g}, R = {R:g}. Error: of the worst 1-Lipschitz function, exact up to quadrature."
    caption = "Theorem 13: the error in expectation and what bounds it"
    return Table(caption, ("Process", "δ", "error", *bounds), tuple(blocks), (note,))


def coupled_table(
    data: GaussianMixture,
    R: float,
    process: Process,
    T: float,
    levels: Sequence[int],
    deltas: Sequence[float],
    n: int,
    seed: int,
) -> Table:
    """The error of the worst function by paths from x and from the point nearest to x, driven by the same noise."""
    rows = []
    for K in levels:
        start = starts(data, process, T, K)["optimal"]
        x = data.noised(process, T).sample(n, numpy_rng(seed, "16", "coupled", K))
        both = torch.stack([x, start.points[assign(x, start.points)]])
        for delta in deltas:
            rng = numpy_rng(seed, "16", "coupled", K, "noise")
            ends = reverse(data, process, both, delta, T, n_steps=100, rng=rng)[:, :, 0]
            f = worst_function(
                data.noised(process, delta), data.reversed(process, start.points, start.weights, delta, T)
            )
            gained = f(ends[0].numpy()) - f(ends[1].numpy())
            mean, half = gained.mean(), 1.96 * gained.std(ddof=1) / math.sqrt(n)
            apart = (ends[0] - ends[1]).abs().mean().item()
            exact = expectation_error(data, process, start, delta, T)
            sharp = law_constant(process, R, delta, T) * start.W1
            cells = f"{delta:g}", f"{exact:.4f}", f"{mean:.4f} ± {half:.4f}", f"{apart:.4f}", f"{sharp:.4f}"
            rows.append((f"K = {K}", (cells,)))
    columns = ("points", "δ", "error, exact kernel", "error, coupled paths", "mean distance of paths", "Λ W₁")
    note = f"{process.name}, n = {n:,} pairs, 100 steps of the exponential integrator, 95 %."
    return Table("The same by synchronously coupled paths", columns, tuple(rows), (note,))


def worst_function(mu: GaussianMixture, nu: GaussianMixture) -> Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]:
    """The 1-Lipschitz f with E_mu f - E_nu f = W_1(mu, nu) on a line: f' is the sign of F_nu - F_mu."""
    grid = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    slopes = torch.sign(nu.cdf(grid) - mu.cdf(grid)).numpy()
    values = np.concatenate([[0.0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(grid.numpy()))])
    return lambda z: np.interp(z, grid.numpy(), values)


def monotone_table(n: int, seed: int) -> Table:
    """Propositions 10 and 11 where they are equalities, and where not: distance at 1 over distance at 0."""
    a, b, T, delta = 0.3, 0.8, 1.0, 0.3
    factor = np.exp(a - b**2 / 2 + b * numpy_rng(seed, "16", "geometric").standard_normal(n))  # of both copies
    start = torch.tensor([1.0, -1.0])[:, None, None].expand(2, 1000, 1)
    ends = reverse(atoms(torch.zeros(1, 1)), BROWNIAN, start, delta, T, n_steps=10, rng=numpy_rng(seed, "16", "bridge"))
    ratio = ((ends[0] - ends[1]) / 2).abs()
    root, half = math.sqrt((factor**2).mean()), 1.96 * (factor**2).std(ddof=1) / math.sqrt(n)
    geometric, e = "dx = a x dt + b x dW", math.exp
    L2 = f"{root:.3f} ± {half / (2 * root):.3f}", f"{e(a + b**2 / 2):.4f}"
    L1 = f"{factor.mean():.3f} ± {1.96 * factor.std(ddof=1) / math.sqrt(n):.3f}", f"{e(a + b**2 / 2):.4f}"
    every = f"{ratio.min():.6f} to {ratio.max():.6f}", f"{delta / T:.4f}"
    rows = (
        (f"{geometric}, root mean square", ((*L2, "equal"),)),
        (f"{geometric}, mean", ((*L1, f"not reached: it is e^a = {e(a):.4f}"),)),
        ("bridge to one atom, every path", ((*every, "equal, with φ = −1/t < 0"),)),
    )
    columns = ("distance of two copies", "measured", "e^∫φ", "what the proposition gives")
    return Table(
        "Monotone drifts", columns, rows, (f"a = {a:g}, b = {b:g}, n = {n:,}, 95 %; bridge from T = 1 to 0.3.",)
    )


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
        ("C W₁, corrected", start.W1 * pathwise, steep, BROWN, "-.", left),
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
