"""When weights help with one draw from each cell, and which exponent is best: they remove bias and add variance.

In: for each of K cells its mass w_i, and mean and variance of f(Y_i), where Y_i is one draw from the cell. The target
is sum_i w_i E f(Y_i). Weights (1 + alpha (K w_i - 1)) / K go from equal weights to the masses; w_i^alpha has the same
ends, and agrees to first order in K w_i - 1 (*Sharper results*, section 14).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.quantization import best_of_restarts
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import Column, Table

from ..style import CYCLE, INK, figure_style, label, subplots

ALPHAS = np.linspace(0, 1, 101)
SAMPLES, ITERATIONS = 20_000, 60  # samples of the normal law, and iterations of Lloyd's algorithm


@dataclass(frozen=True, eq=False)
class CellDraws:
    """K cells with one draw from each."""

    masses: Float[ndarray, " K"]  # w_i, summing to 1
    means: Float[ndarray, " K"]  # of f(Y_i)
    variances: Float[ndarray, " K"]

    @property
    def bias(self) -> float:
        """C = covariance over cells of K w_i and the mean: minus the bias of equal weights."""
        return float(np.mean(self._uneven * self.means))

    @property
    def _uneven(self) -> Float[ndarray, " K"]:
        return len(self.masses) * self.masses - 1

    @property
    def _noise(self) -> tuple[float, float, float]:
        """Means over cells of u^p sigma^2 for p = 0, 1, 2, with u = K w - 1."""
        u, s = self._uneven, self.variances
        return float(s.mean()), float((u * s).mean()), float((u**2 * s).mean())

    def mean_square_error(self, alpha: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """(1 - alpha)^2 C^2 + (S_0 + 2 alpha S_1 + alpha^2 S_2) / K for the weights 1 + alpha (K w - 1)."""
        S0, S1, S2 = self._noise
        return (1 - alpha) ** 2 * self.bias**2 + (S0 + 2 * alpha * S1 + alpha**2 * S2) / len(self.masses)

    def of_powers(self, alpha: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """The same for weights proportional to w^alpha; eq. 33 has alpha = 1/2."""
        w = self.masses ** alpha[:, None]
        w = w / w.sum(1, keepdims=True)
        return (w @ self.means - self.masses @ self.means) ** 2 + w**2 @ self.variances

    @property
    def best_exponent(self) -> float:
        """alpha* = (K C^2 - S_1) / (K C^2 + S_2), minimises `mean_square_error` if the masses are not all equal."""
        _, S1, S2 = self._noise
        gain = len(self.masses) * self.bias**2
        return (gain - S1) / (gain + S2)

    @property
    def signal(self) -> float:
        """K rho^2 sigma^2_between / sigma^2_within: for equal variances, weights help if it is above 1."""
        S0, _, _ = self._noise
        return len(self.masses) * self.bias**2 / ((self._uneven**2).mean() * S0)

    @property
    def best_if_alike(self) -> float:
        """alpha* for equal variances: 1 / (1 + sigma^2_within / (K rho^2 sigma^2_between))."""
        return 1 / (1 + 1 / self.signal)


def normal_draws(d: int, T: float, K: int, seed: int) -> CellDraws:
    """N(0, I_d), Brownian noise to T, K points by Lloyd's algorithm, f(y) = |y|^2, the exact reverse SDE to 0.

    From x it ends in N(x / (1 + T), T / (1 + T) I), and mean and variance of f are known.
    """
    rng = numpy_rng(seed, "14", "exponent", d, K)
    X = torch.from_numpy(rng.standard_normal((SAMPLES, d)) * (1 + T) ** 0.5).float()
    best = best_of_restarts(X, K, n_restarts=1, rng=rng, max_iter=ITERATIONS)
    squared, v = best.points.double().square().sum(1).numpy() / (1 + T) ** 2, T / (1 + T)
    return CellDraws(best.weights.double().numpy(), squared + d * v, 2 * d * v**2 + 4 * v * squared)


def exponents_table(found: dict[tuple[int, float, int], CellDraws]) -> Table:
    """One row per d, T and K."""
    rows = []
    for (d, T, K), at in found.items():
        grid = float(ALPHAS[at.of_powers(ALPHAS).argmin()])
        errors = at.of_powers(np.array([0.0, 0.5, 1.0])).tolist()
        rows.append((f"d = {d}, T = {T:g}", K, at.signal, at.best_if_alike, at.best_exponent, grid, *errors))
    columns = (
        "law", "K", Column("K ρ² σ²_between / σ²_within", ".2f"), Column("α*, variances alike", ".2f"),
        Column("α*", ".2f"), Column("best w^α", ".2f"), Column("MSE, α = 0", ".3f"), Column("½", ".3f"),
        Column("1", ".3f"),
    )  # fmt: skip
    note = "f(y) = |y|², normal data, the exact reverse SDE to 0; best w^α: on a grid of a hundred steps from 0 to 1."
    return Table.of_rows("One draw from each cell: the best exponent of the weights", columns, rows, (note,))


@figure_style()
def exponents_figure(found: Sequence[CellDraws]) -> Figure:
    """Mean square error over that of equal weights, against the exponent; dots at alpha*."""
    figure, axes = subplots()
    for at, colour in zip(found, CYCLE, strict=False):
        scale = at.mean_square_error(np.zeros(1))
        axes.plot(ALPHAS, at.mean_square_error(ALPHAS) / scale, color=colour)
        axes.plot(ALPHAS, at.of_powers(ALPHAS) / scale, ":", color=colour)
        best = min(max(at.best_exponent, 0.0), 1.0)
        axes.plot(best, at.mean_square_error(np.array([best])) / scale, "o", color=colour)
        label(axes, 1.0, (at.mean_square_error(np.ones(1)) / scale).item(), f"K = {len(at.masses)}", colour)
    axes.axvline(0.5, linestyle="--", color=INK, linewidth=1)
    label(axes, 0.5, axes.get_ylim()[1], "eq. 33", INK, xytext=(5, -6))
    axes.set(xlabel="exponent α of the weights", ylabel="mean square error, over that of α = 0", xlim=(0, 1.15))
    return figure
