"""The power of the masses that weights K pictures best if each is one draw from its cell: an estimate.

Cell k has the mass w_k. Over the pictures that may be drawn for it, f has the mean m_k and the variance s_k^2. Weights
W with sum 1 miss E f by the squared bias |sum_k (W_k - w_k) m_k|^2 plus the variance sum_k W_k^2 s_k^2. With W
proportional to w^alpha, alpha = 1 has no bias, and alpha = 0 has the least variance if all s_k are equal. The best
alpha in [0, 1] depends on f. Here m and s^2 are estimated from values of f in every cell. *Sharper results*, section
14, has the criterion in closed form on the line from equal weights to w. Powers agree with it at both ends, and between
them to first order in K w - 1, so the minimum is searched for on a grid.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

ALPHAS = torch.linspace(0, 1, 101, dtype=torch.float64)
RESAMPLES = 100  # bootstrap samples of the values, for the standard deviation of an exponent


def squared_errors(
    counts: Int64[Tensor, " K"], values: Float[Tensor, "n c"], cell: Int64[Tensor, " n"]
) -> Float[Tensor, " A"]:
    """Mean squared error of the weighted sum of one draw a cell, for every exponent of `ALPHAS`.

    Unbiased given the counts, if every cell has at least two values. The squared bias at the estimated means is too
    large on average by sum_k (W_k - w_k)^2 s_k^2 / n_k; this is subtracted, so a value may be negative.

    Args:
        counts: masses of the cells, up to a factor.
        values: n values of f. A cell with one value gets the variance of all cells together; a cell without values
            also gets the mean of all values.
        cell: the cell of each value.
    """
    values, K = values.double(), len(counts)
    sizes = cell.bincount(minlength=K).double()
    sums = torch.zeros(K, values.shape[1], dtype=torch.float64).index_add(0, cell, values)
    means = torch.where(sizes[:, None] > 0, sums / sizes.clip(1)[:, None], values.mean(0))
    squares = torch.zeros(K, dtype=torch.float64).index_add(0, cell, (values - means[cell]).square().sum(1))
    pooled = squares.sum() / (sizes - 1).clip(0).sum().clip(1)
    variances = torch.where(sizes > 1, squares / (sizes - 1).clip(1), pooled)
    masses = counts.double() / counts.sum()
    powers = masses ** ALPHAS[:, None]
    weights = powers / powers.sum(1, keepdim=True)
    away = weights - masses
    return (away @ means).square().sum(1) - away.square() @ (variances / sizes.clip(1)) + weights.square() @ variances


def best_exponent(errors: Float[Tensor, "*C A"]) -> Float[Tensor, "*C"]:
    """The exponent with the least squared error."""
    return ALPHAS[errors.argmin(-1)]


def deviation(
    counts: Int64[Tensor, " K"], values: Float[Tensor, "n c"], cell: Int64[Tensor, " n"], rng: np.random.Generator
) -> float:
    """Standard deviation of the best exponent, by the bootstrap within each cell.

    A cell with one value always draws that value and adds nothing, so with many such cells the result is too small.
    """
    order = cell.argsort(stable=True)
    values, cell = values[order], cell[order]
    sizes = cell.bincount(minlength=len(counts))
    first, size = (sizes.cumsum(0) - sizes)[cell], sizes[cell]
    again = [first + (torch.from_numpy(rng.random(len(cell))) * size).long() for _ in range(RESAMPLES)]
    return best_exponent(torch.stack([squared_errors(counts, values[i], cell) for i in again])).std().item()


def shrunk(
    own: Float[Tensor, " C"], deviations: Float[Tensor, " C"], together: float
) -> tuple[Float[Tensor, " C"], float]:
    """Exponents of C classes, shrunk towards the exponent of all classes together, and the variance between classes.

    Class c keeps the share tau^2 / (tau^2 + deviation_c^2) of its distance. Here tau^2, the variance between classes
    beyond their noise, is max(0, mean[(own - together)^2 - deviation^2]).
    """
    between = ((own - together).square() - deviations.square()).mean().clip(0)
    total = between + deviations.square()
    kept = torch.where(total > 0, between / total, 0.0)
    return together + kept * (own - together), between.item()
