"""Voronoi cells in the plane under a law with a smooth density, by quadrature: the plane's counterpart of `exact`.

A cell is a fan of triangles with their tips at its point, each integrated by a product of Gauss-Legendre rules. Guards,
points on a circle far outside the mass of the law, bound the cells that would reach infinity; they appear in no result.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize
from scipy.spatial import Voronoi

from ..errors import InputError

FAR = 9.0  # radius at which cells are cut off, in standard deviations from the mean of the law
GUARDS = 32  # points on the circle, enough for a round cut
PIECE = 2.0  # greatest length of a piece of an edge, in standard deviations
NEAR = 1.5  # standard deviations from its tip up to which a triangle uses the first of the two rules
RULES = ((14, 10), (32, 12))  # nodes from the point to the edge, and along the edge
CERTIFIED = 1e-9  # largest relative error of the mass, the mean and the variance of the law


def plane_cells(
    law: Any, x: Float[ndarray, "K 2"]
) -> tuple[Float[ndarray, " K"], Float[ndarray, "K 2"], Float[ndarray, " K"], Float[ndarray, " K"]]:
    """Mass, first moment, second moment and mean distance of each Voronoi cell, all about its point.

    Args:
        law: a normal law in the plane, such as `scipy.stats.multivariate_normal([0, 0])`, or any object with its `pdf`,
            `mean` and `cov` and a smooth density that vanishes beyond 9 standard deviations.
    Raises:
        InputError: a law that is not in the plane.
        ArithmeticError: the mass, the mean or the variance of the law is not kept.
    """
    mean, cov = np.asarray(law.mean), np.asarray(law.cov)
    if mean.shape != (2,):
        raise InputError(f"the law has the mean {mean}; give a law in the plane, such as multivariate_normal([0, 0])")
    unit = float(np.linalg.eigvalsh(cov)[-1]) ** 0.5
    owner, a, b = _triangles(x, mean, unit)
    near, found = np.linalg.norm(a - x[owner], axis=1) < NEAR * unit, np.zeros((5, len(x)))
    for kind, rule in zip((near, ~near), RULES, strict=True):
        (t, w), (s, v) = (np.polynomial.legendre.leggauss(n) for n in rule)
        t, w, s, v = (t + 1) / 2, w / 2, (s + 1) / 2, v / 2
        tip, u, e = x[owner[kind]], (a - x[owner])[kind], (b - a)[kind]
        away = t[:, None, None] * (u[:, None, None] + s[:, None] * e[:, None, None])  # (triangles, along, across, 2)
        area = np.abs(u[:, 0] * e[:, 1] - u[:, 1] * e[:, 0])[:, None, None]
        p = law.pdf(tip[:, None, None] + away) * area * (t * w)[:, None] * v
        squared = (away**2).sum(-1)
        for row, f in zip(found, (1.0, away[..., 0], away[..., 1], squared, np.sqrt(squared)), strict=True):
            np.add.at(row, owner[kind], (p * f).sum((1, 2)))
    mass, moment, second = found[0], found[1:3].T, found[3]
    _hold(x - mean, mass, moment, second, cov, unit)
    return mass, moment, second, found[4]


def plane_quantizer(law: Any, start: Float[ndarray, "K 2"]) -> Float[ndarray, "K 2"]:
    """Stationary points of the distortion of a law in the plane: L-BFGS from a start on the exact value and gradient.

    Raises the errors of `plane_cells`.
    """

    def value(flat: Float[ndarray, " n"]) -> tuple[float, Float[ndarray, " n"]]:
        _, moment, second, _ = plane_cells(law, flat.reshape(-1, 2))
        return float(second.sum()), -2 * moment.ravel()

    options = {"maxiter": 2000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-11}
    return minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(-1, 2)


def _triangles(
    x: Float[ndarray, "K 2"], mean: Float[ndarray, " 2"], unit: float
) -> tuple[ndarray, Float[ndarray, "T 2"], Float[ndarray, "T 2"]]:
    """Index of the point at the tip of each triangle, and both ends of its piece of an edge."""
    K, angle = len(x), 2 * np.pi * np.arange(GUARDS) / GUARDS
    guards = mean + 2 * FAR * unit * np.stack([np.cos(angle), np.sin(angle)], 1)
    found = Voronoi(np.concatenate([x, guards]))
    edges = np.array(found.ridge_vertices)
    sides = np.concatenate([found.ridge_points, found.ridge_points[:, ::-1]])[:, 0]
    ours = (sides < K) & (np.tile(edges, (2, 1)) >= 0).all(1)
    owner, ends = sides[ours], found.vertices[np.tile(edges, (2, 1))[ours]]
    pieces = np.ceil(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / (PIECE * unit)).astype(int).clip(1)
    which = np.repeat(np.arange(len(owner)), pieces)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first, step = ends[which, 0], (ends[:, 1] - ends[:, 0])[which] / pieces[which, None]
    return owner[which], first + nth[:, None] * step, first + (nth[:, None] + 1) * step


def _hold(
    y: Float[ndarray, "K 2"], mass: Float[ndarray, " K"], moment: Float[ndarray, "K 2"], second: Float[ndarray, " K"],
    cov: Float[ndarray, "2 2"], unit: float,
) -> None:  # fmt: skip
    """Raise ArithmeticError unless mass, mean and variance, from centred cells about y, are those of the law."""
    mean = (mass[:, None] * y + moment).sum(0) / unit
    variance = (mass * (y**2).sum(1) + 2 * (y * moment).sum(1) + second).sum() / np.trace(cov)
    for what, error in (("mass", mass.sum() - 1), ("mean", np.abs(mean).max()), ("variance", variance - 1)):
        if not abs(error) <= CERTIFIED:
            raise ArithmeticError(
                f"{len(y)} cells in the plane: the {what} of the law is missed by a share of {error:.1e}"
            )
