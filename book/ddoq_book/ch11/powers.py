"""Quantizers of N(0, 1) for E min_i |X - x_i|^r: how unequal the masses of the cells are, how equal the costs."""

import math
from collections.abc import Sequence

from scipy.stats import norm

from ddoq_core.quantization.powers import power_cells, power_quantizer
from ddoq_core.results.table import Column, Table


def powers_table(K: int, powers: Sequence[float]) -> Table:
    """One row per power."""
    rows = []
    for r in powers:
        masses, _, costs = power_cells(norm(), power_quantizer(norm(), K, r).points, r)
        costs = K * costs / costs.sum()
        rows.append((r, K * masses.min(), K * masses.max(), math.sqrt(1 + r), costs.min(), costs.max()))
    columns = (
        Column("r", "g"),
        *(Column(name, ".3f") for name in ("K × lightest mass", "K × heaviest", "limit of the heaviest, √(1 + r)")),
        *(Column(name, ".3f") for name in ("K × least cost, as a share", "K × largest")),
    )
    return Table.of_rows(f"The best {K} points of N(0, 1) for other powers", columns, rows)
