"""Karhunen-Loève quantizers of Gaussian processes: K weighted paths that represent a process in L^2[0, T].

X_t = sum_l sqrt(lambda_l) xi_l e_l(t) with independent xi_l ~ N(0, 1), eigenvalues lambda_l and eigenfunctions e_l of
the covariance. The first coordinates get a product of quantizers of N(0, 1), the others none: their variance is lost.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq

from ..errors import InputError
from ..quantization.products import allocate, product_quantizer
from .cubature import normal_quantizer

TERMS = 64  # of the expansion that may get points; more would matter only from K = 2^64 on


@dataclass(frozen=True)
class GaussianProcess:
    """A centred Gaussian process on [0, horizon] by its expansion: omega_l are the frequencies of e_l(t) ~ sin."""

    name: str
    horizon: float
    variance: float  # int_0^T Var X_t dt, the sum of all eigenvalues
    frequencies: Float[ndarray, " L"]  # increasing
    eigenvalues: Float[ndarray, " L"]  # decreasing

    def eigenfunctions(self, t: Float[ndarray, " n"]) -> Float[ndarray, "L n"]:
        """e_l(t), with norm 1 in L^2[0, T]."""
        w, T = self.frequencies[:, None], self.horizon
        return np.sin(w * t) / np.sqrt(T / 2 - np.sin(2 * w * T) / (4 * w))


@dataclass(frozen=True, eq=False)
class PathQuantizer:
    """K paths and their weights, by their coordinates in the expansion."""

    process: GaussianProcess
    sizes: tuple[int, ...]  # points of each coordinate; K is their product
    coordinates: Float[ndarray, "K m"]
    weights: Float[ndarray, " K"]
    distortion: float  # E min_i int_0^T |X_t - x_i(t)|^2 dt

    def paths(self, t: Float[ndarray, " n"]) -> Float[ndarray, "K n"]:
        """The paths at times t."""
        return self.coordinates @ self.process.eigenfunctions(t)[: len(self.sizes)]


def brownian_motion(T: float = 1.0) -> GaussianProcess:
    """lambda_l = (T / pi (l - 1/2))^2, e_l(t) = sqrt(2/T) sin(pi (l - 1/2) t / T); InputError for T <= 0."""
    _above_zero(T=T)
    w = np.pi * (np.arange(1, TERMS + 1) - 0.5) / T
    return GaussianProcess("Brownian motion", T, T**2 / 2, w, w**-2)


def brownian_bridge(T: float = 1.0) -> GaussianProcess:
    """lambda_l = (T / pi l)^2, e_l(t) = sqrt(2/T) sin(pi l t / T); InputError for T <= 0."""
    _above_zero(T=T)
    w = np.pi * np.arange(1, TERMS + 1) / T
    return GaussianProcess("Brownian bridge", T, T**2 / 6, w, w**-2)


def ornstein_uhlenbeck_path(rate: float = 0.5, T: float = 1.0) -> GaussianProcess:
    """dX = -rate X dt + dW from 0, the noise of VP for rate 1/2: lambda_l = 1 / (w^2 + rate^2), tan(w T) = -w / rate.

    Raises:
        InputError: rate <= 0, for which the process is not Ornstein-Uhlenbeck, or T <= 0.
    """
    _above_zero(rate=rate, T=T)
    turns = np.pi * np.arange(TERMS)
    w = np.array([brentq(lambda u: rate * T * np.sin(u) + u * np.cos(u), a + np.pi / 2, a + np.pi) for a in turns]) / T
    variance = (T - (1 - np.exp(-2 * rate * T)) / (2 * rate)) / (2 * rate)
    return GaussianProcess("Ornstein-Uhlenbeck process", T, variance, w, 1 / (w**2 + rate**2))


def path_quantizer(process: GaussianProcess, K: int) -> PathQuantizer:
    """The best product quantizer with at most K paths: sizes by `allocate`, points the optimal ones of N(0, 1).

    Its error falls like (log K)^(-1/2), as does that of the best K paths (Luschgy and Pagès 2002, 2004).

    Raises:
        InputError: K < 1.
    """
    sizes, cost = allocate(process.eigenvalues, K, lambda k: normal_quantizer(k).distortion)
    kept, beyond = sizes or (1,), process.variance - process.eigenvalues.sum()
    product = product_quantizer([normal_quantizer(k) for k in kept])
    scale = np.sqrt(process.eigenvalues[: len(kept)])
    return PathQuantizer(process, kept, product.points * scale, product.weights, cost + beyond)


def path_rate(process: GaussianProcess) -> float:
    """Limit of log K times the least distortion, if eigenvalues fall like c / (pi l)^2: 2 c / pi^2, with c = T^2."""
    return 2 * process.horizon**2 / np.pi**2


def _above_zero(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < np.inf:
            raise InputError(f"{name} = {value}, but it is finite and above 0")
