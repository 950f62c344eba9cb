"""Quantizers of laws on a line, exact up to rounding: the ground truth for samples and algorithms.

A law is a distribution of `scipy.stats` with a density and no free parameters. Cell masses and moments are integrals by
Gauss-Legendre quadrature, and none is a difference of large numbers. The first attempt assumes that the density is
smooth except for a kink at its median; if the law's mean and variance contradict the result, the law is cut finely.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import LinAlgError, solve_banded

from .laws import NODES, WEIGHTS, StandardLaw, standard_law
from .line import Line
from .voronoi import at_least

LOG_CONCAVE = {
    "expon", "gumbel_l", "gumbel_r", "halfnorm", "hypsecant", "laplace", "logistic", "maxwell", "norm", "rayleigh",
    "semicircular", "uniform",
}  # fmt: skip
SHARES = 1000  # number of shares of a law that is not known to be log-concave; at least 20 for each point
OUTSIDE = np.polynomial.legendre.leggauss(200)  # nodes and weights for a tail


@dataclass(frozen=True)
class ExactQuantizer:
    """K points and weights of a law, and their distortion."""

    points: Float[ndarray, "K ..."]  # on a line (K,), increasing; otherwise (K, d)
    weights: Float[ndarray, " K"]
    distortion: float  # W_2^2 to the law; of `power_quantizer`, W_r^r
    optimal: bool  # proved optimal; otherwise the best that was found


def exact_quantizer(
    law: Any, K: int, *, log_concave: bool | None = None, tol: float = 1e-13, max_iter: int = 500
) -> ExactQuantizer:
    """Optimal quantizer of a law: grad G = 0 (eq. 13) by Newton's method, with Lloyd's where Newton's does not help.

    If the density is log-concave, the stationary grid is unique and so optimal (Graf and Luschgy 2000, Theorem 5.1).
    Otherwise the result is the better stationary grid from two starts, with `optimal` False. The starts are points with
    the asymptotically optimal density, and the exact optimum of the law cut into many shares.

    The field calls this the Newton-Raphson method. Lloyd's step is that of mean-field CLVQ,
    x_i - gamma_i (x_i - centroid) w_i with gamma_i = 1 / w_i.

    Args:
        law: for example `scipy.stats.norm()`, or a `densities.DensityLaw` of your own density.
        log_concave: whether its density is log-concave; None looks it up in the list LOG_CONCAVE.
        tol: largest entry of |grad G| at the end, in standard deviations.
    Raises:
        InputError: K < 1, or a law that `standard_law` refuses.
        ArithmeticError: no convergence in `max_iter` steps, or a result whose weights, mean or variance differ from
            those of the law; the message says which.
    """
    at_least(1, K=K)
    proved = standard_law(law).name in LOG_CONCAVE if log_concave is None else log_concave

    def solved(law: StandardLaw) -> tuple | str:
        at_mean = np.array([law.mean])
        failed = law.wrong(at_mean, *_cells(law, at_mean))
        if failed:
            return failed
        starts = (companding_points,) if proved else (companding_points, points_of_shares)
        starts = (points_of_shares,) if law.is_finely_cut else starts  # a companding one is too far out in heavy tails
        grids = [_stationary(law, start(law, K), tol, max_iter) for start in starts]
        grids = [x for x in grids if x is not None]
        if not grids:
            return f"no stationary grid in {max_iter} steps"
        x = min(grids, key=lambda x: _cells(law, x)[2].sum())  # type: ignore[arg-type]
        mass, _, second = _cells(law, x)  # type: ignore[arg-type]
        return x, mass, np.zeros_like(x), second

    return _quantizer(law, K, solved, proved)


def uniform_quantizer(law: Any, K: int) -> ExactQuantizer:
    """The measure of K equal masses closest to a law in W_2: each point is the mean of its share of the quantiles.

    Raises:
        InputError, ArithmeticError: as `exact_quantizer`.
    """
    at_least(1, K=K)

    def shared(law: StandardLaw) -> tuple:
        edges = law.ppf(np.arange(K + 1) / K)
        middle = law.ppf((np.arange(K) + 0.5) / K)
        mass, moment, _ = _integrals(law, edges, middle)
        x = middle + moment / mass
        return x, np.full(K, 1 / K), np.zeros_like(x), _integrals(law, edges, x)[2]

    return _quantizer(law, K, shared, True)


def exact_cells(law: Any, x: Float[ndarray, " K"]) -> tuple[ndarray, ndarray, ndarray]:
    """Mass, first and second moment about its point of each Voronoi cell of increasing points x, each (K,).

    Raises:
        InputError, ArithmeticError: as `exact_quantizer`.
    """
    standard = standard_law(law)
    y = (x - standard.shift) / standard.scale
    _, mass, moment, second = certified(law, len(x), lambda form: (y, *_cells(form, y)))
    return mass, moment * standard.scale, second * standard.scale * standard.scale


def exact_distortion(law: Any, x: Float[ndarray, " K"]) -> float:
    """G(x) = E min_i |X - x_i|^2 for increasing points x; errors as `exact_quantizer`."""
    return float(exact_cells(law, x)[2].sum())


def exact_centroids(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Centroid of each Voronoi cell: one exact step of Lloyd's algorithm (Algorithm 2)."""
    mass, moment, _ = exact_cells(law, x)
    return x + np.divide(moment, mass, out=np.zeros_like(x), where=mass > 0)


def exact_gradient(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Gradient of the distortion (Proposition 6, eq. 13): 2 int_{C_i} (x_i - xi) mu(d xi)."""
    return -2 * exact_cells(law, x)[1]


def finite_differences(law: Any, x: Float[ndarray, " K"], h: float = 1e-5) -> Float[ndarray, " K"]:
    """Gradient of the distortion by central differences of step h; an independent check of Proposition 6."""
    steps = h * np.eye(len(x))
    return np.array([(exact_distortion(law, x + e) - exact_distortion(law, x - e)) / (2 * h) for e in steps])


def certified(law: Any, K: int, compute: Callable[[StandardLaw], tuple | str]) -> tuple:
    """What `compute` returns, a tuple that begins with the arguments of `StandardLaw.wrong`: first on the law as it is,
    and if that is wrong, on the law cut finely."""
    standard = standard_law(law)
    for finely in (False, True):
        form = standard.finely_cut if finely else standard
        found = compute(form)
        failed = found if isinstance(found, str) else form.wrong(*found[:4])
        if not failed:
            return found  # type: ignore[return-value]
    raise ArithmeticError(f"{standard.name}, K = {K}: {failed}")


def _quantizer(law: Any, K: int, compute: Callable[[StandardLaw], tuple | str], optimal: bool) -> ExactQuantizer:
    x, mass, _, second = certified(law, K, compute)
    standard = standard_law(law)
    G = float(second.sum()) * standard.scale * standard.scale
    return ExactQuantizer(standard.shift + standard.scale * x, mass, G, optimal)


def companding_points(law: StandardLaw, K: int, r: float = 2.0) -> Float[ndarray, " K"]:
    """K points with density p^(1/(1+r)), optimal as K grows; p comes from the quantiles, or from the fine cuts."""
    u = np.linspace(0, 1, 20 * K + 201)[1:-1]
    x, mass = (law.cuts, law.moments(law.cuts[:-1], law.cuts[1:])[0]) if law.is_finely_cut else (law.ppf(u), np.diff(u))
    shares = np.concatenate([[0], np.cumsum(mass ** (1 / (1 + r)) * np.diff(x) ** (r / (1 + r)))])  # p^(1/(1+r)) dx
    return np.interp((np.arange(K) + 0.5) / K * shares[-1], shares, x)


def points_of_shares(law: StandardLaw, K: int) -> Float[ndarray, " K"]:
    """The best K points for the law cut into shares, each at its mean: optimal up to the width of a share."""
    nodes = companding_points(law, max(SHARES, 20 * K))
    mass, moment, _ = _cells(law, nodes)
    kept = mass > 0
    shares = Line(torch.from_numpy(nodes[kept] + moment[kept] / mass[kept])[:, None], torch.from_numpy(mass[kept]))
    return shares.optimum(K) + shares.centre


def _stationary(law: StandardLaw, x: Float[ndarray, " K"], tol: float, max_iter: int) -> Float[ndarray, " K"] | None:
    """A grid with grad G = 0: a Newton step where it lowers the gradient, a step of Lloyd's algorithm elsewhere.

    None without convergence in `max_iter` steps.
    """
    found = _cells(law, x)
    for _ in range(max_iter):
        if _slope(law, found) <= tol:
            return _polished(law, x)
        mass, moment, _ = found
        new = _newton(law, x, -2 * moment)
        at_new = None if new is None else _cells(law, new)
        if at_new is None or not _slope(law, at_new) < _slope(law, found):
            new = x + np.divide(moment, mass, out=np.zeros_like(x), where=mass > 0)
            at_new = _cells(law, new)
        x, found = new, at_new
    return None


def _slope(law: StandardLaw, found: tuple[ndarray, ...]) -> float:
    """Largest entry of |grad G| in standard deviations of the law. With heavy tails, a ten-thousandth of the largest
    entry in standard deviations of the cells, times their mass.
    """
    mass, moment, second = found
    unit = 1e4 * np.sqrt(mass * second) if law.is_finely_cut else law.std
    return float(np.abs(2 * moment / unit).max())


def _polished(law: StandardLaw, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """Two more steps: where the distortion is flat, the gradient converges before the points do.

    A symmetric law gets a symmetric grid: with a cell boundary on a kink, shifting all points costs only second order.
    """
    u, middle, near = np.linspace(0.01, 0.49, 25), law.median, 1e-6 * law.std
    symmetric = np.abs(law.ppf(u) + law.ppf(1 - u) - 2 * middle).max() < 1e-9 * law.std
    for _ in range(2):
        new = _newton(law, x, -2 * _cells(law, x)[1])
        if new is not None and np.abs(new - x).max() < near:
            x = new
        even = middle + (x - x[::-1]) / 2
        if symmetric and np.abs(even - x).max() < near:
            x = even
    return x


def _newton(law: StandardLaw, x: Float[ndarray, " K"], gradient: Float[ndarray, " K"]) -> Float[ndarray, " K"] | None:
    """The points after a Newton step; None if it would change their order."""
    try:
        new = newton_step(law, x, gradient, _cells(law, x)[0])
    except (LinAlgError, ValueError):  # a flat distortion; an infinite density at an edge
        return None
    return new if (np.diff(new) > 0).all() and np.isfinite(new).all() else None


def newton_step(
    law: Any, x: Float[ndarray, " K"], gradient: Float[ndarray, " K"], mass: Float[ndarray, " K"]
) -> Float[ndarray, " K"]:
    """The points after a Newton step; the Hessian of G is tridiagonal, as only neighbours share a boundary."""
    flux = np.diff(x) / 2 * law.pdf((x[1:] + x[:-1]) / 2)  # gain of a cell when its boundary moves, times the lever
    hessian = np.zeros((3, len(x)))
    hessian[1] = 2 * mass
    hessian[1, 1:] -= flux
    hessian[1, :-1] -= flux
    hessian[0, 1:] = hessian[2, :-1] = -flux
    return x - solve_banded((1, 1), hessian, gradient)


def _cells(law: StandardLaw, x: Float[ndarray, " K"]) -> tuple[ndarray, ...]:
    """Mass, first and second moment about its point of each Voronoi cell."""
    low, high = law.support
    return _integrals(law, np.concatenate([[low], (x[1:] + x[:-1]) / 2, [high]]).clip(low, high), x)


def _integrals(law: StandardLaw, edges: Float[ndarray, " edges"], x: Float[ndarray, " edges-1"]) -> tuple[ndarray, ...]:
    """Integrals of 1, xi - x_i and (xi - x_i)^2 over the intervals between the edges."""
    inside = law.cuts[(law.cuts > edges[0]) & (law.cuts < edges[-1])]
    cuts = np.unique(np.append(edges, inside))
    owner = (np.searchsorted(edges, cuts[:-1], side="right") - 1).clip(0, len(x) - 1)
    a, b = cuts[:-1], cuts[1:]
    inner = np.isfinite(a) & np.isfinite(b)
    if law.atoms:
        inner &= (a >= law.cuts[0]) & (b <= law.cuts[-1])
    t, w = NODES, WEIGHTS
    half = (b - a)[inner, None] / 2
    parts = [((a + b)[inner, None] / 2 + half * t, half * w, owner[inner])]
    t, w = (OUTSIDE[0] + 1) / 2, OUTSIDE[1] / 2
    away, stretch = law.std * t / (1 - t), law.std * w / (1 - t) ** 2
    for at, sign in ((b[0], -1), (a[-1], 1)):
        if not np.isfinite(a[0] if sign < 0 else b[-1]):
            parts.append(((at + sign * away)[None], stretch[None], owner[:1] if sign < 0 else owner[-1:]))
    found = np.zeros((3, len(x)))
    for nodes, weights, cells in parts:
        p, off = law.pdf(nodes) * weights, nodes - x[cells, None]
        for power in range(3):
            np.add.at(found[power], cells, (p * off**power).sum(1))
    for end, mass in law.atoms:
        k = (np.searchsorted(edges, end, side="right") - 1).clip(0, len(x) - 1)
        found[:, k] += mass * (end - x[k]) ** np.arange(3)
    return tuple(found)
