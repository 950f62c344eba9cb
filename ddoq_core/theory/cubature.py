"""Quantization as cubature: E f(X) by sum_i w_i f(x_i) for X ~ N(0, 1), compared with closed forms and other rules."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtr
from scipy.stats import norm

from ..errors import InputError
from ..quantization import ExactQuantizer
from ..quantization.closed_forms import closed_quantizer


@dataclass(frozen=True)
class Integrand:
    """A function with known mean under N(0, 1)."""

    name: str
    f: Callable[[ndarray], ndarray]
    mean: float
    convex: bool
    lipschitz: float | None  # of f; None if f is not Lipschitz
    lipschitz_slope: float | None  # of f'; None if f' is not Lipschitz


# the payoff of a call option with strike 1 in Bachelier's model
CALL = Integrand("max(X − 1, 0)", lambda x: np.maximum(x - 1, 0), float(norm.pdf(1) - ndtr(-1)), True, 1.0, None)
COSINE = Integrand("cos X", np.cos, float(np.exp(-0.5)), False, 1.0, 1.0)
EXPONENTIAL = Integrand("exp X", np.exp, float(np.exp(0.5)), True, None, None)
SQUARED = Integrand("X²", np.square, 1.0, True, None, 2.0)
INTEGRANDS = (CALL, COSINE, EXPONENTIAL, SQUARED)


@cache
def normal_quantizer(K: int) -> ExactQuantizer:
    return closed_quantizer("N(0, 1)", K)


def cubature_error(integrand: Integrand, K: int) -> float:
    """sum_i w_i f(x_i) - E f(X) on the optimal quantizer: at most 0 if f is convex, by Jensen in every cell."""
    q = normal_quantizer(K)
    return float(q.weights @ integrand.f(q.points) - integrand.mean)


def gauss_hermite_error(integrand: Integrand, K: int) -> float:
    """The same for the Gauss rule of N(0, 1) with K nodes, exact for polynomials up to degree 2 K - 1."""
    x, w = np.polynomial.hermite_e.hermegauss(K)
    return float(w @ integrand.f(x) / w.sum() - integrand.mean)


def monte_carlo_errors(
    integrand: Integrand, K: int, n_seeds: int, rng: np.random.Generator
) -> Float[ndarray, " n_seeds"]:
    """The absolute error of K independent draws, for each of n_seeds repetitions."""
    if n_seeds < 2:
        raise InputError(f"monte_carlo_seeds = {n_seeds}, but an interval needs at least 2")
    return np.abs(integrand.f(rng.standard_normal((n_seeds, K))).mean(1) - integrand.mean)


def first_order_bound(integrand: Integrand, K: int) -> float | None:
    """Theorem 5: L G^(1/2)."""
    return None if integrand.lipschitz is None else integrand.lipschitz * normal_quantizer(K).distortion ** 0.5


def second_order_bound(integrand: Integrand, K: int) -> float | None:
    """Lip(f') G / 2, for a stationary quantizer."""
    return None if integrand.lipschitz_slope is None else integrand.lipschitz_slope * normal_quantizer(K).distortion / 2


def mean_distance(K: int) -> float:
    """e_1 = E min_i |X - x_i| on the optimal quantizer: the error for the distance to the grid, which is 0 on it."""
    x = normal_quantizer(K).points
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])

    def above(a: ndarray, b: ndarray) -> ndarray:  # int_a^b (xi - x) p
        return norm.pdf(a) - norm.pdf(b) - x * (ndtr(b) - ndtr(a))

    return float((above(x, edges[1:]) - above(edges[:-1], x)).sum())
