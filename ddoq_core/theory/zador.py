"""Zador's theorem: K^(2/d) G of the optimal quantizers of a law with density p tends to Q_d |p|_{d/(d+2)}."""

import math

from .bounds import normal_norm

ZADOR = {1: 1 / 12, 2: 5 / (18 * math.sqrt(3)), 3: 19 / (64 * 2 ** (1 / 3))}  # Q_d; for d = 3 the best known lattice


def zador_limit(d: int, *, normal: bool) -> float:
    """Limit of K^(2/d) G for N(0, I_d), or for the uniform law on the unit cube."""
    return ZADOR[d] * (normal_norm(d) if normal else 1)


LINE_LIMITS = {  # limits of K^2 G for the laws of `closed_forms`: (1/12) (int p^(1/3))^3
    "N(0, 1)": zador_limit(1, normal=True),
    "Laplace": 9.0,
    "Exponential": 9 / 4,
    "uniform on [0, 1]": zador_limit(1, normal=False),
}
