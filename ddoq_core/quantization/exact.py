"""Quantizers of laws on a line, exact to rounding: the ground truth that samples and algorithms are held against.

A law is a distribution of `scipy.stats` without free parameters, its density smooth but for a kink at its median.
Masses and moments of cells are integrals by Gauss-Legendre quadrature, none of them a difference of large numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import LinAlgError, solve_banded

from ..errors import InputError
from .line import Line

LOG_CONCAVE = {
    "expon", "gumbel_l", "gumbel_r", "halfnorm", "hypsecant", "laplace", "logistic", "maxwell", "norm", "rayleigh",
    "semicircular", "uniform",
}  # fmt: skip
SHARES = 1000  # into which a law is cut that is not known to be log-concave; 20 for each point at least
INSIDE, OUTSIDE = (np.polynomial.legendre.leggauss(n) for n in (40, 200))  # nodes for a part of a cell; for a tail


@dataclass(frozen=True)
class ExactQuantizer:
    """K points and weights on a line, and what they cost."""

    points: Float[ndarray, " K"]  # increasing
    weights: Float[ndarray, " K"]
    distortion: float  # W_2^2 to the law
    optimal: bool  # proved; else the best that was found


def exact_quantizer(
    law: Any, K: int, *, log_concave: bool | None = None, tol: float = 1e-13, max_iter: int = 500
) -> ExactQuantizer:
    """Optimal quantizer of a law: grad G = 0 (eq. 13) by Newton's method, and by Lloyd's where that would not help.

    If the density is log-concave the stationary grid is unique and so optimal (Graf and Luschgy 2000, Theorem 5.1);
    of another law it is the better of the stationary grids from two starts, and marked so: points of the density that
    is right as K grows, and the optimum, found exactly, of the law cut into many shares.

    Args:
        law: for example `scipy.stats.norm()`.
        log_concave: whether its density is; None asks the list LOG_CONCAVE.
        tol: largest entry of |grad G| at the end, in standard deviations.
    Raises:
        InputError: K < 1, or a law without a finite variance.
        ArithmeticError: no convergence in `max_iter` steps.
    """
    _check(law, K)
    proved = _name(law) in LOG_CONCAVE if log_concave is None else log_concave
    starts = (_companding,) if proved else (_companding, _of_shares)
    grids = [_stationary(law, start(law, K), tol * law.std(), max_iter) for start in starts]
    grids = [x for x in grids if x is not None]
    if not grids:
        raise ArithmeticError(f"{_name(law)}, K = {K}: no stationary grid in {max_iter} steps")
    x = min(grids, key=lambda x: exact_distortion(law, x))
    return ExactQuantizer(x, _cells(law, x)[0], exact_distortion(law, x), proved)


def uniform_quantizer(law: Any, K: int) -> ExactQuantizer:
    """The measure of K equal masses closest to a law in W_2: each point is the mean of its share of the quantiles.

    Raises:
        InputError: K < 1, or a law without a finite variance.
    """
    _check(law, K)
    edges = law.ppf(np.arange(K + 1) / K)
    middle = law.ppf((np.arange(K) + 0.5) / K)
    mass, moment, _ = _integrals(law, edges, middle)
    x = middle + moment / mass
    return ExactQuantizer(x, np.full(K, 1 / K), float(_integrals(law, edges, x)[2].sum()), True)


def exact_distortion(law: Any, x: Float[ndarray, " K"]) -> float:
    """G(x) = E min_i |X - x_i|^2 for increasing points x."""
    return float(_cells(law, x)[2].sum())


def exact_centroids(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Centroid of each Voronoi cell: one exact step of Lloyd's algorithm (Algorithm 2)."""
    mass, moment, _ = _cells(law, x)
    return x + np.divide(moment, mass, out=np.zeros_like(x), where=mass > 0)


def exact_gradient(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Gradient of the distortion (Proposition 6, eq. 13): 2 int_{C_i} (x_i - xi) mu(d xi)."""
    return -2 * _cells(law, x)[1]


def finite_differences(law: Any, x: Float[ndarray, " K"], h: float = 1e-5) -> Float[ndarray, " K"]:
    """Gradient of the distortion by central differences of step h: knows nothing of Proposition 6."""
    steps = h * np.eye(len(x))
    return np.array([(exact_distortion(law, x + e) - exact_distortion(law, x - e)) / (2 * h) for e in steps])


def _check(law: Any, K: int) -> None:
    if K < 1:
        raise InputError(f"K = {K}, but a quantizer has at least 1 point")
    if not np.isfinite(law.var()):
        raise InputError(f"the law {_name(law)} has no finite variance, and so no quantizer in W_2")


def _name(law: Any) -> str:
    """Of the family: a frozen distribution keeps it in `dist`."""
    return getattr(law, "dist", law).name


def _companding(law: Any, K: int) -> Float[ndarray, " K"]:
    """K points of density p^(1/3), the optimal one as K grows; p is read off the quantiles."""
    u = np.linspace(0, 1, 20 * K + 201)[1:-1]
    x = law.ppf(u)
    shares = np.concatenate([[0], np.cumsum(np.diff(u) ** (1 / 3) * np.diff(x) ** (2 / 3))])  # p^(1/3) dx
    return np.interp((np.arange(K) + 0.5) / K * shares[-1], shares, x)


def _of_shares(law: Any, K: int) -> Float[ndarray, " K"]:
    """The best K points for the law cut into shares, each at its mean: of all grids, but for the width of a share."""
    nodes = _companding(law, max(SHARES, 20 * K))
    mass, moment, _ = _cells(law, nodes)
    kept = mass > 0
    shares = Line(torch.from_numpy(nodes[kept] + moment[kept] / mass[kept])[:, None], torch.from_numpy(mass[kept]))
    return shares.optimum(K) + shares.centre


def _stationary(law: Any, x: Float[ndarray, " K"], tol: float, max_iter: int) -> Float[ndarray, " K"] | None:
    """A grid with grad G = 0: a Newton step where it lowers the gradient, a step of Lloyd's algorithm elsewhere.

    None if it is not there in `max_iter` steps.
    """
    gradient = exact_gradient(law, x)
    for _ in range(max_iter):
        if np.abs(gradient).max() <= tol:
            return _polished(law, x)
        new = _newton(law, x, gradient)
        at_new = np.full_like(x, np.inf) if new is None else exact_gradient(law, new)
        if np.abs(at_new).max() >= np.abs(gradient).max():
            new = exact_centroids(law, x)
            at_new = exact_gradient(law, new)
        x, gradient = new, at_new
    return None


def _polished(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Two more steps: where the distortion is flat, points are not yet exact when the gradient is.

    A symmetric law gets a symmetric grid: with a boundary on a kink, to shift all points costs nothing to second order.
    """
    u, middle, near = np.linspace(0.01, 0.49, 25), law.median(), 1e-6 * law.std()
    symmetric = np.abs(law.ppf(u) + law.ppf(1 - u) - 2 * middle).max() < 1e-9 * law.std()
    for _ in range(2):
        new = _newton(law, x, exact_gradient(law, x))
        if new is not None and np.abs(new - x).max() < near:
            x = new
        even = middle + (x - x[::-1]) / 2
        if symmetric and np.abs(even - x).max() < near:
            x = even
    return x


def _newton(law: Any, x: Float[ndarray, " K"], gradient: Float[ndarray, " K"]) -> Float[ndarray, " K"] | None:
    """Where Newton's method moves the points, unless they would change places."""
    try:
        new = newton_step(law, x, gradient, _cells(law, x)[0])
    except LinAlgError:
        return None
    return new if (np.diff(new) > 0).all() and np.isfinite(new).all() else None


def newton_step(
    law: Any, x: Float[ndarray, " K"], gradient: Float[ndarray, " K"], mass: Float[ndarray, " K"]
) -> Float[ndarray, " K"]:
    """Where Newton's method moves the points: the Hessian of G is tridiagonal, as only neighbours share a boundary."""
    flux = np.diff(x) / 2 * law.pdf((x[1:] + x[:-1]) / 2)  # gain of a cell when its boundary moves, times the lever
    hessian = np.zeros((3, len(x)))
    hessian[1] = 2 * mass
    hessian[1, 1:] -= flux
    hessian[1, :-1] -= flux
    hessian[0, 1:] = hessian[2, :-1] = -flux
    return x - solve_banded((1, 1), hessian, gradient)


def _cells(law: Any, x: Float[ndarray, " K"]) -> tuple[ndarray, ndarray, ndarray]:
    """Mass, first and second moment about its point of each Voronoi cell."""
    low, high = law.support()
    return _integrals(law, np.concatenate([[low], (x[1:] + x[:-1]) / 2, [high]]).clip(low, high), x)


def _integrals(law: Any, edges: Float[ndarray, " K+1"], x: Float[ndarray, " K"]) -> tuple[ndarray, ndarray, ndarray]:
    """Integrals of 1, xi - x_i and (xi - x_i)^2 over the intervals between the edges."""
    cuts = np.sort(np.append(edges, np.clip(law.median(), edges[0], edges[-1])))
    owner = (np.searchsorted(edges, cuts[:-1], side="right") - 1).clip(0, len(x) - 1)
    a, b = cuts[:-1], cuts[1:]
    inner = np.isfinite(a) & np.isfinite(b)
    t, w = INSIDE
    half = (b - a)[inner, None] / 2
    parts = [((a + b)[inner, None] / 2 + half * t, half * w, owner[inner])]
    t, w = (OUTSIDE[0] + 1) / 2, OUTSIDE[1] / 2
    away, stretch = law.std() * t / (1 - t), law.std() * w / (1 - t) ** 2
    for at, sign in ((b[0], -1), (a[-1], 1)):
        if not np.isfinite(a[0] if sign < 0 else b[-1]):
            parts.append(((at + sign * away)[None], stretch[None], owner[:1] if sign < 0 else owner[-1:]))
    found = np.zeros((3, len(x)))
    for nodes, weights, cells in parts:
        p, off = law.pdf(nodes) * weights, nodes - x[cells, None]
        for power in range(3):
            np.add.at(found[power], cells, (p * off**power).sum(1))
    return tuple(found)
