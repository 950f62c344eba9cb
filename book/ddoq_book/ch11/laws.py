"""The exact quantizers of four laws by closed forms, their tables, and how far Newton's method by quadrature is off."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from IPython.display import HTML
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_banded
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import expon, laplace, norm, uniform

from ddoq_core.errors import InputError
from ddoq_core.quantization.exact import ZADOR_NORMAL, ExactQuantizer, exact_gradient, exact_quantizer
from ddoq_core.results.table import NOTHING, Table

POLISH = 3  # Newton steps by closed forms: the first leaves rounding


def half_cells(K: int) -> Float[ndarray, " K"]:
    """Left half widths of the cells of the exponential law, last cell first: m_1 = 1, and m_j from m_(j-1).

    The law has no memory, so a cell of length l that begins at b has its centroid m(l) = 1 - l / (e^l - 1) after b, and
    l - m(l) before the next cell, whose point is as far beyond it: l - m(l) = m_(j-1) gives l, and m_j = m(l).
    """
    m = [1.0]
    while len(m) < K:
        length = brentq(lambda length, m=m[-1]: length - _mean(length) - m, m[-1], 2 * m[-1], xtol=1e-15)
        m.append(_mean(length))
    return np.array(m[:K])


def exponential_route(K: int) -> tuple[Float[ndarray, " K"], float]:
    """Points and distortion for the exponential law: G = x_1^2, by parts and stationarity."""
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
        flux = np.diff(x) / 2 * norm.pdf((x[1:] + x[:-1]) / 2)
        hessian = np.zeros((3, K))
        hessian[1] = 2 * mass - np.append(flux, 0) - np.append(0, flux)
        hessian[0, 1:] = hessian[2, :-1] = -flux
        x = x - solve_banded((1, 1), hessian, gradient)
    x = (x - x[::-1]) / 2  # the optimum is unique, so symmetric
    return x, normal_cells(x)[2]


def normal_cells(x: Float[ndarray, " K"]) -> tuple[Float[ndarray, " K"], Float[ndarray, " K"], float]:
    """Gradient (eq. 13), cell masses and distortion of increasing points for N(0, 1), without quadrature."""
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    # ndtr keeps its digits below 0 only
    mass = np.where(x > 0, ndtr(-edges[:-1]) - ndtr(-edges[1:]), np.diff(ndtr(edges)))
    p = norm.pdf(edges)
    first = -np.diff(p)
    second = mass - np.diff(np.where(np.isfinite(edges), edges, 0) * p)
    return 2 * (x * mass - first), mass, float((second - 2 * x * first + x**2 * mass).sum())


LAWS: dict[str, tuple[Any, Callable[[int], tuple[ndarray, float]], str, float]] = {
    # law, its route, and the limit of K^2 G: (1/12) (int p^(1/3))^3, in words and as a number
    "N(0, 1)": (norm(), normal_route, "√3 π/2", ZADOR_NORMAL),
    "Laplace": (laplace(), laplace_route, "9", 9.0),
    "Exponential": (expon(), exponential_route, "9/4", 9 / 4),
    "uniform on [0, 1]": (uniform(), uniform_route, "1/12", 1 / 12),
}


def closed_quantizer(name: str, K: int) -> ExactQuantizer:
    """The optimal quantizer of a law of LAWS, by its route.

    Raises:
        InputError: K < 1, or another law.
    """
    if name not in LAWS:
        raise InputError(f"law = {name!r}, but it is one of: {'; '.join(LAWS)}")
    if K < 1:
        raise InputError(f"K = {K}, but a quantizer has at least 1 point")
    law, route = LAWS[name][:2]
    x, G = route(K)
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    return ExactQuantizer(x, np.diff(law.cdf(edges)), G, True)


def newton_differences(name: str, levels: Iterable[int]) -> Float[ndarray, "levels 2"]:
    """Largest difference of a point, and that of the distortion, between the closed route and `exact_quantizer`."""
    found = []
    for K in levels:
        closed, newton = closed_quantizer(name, K), exact_quantizer(LAWS[name][0], K)
        found.append((np.abs(closed.points - newton.points).max(), abs(closed.distortion - newton.distortion)))
    return np.array(found)


def laws_table(levels: Iterable[int]) -> Table:
    """Distortion, K^2 G, largest entry of the gradient, and what Newton's method finds, per law and level."""
    columns = ("Law", "K", "distortion G", "K² G", "largest entry of ∇G", "Newton: G off by", "points off by")
    blocks, levels = [], list(levels)
    for name, (*_, text, limit) in LAWS.items():
        rows = []
        for K, (points, G) in zip(levels, newton_differences(name, levels), strict=True):
            q = closed_quantizer(name, K)
            numbers = f"{q.distortion:.10f}", f"{K**2 * q.distortion:.6f}"
            rows.append((str(K), *numbers, *map(_power, (_residual(name, q), G, points))))
        rows.append(("∞", "0", text if text.isdigit() else f"{text} = {limit:.6f}", *3 * (NOTHING,)))
        blocks.append((name, tuple(rows)))
    return Table("Optimal quantizers of four laws", columns, tuple(blocks))


def complete_table(levels: Iterable[int]) -> Table:
    """Distortion of every law at every level, to 10 decimals, and the largest entry of the four gradients."""
    rows = []
    for K in levels:
        found = {name: closed_quantizer(name, K) for name in LAWS}
        cells = (f"{q.distortion:.10f}" for q in found.values())
        rows.append((str(K), ((*cells, _power(max(_residual(name, q) for name, q in found.items()))),)))
    columns = ("K", *LAWS, "largest entry of ∇G")
    return Table("Distortion G of the optimal quantizers", columns, tuple(rows))


def points_csv(levels: Iterable[int]) -> str:
    """Every point and weight of every law and level, to 10 decimals: law, K, i, point, weight."""
    levels, lines = list(levels), ["law,K,i,point,weight"]
    for name in LAWS:
        for K in levels:
            q = closed_quantizer(name, K)
            numbers = zip(q.points + 0.0, q.weights, strict=True)
            lines += [f'"{name}",{K},{i},{x:.10f},{w:.10f}' for i, (x, w) in enumerate(numbers, 1)]
    return "\n".join(lines) + "\n"


def points_link(levels: Sequence[int]) -> HTML:
    """A link that saves `points_csv`. The file stands in the page, so the link works without the network."""
    data = "data:text/csv;charset=utf-8," + quote(points_csv(levels), safe=",.-() ")
    text = f"All points and weights, K = {min(levels)} to {max(levels)} (CSV)"
    return HTML(f'<a download="optimal_quantizers.csv" href="{data}">{text}</a>')


def _residual(name: str, quantizer: ExactQuantizer) -> float:
    """Largest entry of the gradient by quadrature, which the routes do not use."""
    return float(np.abs(exact_gradient(LAWS[name][0], quantizer.points)).max())


def _mean(length: float) -> float:
    """Mean of the exponential law on [0, length]."""
    return 1 - length / float(np.expm1(length))


def _power(value: float) -> str:
    return f"{value:.0e}" if value else "0"
