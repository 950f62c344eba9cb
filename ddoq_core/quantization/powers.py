"""Powers other than the square: points that minimise E min_i |X - x_i|^r, exactly on a line, by Lloyd's method in R^d.

The best point of a cell is its mean for r = 2 and its median for r = 1. As K grows, points have density p^(d/(d+r)) and
cells the masses p^(r/(d+r)) (Graf and Luschgy 2000, Theorem 7.5; for the masses see chapter 11).
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import LinAlgError, solve_banded
from torch import Tensor

from ..errors import InputError
from .exact import LOG_CONCAVE, OUTSIDE, ExactQuantizer, certified, companding_points, points_of_shares
from .laws import StandardLaw, standard_law
from .voronoi import Quantizer, at_least, cells, nearest, on_one_scale, quantizer_of, scaled_back

INSIDE = np.polynomial.legendre.leggauss(40)  # nodes and weights for a piece between a point and the end of its cell
STEP = 1e-5  # of difference quotients, in distances between points


def power_quantizer(law: Any, K: int, r: float, *, tol: float = 1e-11, max_iter: int = 200) -> ExactQuantizer:
    """The best K points of a law on a line for E min_i |X - x_i|^r, by Newton's method on its gradient.

    A log-concave density has one stationary grid (Graf and Luschgy 2000, Theorem 5.1); for other laws the better of
    the grids found from the density p^(1/(1+r)) and from the best points for the square has `optimal` False.

    Args:
        law: as in `exact_quantizer`.
        r: at least 1, with E |X|^r finite; 2 gives the points of `exact_quantizer`, 1 the medians of their cells.
        tol: largest entry of the gradient at the end, over r and in standard deviations of the law.
    Raises:
        InputError: K < 1, r < 1 (|x|^r is not convex), or a law that `standard_law` refuses.
        ArithmeticError: no convergence, or cells whose mass, mean or variance differ from those of the law.
    """
    at_least(1, K=K)
    _check(r)

    standard = standard_law(law)
    proved = standard.name in LOG_CONCAVE

    def solved(form: StandardLaw) -> tuple | str:
        starts = [companding_points(form, K, r), *([] if proved else [points_of_shares(form, K)])]
        with np.errstate(over="ignore", invalid="ignore"):  # where E |X|^r is infinite
            grids = [x for x in (_stationary(form, x, r, tol, max_iter) for x in starts) if x is not None]
        if not grids:
            return f"no stationary grid for r = {r:g} in {max_iter} steps; E |X|^r must be finite"
        return min(((x, *_cells(form, x, r)) for x in grids), key=lambda found: found[-1].sum())

    x, mass, _, _, _, cost = certified(law, K, solved)
    total = float(cost.sum()) * standard.scale**r
    return ExactQuantizer(standard.shift + standard.scale * x, mass, total, proved)


def power_cells(
    law: Any, x: Float[ndarray, " K"], r: float
) -> tuple[Float[ndarray, " K"], Float[ndarray, " K"], Float[ndarray, " K"]]:
    """Mass, gradient r E sign(x_i - X) |X - x_i|^(r-1) and cost E |X - x_i|^r of the cells of increasing points.

    Raises the errors of `power_quantizer`.
    """
    _check(r)
    standard = standard_law(law)
    y = (x - standard.shift) / standard.scale
    _, mass, _, _, slope, cost = certified(law, len(x), lambda form: (y, *_cells(form, y, r)))
    return mass, r * slope * standard.scale ** (r - 1), cost * standard.scale**r


def power_lloyd(samples: Tensor, codebook: Tensor, r: float, *, max_iter: int = 300, tol: float = 1e-6) -> Quantizer:
    """Lloyd's algorithm for the power r: cells of nearest points, then a step of each point to the centre of its cell.

    The step goes to the mean with weights |X - x_i|^(r-2) (Weiszfeld's for r = 1, Lloyd's for r = 2), shortened by
    r - 1 if r > 2. A sample at its point has weight 0; otherwise no point could leave the sample that it starts from.

    Args:
        samples, codebook, max_iter, tol: as in `lloyd`; a cell that loses all its samples keeps its point.
        r: at least 1.
    Returns:
        Quantizer whose `distortion` and `history` are E min_i |X - x_i|^r.
    Raises:
        InputError: r < 1, or as `lloyd`.
    """
    _check(r)
    at_least(0, max_iter=max_iter)
    samples, x, exponent = on_one_scale(samples, codebook, start=True)
    centre = samples.mean(0)
    X, x, history = samples - centre, x - centre, []
    for _ in range(max_iter + 1):
        labels = nearest(X, x)
        squared = cells(X, x, labels).cost
        cost = (squared ** (r / 2)).mean().item()
        if history and history[-1] - cost <= tol * cost:
            break
        history.append(cost)
        best, cell = x, labels
        weights = torch.where(squared > 0, squared, torch.inf if r < 2 else 0.0) ** (r / 2 - 1)
        found = cells(X, x, labels, weights)
        means = torch.where(found.masses[:, None] > 0, found.sums / found.masses[:, None], x.double())  # type: ignore[arg-type]
        x = x + (means.to(x) - x) / max(1.0, r - 1)
    found = scaled_back(quantizer_of(samples, best + centre, cell), exponent)
    unit = 2.0 ** (exponent * r)
    values = {"distortion": history[-1] * unit, "history": tuple(c * unit for c in history)}
    return Quantizer(**(vars(found) | values))


def _check(r: float) -> None:
    if not 1 <= r < np.inf:
        raise InputError(f"r = {r}, but |x|^r is convex only for r >= 1; give r >= 1")


def _stationary(
    law: StandardLaw, x: Float[ndarray, " K"], r: float, tol: float, max_iter: int
) -> Float[ndarray, " K"] | None:
    """A grid with a gradient of 0; None if it is not there in `max_iter` steps, or no step lowers the gradient."""
    for _ in range(max_iter):
        slope = _cells(law, x, r)[3]
        if np.abs(slope).max() <= tol * law.std ** (r - 1):
            return x
        x = _damped(law, x, slope, r)
        if x is None:
            break
    return None


def _damped(
    law: StandardLaw, x: Float[ndarray, " K"], slope: Float[ndarray, " K"], r: float
) -> Float[ndarray, " K"] | None:
    """A Newton step, halved until the points keep their order and the gradient falls; None after 30 halvings.

    The Jacobian is tridiagonal, so three difference quotients give all of it.
    """
    gap = STEP * np.minimum(np.diff(x, prepend=x[0] - law.std), np.diff(x, append=x[-1] + law.std))
    bands = np.zeros((3, len(x)))
    for colour in range(3):
        h = np.where(np.arange(len(x)) % 3 == colour, gap, 0)
        change = (_cells(law, x + h, r)[3] - _cells(law, x - h, r)[3]) / 2
        for k in np.nonzero(h)[0]:
            for row, i in enumerate((k - 1, k, k + 1)):
                if 0 <= i < len(x):
                    bands[row, k] = change[i] / h[k]
    try:
        step = solve_banded((1, 1), bands, slope)
    except LinAlgError:
        step = slope
    for _ in range(30):
        new = x - step
        if (np.diff(new) > 0).all() and np.abs(_cells(law, new, r)[3]).max() < np.abs(slope).max():
            return new
        step = step / 2
    return None


def _cells(law: StandardLaw, x: Float[ndarray, " K"], r: float) -> tuple[ndarray, ...]:
    """Mass, first and second moment, E sign(x_i - X) |X - x_i|^(r-1) and E |X - x_i|^r of each cell, about its point.

    Nodes between a point and the end of its cell are squared, so that no power of the distance is rough at the point.
    """
    low, high = law.support
    edges = np.concatenate([[low], (x[1:] + x[:-1]) / 2, [high]]).clip(low, high)
    inside = np.concatenate([law.cuts, x])
    cuts = np.unique(np.append(edges, inside[(inside > low) & (inside < high)]))
    if law.atoms:
        cuts = cuts[(cuts >= law.cuts[0]) & (cuts <= law.cuts[-1])]
    a, b = cuts[:-1], cuts[1:]
    owner = (np.searchsorted(edges, a, side="right") - 1).clip(0, len(x) - 1)
    near = np.where(np.abs(a - x[owner]) <= np.abs(b - x[owner]), a, b)
    far, finite = a + b - near, np.isfinite(a) & np.isfinite(b)
    found = np.zeros((5, len(x)))
    for kind, (nodes, weights) in ((finite, INSIDE), (~finite, OUTSIDE)):
        t, w = (nodes + 1) / 2, weights / 2
        if kind is finite:
            xi = near[kind, None] + (far - near)[kind, None] * t**2
            w = np.abs(far - near)[kind, None] * 2 * t * w
        else:
            side = np.where(np.isposinf(b[kind]), 1.0, -1.0)[:, None]
            xi = np.where(side > 0, a[kind, None], b[kind, None]) + side * law.std * t**2 / (1 - t)
            w = law.std * (2 * t - t**2) / (1 - t) ** 2 * w
        off, p = xi - x[owner[kind], None], law.pdf(xi) * w
        _add(found, owner[kind], off, p, r)
    for end, mass in law.atoms:
        k = (np.searchsorted(edges, [end], side="right") - 1).clip(0, len(x) - 1)
        _add(found, k, end - x[k][:, None], np.array([[mass]]), r)
    return tuple(found)


def _add(found: Float[ndarray, "5 K"], owner: ndarray, off: ndarray, p: ndarray, r: float) -> None:
    """Add masses p at distances `off` from the points of their cells; each row belongs to one cell."""
    away = np.where(p > 0, np.abs(off), 0.0)  # far out, where there is no mass, a power may leave the range
    off = np.copysign(away, off)
    values = (np.ones_like(off), off, off**2, -np.sign(off) * away ** (r - 1), away**r)
    for row, value in zip(found, values, strict=True):
        np.add.at(row, owner, (p * value).sum(1))
