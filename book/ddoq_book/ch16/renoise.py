"""Clean codebooks that are noised, before any sampler: total variation at T and its bound; the exact reverse SDE to 0.

The data are a cloud on a line without symmetry. All integrals use the trapezoidal rule; nothing is simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.quantization import best_of_restarts
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import renoised_total_variation
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK, Process
from ddoq_core.theory.measures import GaussianMixture, atoms

from ..ch15.divergence import total_variation
from ..style import BLUE, CYCLE, INK, VERMILION, figure_style, label, subplots

GRID = torch.linspace(-8, 8, 4001, dtype=torch.float64)  # of the integrals


def skewed_cloud(n: int) -> GaussianMixture:
    """n atoms at the quantiles of a skewed law on [-1, 1]."""
    z = 2 * scipy.stats.beta(2, 4).ppf((np.arange(n) + 0.5) / n) - 1
    return atoms(torch.from_numpy(z)[:, None])


@dataclass(frozen=True)
class Renoised:
    """The best K points of the clean cloud, noised to T."""

    T: float
    K: int
    tv: float  # between nu_T and mu_T; no sampler increases it
    bound: float  # phi(1) (a^2/v) G
    clean: float  # W_1 of the clean codebook
    after: float  # W_1 after the exact reverse SDE to 0
    uniform: float  # the same with uniform weights


def renoised(data: GaussianMixture, process: Process, times: Sequence[float], levels: Sequence[int]) -> list[Renoised]:
    """One result for each time and level."""
    rng, found = numpy_rng(0, "unused"), []
    codebooks = best_of_restarts(data.means, list(levels), n_restarts=1, rng=rng)
    for T in times:
        mu_T = data.noised(process, T)
        kernel = mu_T.responsibilities(GRID[:, None])
        for best in codebooks:
            x = best.points
            clean = (data.means - x.T).abs().amin(1).mean().item()
            nu_T = atoms(x, best.weights).noised(process, T)
            bound = renoised_total_variation(process.signal_to_noise(T)) * best.distortion
            ends = [_at_zero(data, kernel, m) for m in (nu_T, atoms(x).noised(process, T))]
            found.append(Renoised(T, len(x), total_variation(nu_T, mu_T, GRID), bound, clean, *ends))
    return found


def _at_zero(data: GaussianMixture, kernel: Float[Tensor, "m n"], start: GaussianMixture) -> float:
    """W_1 to the cloud after the exact reverse SDE, whose kernel from x is a weighting of the atoms."""
    ends = torch.trapezoid(start.log_density(GRID[:, None]).exp()[:, None] * kernel, GRID, dim=0)
    moved = (ends - data.masses).cumsum(0)[:-1]
    return (moved.abs() * data.means[:, 0].diff()).sum().item()


def two_point_share(half: float) -> float:
    """TV over its bound for one cell with two points of equal mass, 2 half apart where the noise has variance 1.

    It tends to 1 as half tends to 0: the constant phi(1) is sharp.
    """
    T = float(np.log(2))  # a^2 = v: the signal is as large as the noise
    cell = atoms(torch.tensor([[-half], [half]], dtype=torch.float64)).noised(ORNSTEIN_UHLENBECK, T)
    centre = atoms(torch.zeros(1, 1)).noised(ORNSTEIN_UHLENBECK, T)
    return total_variation(cell, centre, GRID) / (renoised_total_variation(1.0) * half**2)


def renoised_table(found: Sequence[Renoised], halves: Sequence[float]) -> Table:
    """Total variation over its bound, by time and level, and for the symmetric cell that attains the bound."""
    times, levels = (list(dict.fromkeys(values)) for values in zip(*((at.T, at.K) for at in found), strict=True))
    share = {(at.T, at.K): at.tv / at.bound for at in found}
    rows = [(f"cloud, T = {T:g}", *(share[T, K] for K in levels)) for T in times]
    columns = ("clean codebook, noised", *(Column(f"K = {K}", ".3f") for K in levels))
    cells = ", ".join(f"{two_point_share(half):.5f} for ±{half:g}" for half in halves)
    note = f"One cell of two points, at positions in units of the noise's standard deviation: {cells}."
    return Table.of_rows("Total variation over its bound φ(1) (a²/v) G", columns, rows, (note,))


@figure_style()
def renoised_figure(found: Sequence[Renoised]) -> Figure:
    """Left: total variation at T and its bound. Right: W_1 before and after the exact reverse SDE from the last T."""
    figure, (left, right) = subplots(columns=2, height=3.4)
    times = list(dict.fromkeys(at.T for at in found))
    for T, colour in zip(times, CYCLE, strict=False):
        rows = [at for at in found if at.T == T]
        levels = [at.K for at in rows]
        left.plot(levels, [at.bound for at in rows], "--", color=colour, linewidth=1)
        left.plot(levels, [at.tv for at in rows], "o-", color=colour)
        label(left, levels[-1], rows[-1].tv, f"T = {T:g}", colour)
    left.set(ylabel="total variation of ν_T and μ_T")
    for name, values, colour, marker in (
        ("clean", [at.clean for at in rows], INK, "^"),
        ("uniform", [at.uniform for at in rows], VERMILION, "s"),
        ("masses", [at.after for at in rows], BLUE, "o"),
    ):
        right.plot(levels, values, marker=marker, color=colour)
        label(right, levels[-1], values[-1], name, colour)
    right.set(ylabel=f"W₁ at time 0, from T = {times[-1]:g}")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="number of points K")
        axes.set_xticks(levels, [str(K) for K in levels])
        axes.minorticks_off()
        axes.set_xlim(right=levels[-1] * 6)
    return figure


def slope_of(found: Sequence[Renoised], T: float, what: str) -> float:
    """Slope of `tv`, `after` or another field against K on logarithmic axes, at one time."""
    rows = [at for at in found if at.T == T]
    return float(np.polyfit(np.log([at.K for at in rows]), np.log([getattr(at, what) for at in rows]), 1)[0])
