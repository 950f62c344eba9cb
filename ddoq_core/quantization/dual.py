"""Dual quantization: a sample goes to a random corner of its Delaunay simplex and keeps its mean.

X in the hull of the points has barycentric coordinates l_i(X) and goes to x_i with probability l_i(X). Then
E[X^ | X] = X for any points (Pagès and Wilbertz 2012), so every grid is stationary. For convex f the rule
sum_i w_i f(x_i), w_i = E l_i(X), is at least E f(X), while that of a stationary Voronoi quantizer is at most E f(X).
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.spatial import Delaunay, QhullError

from ..errors import InputError
from .exact import ExactQuantizer

INSIDE = 1e-9  # a barycentric coordinate from minus this on counts as none: samples on the border of the hull


def dual_quantizer(points: ndarray, samples: ndarray) -> ExactQuantizer:
    """The dual weights of points for a sample, and the cost E sum_i l_i(X) |X - x_i|^2.

    Args:
        points: (K, d), at least d + 1 points, d at most 3, not all in one plane.
        samples: (n, d), in the hull of the points.
    Raises:
        InputError: more than 3 dimensions, a value that is not finite, points in one plane, a sample outside the hull.
    """
    d = points.shape[1]
    if d > 3:
        raise InputError(f"points have {d} dimensions, but simplices are few only up to 3; project the points")
    if not len(samples) or samples.shape[1] != d:
        raise InputError(f"samples are {samples.shape}, but points {points.shape}; give both the same dimension")
    if not (np.isfinite(points).all() and np.isfinite(samples).all()):
        raise InputError("points or samples are NaN or infinite; remove these rows")
    corners, shares = _on_line(points, samples) if d == 1 else _in_simplices(points, samples)
    outside = (shares < -INSIDE).any(1) | (corners < 0).any(1)
    if outside.any():
        n, first = outside.sum(), samples[outside.argmax()]
        raise InputError(f"{n} of {len(samples)} samples are outside the hull of the points, first {first}; add points")
    weights = np.bincount(corners.ravel(), shares.ravel(), len(points)) / len(samples)
    squared = ((points[corners] - samples[:, None]) ** 2).sum(-1)
    return ExactQuantizer(points, weights, float((shares * squared).sum(1).mean()), False)


def _in_simplices(
    points: Float[ndarray, "K d"], samples: Float[ndarray, "n d"]
) -> tuple[Int[ndarray, "n corners"], Float[ndarray, "n corners"]]:
    """Corners of the simplex of each sample, -1 if it has none, and its barycentric coordinates there."""
    try:
        mesh = Delaunay(points)
    except (QhullError, ValueError):
        raise _flat(points) from None
    which = mesh.find_simplex(samples, tol=INSIDE)
    frame = mesh.transform[which]
    first = np.einsum("nij,nj->ni", frame[:, :-1], samples - frame[:, -1])
    shares = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1)
    return np.where(which[:, None] < 0, -1, mesh.simplices[which]), shares


def _on_line(
    points: Float[ndarray, "K 1"], samples: Float[ndarray, "n 1"]
) -> tuple[Int[ndarray, "n 2"], Float[ndarray, "n 2"]]:
    """The two neighbours of each sample, and its barycentric coordinates."""
    order = np.unique(points[:, 0], return_index=True)[1]  # of points in one place the first
    if len(order) < 2:
        raise _flat(points)
    x, X = points[order, 0], samples[:, 0]
    right = np.searchsorted(x, X).clip(1, len(x) - 1)
    share = (X - x[right - 1]) / (x[right] - x[right - 1])
    return order[np.stack([right - 1, right], 1)], np.stack([1 - share, share], 1)


def _flat(points: Float[ndarray, "K d"]) -> InputError:
    K, d = points.shape
    return InputError(
        f"{K} points span no simplex in {d} dimensions; give {d + 1} or more that are not all in one plane"
    )
