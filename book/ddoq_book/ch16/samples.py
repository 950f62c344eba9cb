"""N samples of mu_T and K points together: the error after the reverse SDE is N^(-1/2) + K^(-2/d), in every dimension.

Atoms as data, Brownian motion, the exact reverse SDE to 0. Its kernel is a weighting of the atoms, so only the samples
are simulated. The grids come from Lloyd's algorithm on the samples; each point is the mean of its cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.quantization import assign, lloyd, random_samples
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import total_variation_constant
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import GaussianMixture

from ..style import CYCLE, INK, MUTED, figure_style, label, subplots
from .rates_in_space import cell_means

ITERATIONS = 40  # iterations of Lloyd's algorithm; points are means of their cells after each
DRAWS = 200_000  # draws of mu_T, for the information


@dataclass(frozen=True, eq=False)
class SampleErrors:
    """Errors at time 0 from K-point grids on N samples of mu_T; the last level stands for all N samples."""

    d: int
    sizes: tuple[int, ...]
    levels: tuple[int, ...]
    tv: Float[ndarray, "seeds sizes starts"]
    bound: Float[ndarray, "seeds sizes starts"]  # (I/N)^(1/2) / 2 + c' G, with the distortion on the samples
    chi_square: Float[ndarray, "seeds sizes"]  # of all N samples; its mean is I / N
    information: float  # I = E chi^2(X_T given X_0 || X_T)

    def slope(self) -> Mean:
        """Slope of the error of all N samples against N on logarithmic axes; interval over the seeds."""
        logs = np.log(self.tv[:, :, -1])
        return Mean.of(np.array([np.polyfit(np.log(self.sizes), row, 1)[0] for row in logs]))


def chi_square_information(data: GaussianMixture, T: float, rng: np.random.Generator) -> float:
    """I(X_0; X_T) = sum_j E[r_j(X_T)^2] / p_j - 1 for atoms of mass p_j, r_j the posterior; at most J - 1."""
    mu_T = data.noised(BROWNIAN, T)
    r = mu_T.responsibilities(mu_T.sample(DRAWS, rng))
    return (r.square().mean(0) / data.masses).sum().item() - 1


def sample_errors(
    data: GaussianMixture, T: float, sizes: Sequence[int], levels: Sequence[int], seeds: Sequence[int]
) -> SampleErrors:
    """Errors for each seed, size and level; they are nan for levels of at least N."""
    mu_T, R = data.noised(BROWNIAN, T), data.means.norm(dim=1).max().item()
    constant = total_variation_constant(BROWNIAN, R, 0.0, T)
    information = chi_square_information(data, T, numpy_rng(0, "16", "information", data.d))
    shape = len(seeds), len(sizes), len(levels) + 1
    tv, bound, chi = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape[:2])
    for s, seed in enumerate(seeds):
        for i, n in enumerate(sizes):
            rng = numpy_rng(seed, "16", "samples", data.d, n)
            X = mu_T.sample(n, rng)
            chance = (information / n) ** 0.5 / 2
            end = mu_T.responsibilities(X).mean(0)
            chi[s, i] = ((end - data.masses).square() / data.masses).sum().item()
            tv[s, i, -1], bound[s, i, -1] = _apart(end, data), chance
            for j, K in enumerate(levels):
                if n > K:
                    x, w, G = stationary(X, K, rng)
                    tv[s, i, j] = _apart(w @ mu_T.responsibilities(x), data)
                    bound[s, i, j] = chance + constant * G
    return SampleErrors(data.d, tuple(sizes), tuple(levels), tv, bound, chi, information)


def stationary(
    X: Float[Tensor, "n d"], K: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "K d"], Float[Tensor, " K"], float]:
    """Means and shares of the cells after Lloyd's algorithm, and the mean squared distance to the means."""
    labels = assign(X.float(), lloyd(X.float(), random_samples(X, K, rng).float(), max_iter=ITERATIONS).points)
    x, w = cell_means(X, labels, K)
    return x, w, (X - x[labels]).square().sum(1).mean().item()


def _apart(end: Float[Tensor, " J"], data: GaussianMixture) -> float:
    """Total variation of a weighting of the atoms from the data."""
    return (end - data.masses).abs().sum().item() / 2


def sample_errors_table(found: Sequence[SampleErrors]) -> Table:
    """Slopes in N for all samples, and the identity for chi^2, per dimension."""
    rows = [
        (at.d, at.slope(), f"{-1 / max(at.d, 2):.2f}", at.information, Mean.of(at.chi_square[:, -1] * at.sizes[-1]))
        for at in found
    ]
    columns = ("d", Column("slope of TV in N", ".2f"), "of W₂(μ_N, μ_T)", Column("I", ".3f"))
    columns += (Column(f"N times χ², N = {found[0].sizes[-1]:,}", ".2f"),)
    note = f"All N samples, N = {', '.join(f'{n:,}' for n in found[0].sizes)}; {len(found[0].tv)} seeds, 95 %."
    return Table.of_rows("Samples instead of the law at time T, after the exact reverse SDE", columns, rows, (note,))


@figure_style()
def sample_errors_figure(found: Sequence[SampleErrors]) -> Figure:
    """Total variation against N for every K, one panel per dimension."""
    figure, panels = subplots(columns=len(found), height=3.4, squeeze=False, sharey=True)
    for at, axes in zip(found, panels[0], strict=True):
        _panel(axes, at)
    panels[0, 0].set(
        ylabel="total variation at time 0", ylim=(0.4 * min(at.tv[:, -1, -1].mean() for at in found), None)
    )
    return figure


def _panel(axes: Axes, at: SampleErrors) -> None:
    mean, chance = at.tv.mean(0), at.bound[0, :, -1]
    names = [*(f"K = {K}" for K in at.levels), "all N"]
    for j, (name, colour) in enumerate(zip(names, (*CYCLE[: len(at.levels)], INK), strict=True)):
        axes.plot(at.sizes, mean[:, j], "o-", color=colour)
        label(axes, at.sizes[-1], mean[-1, j], name, colour, xytext=(5, 7 - 7 * j))
    axes.plot(at.sizes, chance, "--", color=MUTED)
    middle = len(at.sizes) // 2
    label(axes, at.sizes[middle], chance[middle], "½ √(I/N)", MUTED, xytext=(6, 6))
    axes.set(xscale="log", yscale="log", xlabel="number of samples N", title=f"d = {at.d}")
    axes.set_xlim(right=at.sizes[-1] * 8)
    axes.minorticks_off()
