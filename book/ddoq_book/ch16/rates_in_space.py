"""Theorem 13 and Corollary 15 in d = 2 and d = 5, where K^(-1/d), K^(-2/d), K^-1 and K^-2 can be told apart.

Three atoms, Brownian motion to T, the exact reverse SDE to delta = 0, where the law consists of three numbers. The law
at T is that of n samples. Each sample is replaced by the mean of its cell: E[X | X^] = X^ then holds to rounding, even
if Lloyd's algorithm has not converged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ot
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from ddoq_core.quantization import assign, lloyd, random_samples
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import GaussianMixture, atoms

ITERATIONS = 60  # of Lloyd's algorithm


def three_atoms(d: int) -> GaussianMixture:
    """Three atoms without symmetry in the unit ball of R^d."""
    places = torch.zeros(3, d, dtype=torch.float64)
    places[:, :2] = torch.tensor([[1.0, 0.0], [-0.6, 0.5], [0.1, -0.9]])
    return atoms(places, torch.tensor([0.6, 0.3, 0.1]))


@dataclass(frozen=True, eq=False)
class SpaceRates:
    """Errors at delta = 0 of stationary K-point measures of mu_T in R^d, and their distances at T."""

    d: int
    levels: tuple[int, ...]
    tv: Float[ndarray, "seeds levels"]
    W1: Float[ndarray, "seeds levels"]  # by linear program
    first_order: Float[ndarray, "seeds levels"]  # Lambda E|X - X^|: the bound of Theorem 13, sharpened
    G: Float[ndarray, "seeds levels"]
    n: int

    def slope(self, errors: Float[ndarray, "seeds levels"]) -> Mean:
        """Slope against K on logarithmic axes, mean and interval over the seeds."""
        return Mean.of(np.array([np.polyfit(np.log(self.levels), np.log(row), 1)[0] for row in errors]))


def space_rates(d: int, levels: Sequence[int], n: int, T: float, seeds: Sequence[int]) -> SpaceRates:
    """Errors from n samples for each seed; the codebooks are found on these samples."""
    data = three_atoms(d)
    mu_T, constant, rows = data.noised(BROWNIAN, T), law_constant(BROWNIAN, 1.0, 0.0, T), []
    cost = ot.dist(data.means.numpy(), data.means.numpy(), metric="euclidean")
    for seed in seeds:
        rng = numpy_rng(seed, "16", "space", d)
        X = mu_T.sample(n, rng)
        goal = mu_T.responsibilities(X).mean(0)
        for K in levels:
            start = random_samples(X, K, rng).float()
            labels = assign(X.float(), lloyd(X.float(), start, max_iter=ITERATIONS, tol=1e-7).points)
            x, w = cell_means(X, labels, K)
            end, off = w @ mu_T.responsibilities(x), X - x[labels]
            W1 = ot.emd2(_mass(end), _mass(goal), cost)
            first = constant * off.norm(dim=1).mean().item()
            rows.append(((end - goal).abs().sum().item() / 2, W1, first, off.square().sum(1).mean().item()))
    found = np.array(rows).reshape(len(seeds), len(levels), 4)
    return SpaceRates(d, tuple(levels), *np.moveaxis(found, -1, 0), n)


def cell_means(X: Float[Tensor, "n d"], labels: Tensor, K: int) -> tuple[Float[Tensor, "K d"], Float[Tensor, " K"]]:
    """Mean and share of the samples of each label; a label without samples is at 0, with share 0."""
    counts = torch.bincount(labels, minlength=K).double()
    sums = torch.zeros(K, X.shape[1], dtype=X.dtype).index_add_(0, labels, X)
    return sums / counts.clamp_min(1)[:, None], counts / len(X)


def _mass(p: Float[Tensor, " J"]) -> Float[ndarray, " J"]:
    return (p / p.sum()).numpy()


def space_rates_table(found: Sequence[SpaceRates]) -> Table:
    """Slopes in K per dimension, next to those of the theorems, and the ratio of the error to its bound."""
    rows = [
        (
            at.d,
            -1 / at.d,
            at.slope(at.first_order),
            -2 / at.d,
            at.slope(at.tv),
            at.slope(at.W1),
            Mean.of(at.W1[:, -1] / at.first_order[:, -1]),
        )
        for at in found
    ]
    names = "−1/d", "slope of Λ E|X − X̂|", "−2/d", "slope of TV", "slope of W₁"
    last = Column(f"W₁ over Λ E|X − X̂|, K = {found[0].levels[-1]}", ".4f")
    columns = ("d", *(Column(name, ".3f") for name in names), last)
    note = (
        f"K = {', '.join(map(str, found[0].levels))}; n = {len(found[0].tv)} seeds of {found[0].n:,} samples, "
        "95 % intervals over them. δ = 0."
    )
    return Table.of_rows("Three atoms in the plane and in R⁵: errors after the reverse SDE", columns, rows, (note,))
