"""Quantizers of N(0, 1) for E min_i |X - x_i|^r: how unequal their cells are, and how equal their costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import root
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.results.table import Column, Table

END = 12.0  # beyond which N(0, 1) has no mass that counts
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


@dataclass(frozen=True, eq=False)
class PowerQuantizer:
    """The best K points of N(0, 1) for the power r, the masses of their cells, and the cost of each."""

    r: float
    points: Float[ndarray, " K"]
    masses: Float[ndarray, " K"]
    costs: Float[ndarray, " K"]


def power_quantizer(K: int, r: float) -> PowerQuantizer:
    """Zeros of the gradient r int_{C_i} sign(x_i - xi) |x_i - xi|^(r - 1) p(xi) d xi, from the density p^(1/(1+r)).

    For r > 1 the gradient is smooth in the points, and a log-concave density has one zero.

    Raises:
        InputError: r < 1, where cells are not all that counts, as |x|^r is not convex.
    """
    if r < 1:
        raise InputError(f"r = {r}, but only for r = 1 or more is |x|^r convex")
    start = norm(0, math.sqrt(1 + r)).ppf((np.arange(K) + 0.5) / K)
    found = root(lambda x: _moments(x, r - 1, odd=True) / _moments(x, r - 1), start, tol=1e-13)
    x = np.sort(found.x)
    return PowerQuantizer(r, x, _moments(x, 0), _moments(x, r))


def _moments(x: Float[ndarray, " K"], power: float, odd: bool = False) -> Float[ndarray, " K"]:
    """Integrals of |xi - x_i|^power over the cells, or of the two halves of each with opposite signs."""
    edges = np.concatenate([[-END], (x[1:] + x[:-1]) / 2, [END]])
    total = np.zeros_like(x)
    for a, b, sign in ((edges[:-1], x, 1.0), (x, edges[1:], -1.0 if odd else 1.0)):
        half = (b - a)[:, None] / 2
        t = (a + b)[:, None] / 2 + half * NODES
        total += sign * (np.abs(t - x[:, None]) ** power * norm.pdf(t) * half * WEIGHTS).sum(1)
    return total


def powers_table(found: Sequence[PowerQuantizer]) -> Table:
    """One row per power."""
    rows = []
    for at in found:
        K, costs = len(at.points), len(at.points) * at.costs / at.costs.sum()
        rows.append((at.r, K * at.masses.min(), K * at.masses.max(), math.sqrt(1 + at.r), costs.min(), costs.max()))
    columns = (
        Column("r", "g"),
        *(Column(name, ".3f") for name in ("K × lightest mass", "K × heaviest", "limit of the heaviest, √(1 + r)")),
        *(Column(name, ".3f") for name in ("K × least cost, as a share", "K × largest")),
    )
    return Table.of_rows(f"The best {len(found[0].points)} points of N(0, 1) for other powers", columns, rows)
