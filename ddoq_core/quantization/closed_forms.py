"""Optimal quantizers of four laws on a line by closed forms: exact up to rounding, without quadrature."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import expon, laplace, norm, uniform

from ..errors import InputError
from .exact import ExactQuantizer, exact_quantizer, newton_step
from .laws import standard_law

POLISH = 3  # Newton steps on the closed forms; one already reaches rounding error


@dataclass(frozen=True)
class ClosedForm:
    """A law of `scipy.stats`, and the function for the points and the distortion of its optimal quantizer."""

    law: Any
    route: Callable[[int], tuple[Float[ndarray, " K"], float]]


def closed_quantizer(name: str, K: int) -> ExactQuantizer:
    """The optimal quantizer of a law of CLOSED_FORMS; InputError for K < 1 or another law.

    Raises:
        ArithmeticError: the result fails the certificate of `exact_quantizer`.
    """
    if name not in CLOSED_FORMS:
        raise InputError(f"law = {name!r}, but it must be one of: {'; '.join(CLOSED_FORMS)}")
    if K < 1:
        raise InputError(f"K = {K}, but a quantizer needs at least 1 point")
    form = CLOSED_FORMS[name]
    x, G = form.route(K)
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    weights = np.diff(form.law.cdf(edges))
    failed = standard_law(form.law).wrong(x, weights, np.zeros(K), np.array([G]))
    if failed:
        raise ArithmeticError(f"{name}, K = {K}: {failed}")
    return ExactQuantizer(x, weights, G, True)


def half_cells(K: int) -> Float[ndarray, " K"]:
    """Left half widths of the cells of the exponential law, last cell first: m_1 = 1, and m_j follows from m_(j-1).

    The law is memoryless. So a cell of length l that begins at b has its centroid m(l) = 1 - l / (e^l - 1) after b, and
    l - m(l) before the next cell, whose point is as far on the other side: l - m(l) = m_(j-1) gives l, and m_j = m(l).
    """
    m = [1.0]
    while len(m) < K:
        length = brentq(lambda length, m=m[-1]: length - _mean(length) - m, m[-1], 2 * m[-1], xtol=1e-15)
        m.append(_mean(length))
    return np.array(m[:K])


def exponential_route(K: int) -> tuple[Float[ndarray, " K"], float]:
    """Points and distortion for the exponential law: G = x_1^2, from integration by parts and stationarity."""
    m = half_cells(K)
    return m[-1] + np.concatenate([[0.0], 2 * np.cumsum(m[-2::-1])]), float(m[-1] ** 2)


def laplace_route(K: int) -> tuple[Float[ndarray, " K"], float]:
    """Points and distortion for the Laplace law: two exponential halves, with a point at 0 between them if K is odd."""
    if K == 1:
        return np.zeros(1), 2.0
    if K % 2 == 0:
        half, G = exponential_route(K // 2)
        return np.concatenate([-half[::-1], half]), G
    m = half_cells(K // 2)
    half, edge = 2 * np.cumsum(m[::-1]), float(m[-1])
    return np.concatenate([-half[::-1], [0.0], half]), float(-2 * (np.expm1(-edge) + edge * np.exp(-edge)))


def uniform_route(K: int) -> tuple[Float[ndarray, " K"], float]:
    """Midpoints of K equal intervals, and G = 1 / (12 K^2)."""
    return (np.arange(K) + 0.5) / K, 1 / (12 * K**2)


def normal_route(K: int) -> tuple[Float[ndarray, " K"], float]:
    """Points and distortion for N(0, 1): Newton's method on the closed forms of the cells."""
    x = exact_quantizer(norm(), K).points
    for _ in range(POLISH):
        gradient, mass, _ = normal_cells(x)
        x = newton_step(norm, x, gradient, mass)
    x = (x - x[::-1]) / 2  # the optimum is unique, hence symmetric
    return x, normal_cells(x)[2]


def normal_cells(x: Float[ndarray, " K"]) -> tuple[Float[ndarray, " K"], Float[ndarray, " K"], float]:
    """Gradient (eq. 13), cell masses and distortion of increasing points for N(0, 1), without quadrature."""
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    # ndtr is accurate only below 0
    mass = np.where(x > 0, ndtr(-edges[:-1]) - ndtr(-edges[1:]), np.diff(ndtr(edges)))
    p = norm.pdf(edges)
    first = -np.diff(p)
    second = mass - np.diff(np.where(np.isfinite(edges), edges, 0) * p)
    return 2 * (x * mass - first), mass, float((second - 2 * x * first + x**2 * mass).sum())


def _mean(length: float) -> float:
    """Mean of the exponential law on [0, length]."""
    return 1 - length / float(np.expm1(length))


CLOSED_FORMS = {
    "N(0, 1)": ClosedForm(norm(), normal_route),
    "Laplace": ClosedForm(laplace(), laplace_route),
    "Exponential": ClosedForm(expon(), exponential_route),
    "uniform on [0, 1]": ClosedForm(uniform(), uniform_route),
}
