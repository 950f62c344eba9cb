"""A test of Theorem 5: errors in expectation of the optimal points of a uniform law, for many Lipschitz functions."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class LipschitzTrial:
    """Theorem 5 on the uniform law on [0, 1]: errors in expectation and both bounds."""

    worst: float  # |E_mu f - E_nu f| for f = distance to the grid
    random: Float[ndarray, " m"]  # for random 1-Lipschitz functions
    mean_distance: float  # e_1 = W_1(mu, nu), the sharp bound
    root_distortion: float  # G^(1/2), the paper's bound


def lipschitz_trial(K: int, m: int, rng: np.random.Generator) -> LipschitzTrial:
    """Errors of K optimal points of the uniform law: the distance to them, and m random piecewise linear functions."""
    x = (np.arange(K) + 0.5) / K
    grid = np.linspace(0, 1, 200 * K + 1)
    distance = np.abs(grid[:, None] - x).min(1)
    slopes = rng.uniform(-1, 1, (m, len(grid) - 1))
    values = np.concatenate([np.zeros((m, 1)), np.cumsum(slopes * np.diff(grid), 1)], 1)
    at_points = np.stack([np.interp(x, grid, f) for f in values])
    errors = np.abs(np.trapezoid(values, grid, axis=1) - at_points.mean(1))
    mean = float(np.trapezoid(distance, grid))
    return LipschitzTrial(mean, errors, 1 / (4 * K), 1 / (math.sqrt(12) * K))
