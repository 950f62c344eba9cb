"""Optimal quantizers of N(0, 1), exact to rounding: the ground truth that samples and algorithms are held against."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_banded
from scipy.special import ndtr, ndtri

from ..errors import InputError

ZADOR_NORMAL = np.sqrt(3) * np.pi / 2  # limit of K^2 G for N(0, 1): Zador's constant (1/12) |p|_{1/3}


@dataclass(frozen=True)
class NormalQuantizer:
    """The optimal quantizer of N(0, 1) at level K."""

    points: Float[ndarray, " K"]  # increasing
    weights: Float[ndarray, " K"]  # masses of the Voronoi cells
    distortion: float  # G(x)
    gradient: float  # largest entry of |grad G(x)|: how far from stationary


def exact_quantizer(K: int, *, tol: float = 1e-12, max_iter: int = 100) -> NormalQuantizer:
    """Optimal quantizer of N(0, 1) by Newton's method on grad G = 0 (eq. 13).

    N(0, 1) is log-concave, so the stationary grid is unique and optimal (Graf and Luschgy 2000, Theorem 5.1).
    The start has the optimal point density p^(1/3), that of N(0, 3); exact Lloyd steps lead it into Newton's basin.

    Args:
        K: number of points; 1 to 50 is tested.
        tol: largest entry of |grad G| at the end.
    Raises:
        InputError: K < 1.
        ArithmeticError: no convergence in `max_iter` steps.
    """
    if K < 1:
        raise InputError(f"K = {K}, but a quantizer has at least 1 point")
    x = np.sqrt(3) * ndtri((2 * np.arange(1, K + 1) - 1) / (2 * K))
    for _ in range(4 * K):
        x = normal_centroids(x)
    for _ in range(max_iter):
        gradient = normal_gradient(x)
        if np.abs(gradient).max() <= tol:
            x = (x - x[::-1]) / 2  # N(0, 1) is symmetric, so is its quantizer
            return NormalQuantizer(x, _cells(x)[1], normal_distortion(x), float(np.abs(normal_gradient(x)).max()))
        x = np.sort(x - solve_banded((1, 1), _hessian(x), gradient))
    raise ArithmeticError(f"Newton's method for K = {K} left a gradient of {np.abs(gradient).max():.1e}")


def normal_distortion(x: Float[ndarray, " K"]) -> float:
    """G(x) = E min_i |X - x_i|^2 for X ~ N(0, 1) and increasing points x, by the exact cdf."""
    _, mass, moment = _cells(x)
    return float(1 + np.sum(x**2 * mass - 2 * x * moment))


def normal_centroids(x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Centroid of each Voronoi cell under N(0, 1): one exact step of Lloyd's algorithm (Algorithm 2)."""
    _, mass, moment = _cells(x)
    return moment / mass


def normal_gradient(x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Gradient of the distortion of N(0, 1) (Proposition 6, eq. 13): 2 (x_i mu(C_i) - int_{C_i} xi mu(d xi))."""
    _, mass, moment = _cells(x)
    return 2 * (x * mass - moment)


def finite_differences(x: Float[ndarray, " K"], h: float = 1e-5) -> Float[ndarray, " K"]:
    """Gradient of the distortion of N(0, 1) by central differences of step h: knows nothing of Proposition 6."""
    return np.array([(normal_distortion(x + e) - normal_distortion(x - e)) / (2 * h) for e in h * np.eye(len(x))])


def _cells(x: Float[ndarray, " K"]) -> tuple[ndarray, ndarray, ndarray]:
    """Inner boundaries (K - 1,), masses (K,) and first moments (K,) of the Voronoi cells under N(0, 1)."""
    inner = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    return inner, np.diff(ndtr(edges)), -np.diff(_density(edges))


def _hessian(x: Float[ndarray, " K"]) -> Float[ndarray, "3 K"]:
    """Hessian of G, tridiagonal, in the layout of `solve_banded`: only neighbours share a boundary."""
    inner, mass, _ = _cells(x)
    flux = (x[1:] - x[:-1]) / 2 * _density(inner)  # gain of a cell when its boundary moves, times the lever
    banded = np.zeros((3, len(x)))
    banded[1] = 2 * mass
    banded[1, 1:] -= flux
    banded[1, :-1] -= flux
    banded[0, 1:] = banded[2, :-1] = -flux
    return banded


def _density(x: ndarray) -> ndarray:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
