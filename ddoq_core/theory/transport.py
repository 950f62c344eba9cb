"""Wasserstein distances: between weighted point sets by linear programming (POT), and between measures on a line."""

import numpy as np
import ot
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .diffusion import Process
from .measures import GaussianMixture, law_on_line

MAX_PIVOTS = 10_000_000  # of the network simplex: far more than n K entries need


def wasserstein2(
    points: Tensor | np.ndarray,
    weights: Tensor | np.ndarray,
    samples: Tensor | np.ndarray,
    sample_weights: Tensor | np.ndarray | None = None,
) -> float:
    """Exact W_2 (eq. 5) between sum_i w_i delta(x_i) and the samples' measure, by the network simplex.

    The cost grows like n K to n^2 K; suitable up to about 10^7 entries.

    Args:
        points, samples: (K, d) and (n, d), finite.
        weights: (K,), at least 0, summing to 1.
        sample_weights: (n,), masses of the samples, likewise; None means 1/n each.
    Raises:
        InputError: weights that are negative or do not sum to 1, another dimension, or values that are not finite.
    """
    v = np.full(len(samples), 1 / len(samples)) if sample_weights is None else sample_weights
    v, cost = _mass("sample_weights", v, len(samples)), _cost(points, samples)
    return _root_of_program(_mass("weights", weights, len(points)), v, cost)


def wasserstein2_of_weights(
    points: Tensor | np.ndarray, weights: Float[np.ndarray, "m K"], samples: Tensor | np.ndarray
) -> Float[np.ndarray, " m"]:
    """W_2 to the samples for each of m weightings of the same points; InputError as `wasserstein2`."""
    v, cost = np.full(len(samples), 1 / len(samples)), _cost(points, samples)
    return np.array([_root_of_program(_mass("weights", w, len(points)), v, cost) for w in weights])


def wasserstein1_on_line(p: GaussianMixture, q: GaussianMixture, n_parts: int = 2000) -> float:
    """W_1 = int |F_p - F_q| on a line: the largest change of the mean of a 1-Lipschitz function.

    By quadrature between the atoms of both, where the distribution functions are smooth.
    """
    ends = torch.cat([m.means[:, 0] + side * 10 * m.scales for m in (p, q) for side in (-1, 1)])
    places = [m.means[m.scales == 0, 0] for m in (p, q)]
    cuts = torch.cat([torch.linspace(ends.min(), ends.max(), n_parts + 1, dtype=torch.float64), *places]).unique()
    t, w = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(4))
    half = cuts.diff()[:, None] / 2
    x = (cuts[:-1, None] + half + half * t).flatten()
    return ((p.cdf(x) - q.cdf(x)).abs() * (half * w).flatten()).sum().item()


def expectation_error(data: GaussianMixture, process: Process, start: GaussianMixture, delta: float, T: float) -> float:
    """sup over 1-Lipschitz f of |E_{mu_delta} f - E_{nu_delta} f|, from atoms at T by the exact reverse SDE: W_1."""
    back = data.reversed(process, start.means, start.masses, delta, T)
    return wasserstein1_on_line(back, data.noised(process, delta))


def wasserstein1_of_samples(x: Float[Tensor, " n"], law: GaussianMixture, n_nodes: int = 20_001) -> float:
    """W_1 between n samples, 1/n each, and a law on a line: int |F_n - F| by the trapezoidal rule."""
    ends = torch.cat([law.means[:, 0] + side * 10 * law.scales for side in (-1, 1)] + [x.double()])
    nodes = torch.linspace(ends.min(), ends.max(), n_nodes, dtype=torch.float64)
    empirical = torch.searchsorted(x.double().sort().values, nodes, right=True) / len(x)
    return torch.trapezoid((empirical - law.cdf(nodes)).abs(), nodes).item()


def wasserstein2_on_line(p: GaussianMixture, q: GaussianMixture, levels: Float[np.ndarray, " n"]) -> float:
    """W_2 between two mixtures of densities on a line, by quantiles: W_2^2 = int_0^1 |Q_p - Q_q|^2 du (trapezoid).

    Args:
        levels: increasing values of u in (0, 1); dense where the quantile functions are steep.
    """
    squared = (law_on_line(p).ppf(levels) - law_on_line(q).ppf(levels)) ** 2
    return float(np.sqrt(np.trapezoid(squared, levels)))


def _cost(points: Tensor | np.ndarray, samples: Tensor | np.ndarray) -> Float[np.ndarray, "K n"]:
    x, X = np.asarray(points, dtype=np.float64), np.asarray(samples, dtype=np.float64)
    if x.ndim != 2 or X.ndim != 2 or x.shape[1] != X.shape[1]:
        raise InputError(f"points are {x.shape} and samples {X.shape}; give (K, d) and (n, d)")
    if not (np.isfinite(x).all() and np.isfinite(X).all()):
        raise InputError("a point or sample is not finite; remove it, or check how it was computed")
    return ot.dist(x, X, metric="sqeuclidean")


def _root_of_program(w: np.ndarray, v: np.ndarray, cost: np.ndarray) -> float:
    return float(np.sqrt(max(ot.emd2(w, v, cost, numItermax=MAX_PIVOTS), 0.0)))


def _mass(name: str, weights, size: int) -> np.ndarray:
    mass = np.asarray(weights, dtype=np.float64)
    if mass.shape != (size,) or not (mass >= 0).all() or abs(mass.sum() - 1) > 1e-6:
        raise InputError(f"{name} has shape {mass.shape}, sum {mass.sum():.6g}; give {size} numbers >= 0 that sum to 1")
    return mass / mass.sum()
