"""Tables and figures of the chapter on Theorem 13: the measured errors, and the constants that bound them.

Everything is on a line, where the worst 1-Lipschitz function is known: the error in expectation is W_1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np
import torch
from matplotlib.figure import Figure

from ddoq_core.quantization.voronoi import assign
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import As, Column, Table, written
from ddoq_core.theory.bounds import curvature_constant, law_constant, log_pathwise_constant, log_printed_constant
from ddoq_core.theory.diffusion import Process, reverse
from ddoq_core.theory.measures import GaussianMixture
from ddoq_core.theory.transport import expectation_error

from ..style import BLUE, BROWN, GREEN, INK, MUTED, PURPLE, VERMILION, figure_style, label, subplots
from .expectation_errors import ErrorRates, StartMeasure, constant_of_measure, start_measures, worst_function
from .monotone_drift import MonotoneDrifts


@dataclass(frozen=True)
class LogBounds:
    """Logarithms of six bounds on the error in expectation; some bounds are too large for a float."""

    printed: float  # C W_2 of eq. 30
    corrected: float
    by_W1: float  # C W_1, corrected
    sharp: float  # Lambda W_1
    of_measure: float  # the same with the constant of this measure
    second_order: float


def log_bounds(
    data: GaussianMixture, process: Process, R: float, start: StartMeasure, delta: float, T: float
) -> LogBounds:
    """Bounds on the error of a stationary grid on a line."""
    pathwise = log_pathwise_constant(process, R, delta, T)
    return LogBounds(
        log_printed_constant(process, R, delta, T, 1) + math.log(start.W2),
        pathwise + math.log(start.W2),
        pathwise + math.log(start.W1),
        math.log(law_constant(process, R, delta, T) * start.W1),
        math.log(constant_of_measure(data, process, delta, T) * start.W1),
        math.log(curvature_constant(process, R, delta, T) / 2 * start.W2**2),
    )


@dataclass(frozen=True)
class BoundedError:
    """The error in expectation of the optimal quantizer after the reverse SDE, and its bounds."""

    process: Process
    K: int
    delta: float
    T: float
    R: float
    error: float
    log_bounds: LogBounds


def bounded_errors(
    data: GaussianMixture,
    R: float,
    processes: Sequence[Process],
    T: float,
    levels: Sequence[int],
    deltas: Sequence[float],
) -> tuple[BoundedError, ...]:
    """Theorem 13 for every process, K and delta."""
    found = []
    for process in processes:
        for K in levels:
            start = start_measures(data, process, T, K)["optimal"]
            for delta in deltas:
                error = expectation_error(data, process, start.measure, delta, T)
                found.append(
                    BoundedError(process, K, delta, T, R, error, log_bounds(data, process, R, start, delta, T))
                )
    return tuple(found)


def bounds_table(found: Sequence[BoundedError]) -> Table:
    """One row per delta, with a block for each process and K."""
    bounds = "C W₂, as printed", "C W₂, corrected", "C W₁, corrected", "Λ W₁", "Λ W₁ of these atoms", "second order"
    columns = (
        Column("Process", lambda at: f"{at[0].name}, K = {at[1]} points"),
        Column("δ", "g"),
        Column("error", ".2e"),
        *(Column(name, _power) for name in bounds),
    )
    blocks = tuple(
        (at, tuple((row.delta, row.error, *_values(row.log_bounds)) for row in rows))
        for at, rows in groupby(found, key=lambda row: (row.process, row.K))
    )
    note = f"T = {found[0].T:g}, R = {found[0].R:g}. Error: of the worst 1-Lipschitz function, exact up to quadrature."
    return Table("Theorem 13: the error in expectation and its bounds", columns, blocks, (note,))


def _values(bounds: LogBounds) -> list[float]:
    return [getattr(bounds, field.name) for field in fields(bounds)]


def _power(log: float) -> str:
    """exp(log), even if it is too large for a float."""
    if math.isinf(log):
        return "∞"
    exponent = math.floor(log / math.log(10))
    return f"{math.exp(log):.2e}" if abs(exponent) < 300 else f"10^{exponent}"


@dataclass(frozen=True)
class CoupledError:
    """The error of the worst function by paths from x and from the point nearest to x, with the same noise."""

    process: Process
    K: int
    delta: float
    exact: float  # by the kernel
    coupled: Mean
    apart: float  # mean distance of the two paths
    sharp: float  # Lambda W_1


def coupled_errors(
    data: GaussianMixture,
    R: float,
    process: Process,
    T: float,
    levels: Sequence[int],
    deltas: Sequence[float],
    n: int,
    seed: int,
) -> tuple[CoupledError, ...]:
    """Errors from n pairs of paths for every K and delta."""
    found = []
    for K in levels:
        start = start_measures(data, process, T, K)["optimal"]
        x = data.noised(process, T).sample(n, numpy_rng(seed, "16", "coupled", K))
        both = torch.stack([x, start.points[assign(x, start.points)]])
        for delta in deltas:
            rng = numpy_rng(seed, "16", "coupled", K, "noise")
            ends = reverse(data, process, both, delta, T, n_steps=100, rng=rng)[:, :, 0]
            f = worst_function(
                data.noised(process, delta), data.reversed(process, start.points, start.weights, delta, T)
            )
            coupled = Mean.of_many(f(ends[0].numpy()) - f(ends[1].numpy()))
            apart = (ends[0] - ends[1]).abs().mean().item()
            exact = expectation_error(data, process, start.measure, delta, T)
            sharp = law_constant(process, R, delta, T) * start.W1
            found.append(CoupledError(process, K, delta, exact, coupled, apart, sharp))
    return tuple(found)


def coupled_table(found: Sequence[CoupledError]) -> Table:
    """One row per K and delta."""
    errors = "error, exact kernel", "error, coupled paths", "mean distance of paths", "Λ W₁"
    columns = (Column("points", lambda K: f"K = {K}"), Column("δ", "g"), *(Column(name, ".4f") for name in errors))
    rows = ((at.K, at.delta, at.exact, at.coupled, at.apart, at.sharp) for at in found)
    n = found[0].coupled.n
    note = f"{found[0].process.name}, n = {n:,} pairs, 100 steps of the exponential integrator, 95 %."
    return Table.of_rows("The same by synchronously coupled paths", columns, rows, (note,))


def monotone_table(found: MonotoneDrifts) -> Table:
    """Propositions 10 and 11, with and without equality: distance at 1 over distance at 0."""
    square, mean = Mean.of_many(found.geometric**2), Mean.of_many(found.geometric)
    root, limit = math.sqrt(square.value), found.geometric_bound
    not_reached = As(math.exp(found.a), lambda value: f"not reached: it is e^a = {value:.4f}")
    bridge = As((found.bridge.min(), found.bridge.max()), lambda ends: f"{ends[0]:.6f} to {ends[1]:.6f}")
    geometric = "dx = a x dt + b x dW"
    rows = (
        (f"{geometric}, root mean square", Mean(root, square.half / (2 * root), square.n), limit, "equal"),
        (f"{geometric}, mean", mean, limit, not_reached),
        ("bridge to one atom, every path", bridge, found.bridge_bound, "equal, with φ = −1/t < 0"),
    )
    columns = ("distance of two copies", Column("measured", ".3f"), Column("e^∫φ", ".4f"), "what the proposition gives")
    note = f"a = {found.a:g}, b = {found.b:g}, n = {mean.n:,}, 95 %; bridge from T = {found.T:g} to {found.delta:g}."
    return Table.of_rows("Monotone drifts", columns, rows, (note,))


@figure_style()
def bounds_figure(data: GaussianMixture, R: float, process: Process, T: float, K: int) -> Figure:
    """Error and bounds against delta, on logarithmic axes."""
    start = start_measures(data, process, T, K)["optimal"]
    deltas = np.geomspace(0.02 * T, 0.95 * T, 24)
    figure, axes = subplots()
    pathwise = np.array([math.exp(log_pathwise_constant(process, R, t, T)) for t in deltas.tolist()])
    printed = np.array([math.exp(log_printed_constant(process, R, t, T, 1)) for t in deltas.tolist()])
    sharp = np.array([law_constant(process, R, t, T) for t in deltas.tolist()])
    own = np.array([constant_of_measure(data, process, t, T) for t in deltas.tolist()])
    error = np.array([expectation_error(data, process, start.measure, t, T) for t in deltas.tolist()])
    beside, left, above = {"xytext": (8, 6)}, {"xytext": (-8, -6), "ha": "right"}, {"xytext": (0, 9)}
    steep = int((start.W2 * printed < 100).argmax())  # the exponential bounds enter the figure here
    for name, values, at, colour, style, place in (
        ("C W₂, as printed", start.W2 * printed, steep, VERMILION, ":", beside),
        ("C W₁, corrected", start.W1 * pathwise, steep, BROWN, "-.", left),
        ("Λ W₁, for any data", start.W1 * sharp, 0, INK, "--", above),
        ("the same for these atoms", start.W1 * own, 0, GREEN, "--", {"xytext": (0, -14)}),
        ("error of the optimal quantizer", error, 0, BLUE, "-", above),
    ):
        axes.plot(deltas, values, style, color=colour)
        label(axes, deltas[at], values[at], name, colour, **place)
    axes.set(xscale="log", yscale="log", ylim=(1e-6, 1e4), xlabel="time δ at which the reverse process stops")
    axes.set_ylabel("error in expectation")
    return figure


@figure_style()
def error_rates_figure(found: ErrorRates) -> Figure:
    """Errors against K on logarithmic axes, each named with its slope."""
    colours = (BLUE, GREEN, VERMILION, PURPLE, MUTED)
    figure, axes = subplots(height=4.2)
    for (name, errors), colour, marker in zip(found.errors.items(), colours, "osD^v", strict=True):
        axes.plot(found.levels, errors, marker=marker, color=colour)
        label(axes, found.levels[-1], errors[-1], f"{name}: {written(found.slope(name), '.2f')}", colour)
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="error in expectation")
    axes.set_xticks(found.levels, [str(K) for K in found.levels])
    axes.minorticks_off()
    axes.set_xlim(right=found.levels[-1] * 16)
    return figure
