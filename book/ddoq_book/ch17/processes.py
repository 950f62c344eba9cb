"""Paths and marginals: K paths that approximate a process, and a noising process on K points at each time."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ddoq_core.quantization import ExactQuantizer
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.chains import Mixture, euler_step, noising_step, quantized_chain
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK
from ddoq_core.theory.paths import (
    GaussianProcess,
    brownian_motion,
    path_quantizer,
    path_rate,
)

from ..style import BLUE, VERMILION, figure_style, subplots

# K: distortion and sizes, from the file RECORD_QF.TXT of quantize.maths-fi.com, in the copy of Baptiste56/FractionalBM
RECORD = {
    1: (0.500000, "1"), 2: (0.241988, "2"), 10: (0.098446, "5 · 2"), 20: (0.075343, "10 · 2"),
    96: (0.051276, "12 · 4 · 2"), 400: (0.040213, "20 · 5 · 2 · 2"),
}  # fmt: skip
TWO_ATOMS = ExactQuantizer(np.array([-1.0, 1.0]), np.full(2, 0.5), 0.0, True)


@figure_style()
def path_quantizer_figure(processes: Sequence[GaussianProcess], K: int, n_times: int = 400) -> Figure:
    """The K paths of each process; the width of a line shows its weight."""
    figure, all_axes = subplots(1, len(processes), height=3.2, sharey=True)
    for axes, process in zip(np.atleast_1d(all_axes), processes, strict=True):
        found, t = path_quantizer(process, K), np.linspace(0, process.horizon, n_times)
        for path, weight in zip(found.paths(t), found.weights, strict=True):
            colour = BLUE if path.mean() >= 0 else VERMILION
            axes.plot(t, path, color=colour, linewidth=0.4 + 2.2 * weight / found.weights.max(), alpha=0.8)
        axes.set(xlabel="time", title=process.name)
    np.atleast_1d(all_axes)[0].set_ylabel("value of the path")
    return figure


def record_table(further: Sequence[int]) -> Table:
    """Brownian motion: errors and sizes next to the published ones, and log K times the error next to its limit."""
    rows = []
    for K in (*RECORD, *further):
        found = path_quantizer(brownian_motion(), K)
        quoted, sizes = RECORD.get(K, (None, None))
        ours = " · ".join(map(str, found.sizes))
        rows.append((K, ours, sizes, found.distortion, quoted, math.log(K) * found.distortion))
    columns = (
        "K", "sizes", "published", Column("distortion", ".6f"), Column("published", ".6f"),
        Column("log K × distortion", ".4f"),
    )  # fmt: skip
    notes = (
        f"For the best K paths, products or not, the last column tends to {path_rate(brownian_motion()):.4f}.",
        "Published: RECORD_QF.TXT of quantize.maths-fi.com, read in a public copy.",
    )
    return Table.of_rows("Brownian motion on [0, 1], on the best product of at most K paths", columns, rows, notes)


def marginal_errors(K: int, n_steps: int, T: float) -> tuple[float, float]:
    """Two atoms under VP to T, n steps on K points: distortion of the last grid over the best, and error of E cos."""
    h = T / n_steps
    decay, v = ORNSTEIN_UHLENBECK.decay(T), ORNSTEIN_UHLENBECK.variance(T)
    exact = Mixture(TWO_ATOMS.weights, decay * TWO_ATOMS.points, np.full(2, v**0.5))
    last = quantized_chain(TWO_ATOMS, [noising_step(ORNSTEIN_UHLENBECK, h)] * n_steps, K).grids[-1]
    cosine = math.exp(-v / 2) * math.cos(decay)
    over = exact.cells(last.points)[2] / exact.quantizer(K).distortion
    return over, float(last.weights @ np.cos(last.points)) - cosine


def marginals_table(levels: Sequence[int], steps: Sequence[int], T: float) -> Table:
    """Errors with one block per number of steps."""
    rows = [(f"{n} steps", K, *marginal_errors(K, n, T)) for n in steps for K in levels]
    columns = ("to T", "K", Column("distortion over the best", ".4f"), Column("error of E cos X", ".1e"))
    note = "Two atoms at ±1; the exact law at T is a mixture of two normal laws."
    return Table.of_groups(f"The noising process VP on K points at each time, T = {T:g}", columns, rows, (note,))


def euler_table(levels: Sequence[int], n: int, rate: float = 0.05, volatility: float = 0.2) -> Table:
    """Errors of the moments in Euler's scheme for dX = rate X dt + volatility X dW from 1, n steps to T = 1."""
    mean = (1 + rate / n) ** n
    variance = ((1 + rate / n) ** 2 + volatility**2 / n) ** n - mean**2
    step, rows = euler_step(lambda x: rate * x, lambda x: volatility * x, 1 / n), []
    for K in levels:
        last = quantized_chain(ExactQuantizer(np.ones(1), np.ones(1), 0.0, True), [step] * n, K).grids[-1]
        found = float(last.weights @ last.points)
        rows.append((K, found - mean, 100 * (float(last.weights @ last.points**2) - found**2) / variance - 100))
    columns = ("K", Column("error of the mean", ".0e"), Column("error of the variance, %", ".2f"))
    return Table.of_rows(f"Geometric Brownian motion by Euler's scheme, {n} steps, on K points at each", columns, rows)
