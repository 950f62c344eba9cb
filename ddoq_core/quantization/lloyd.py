"""Lloyd's algorithm (Algorithm 2), and the best of several starts of it."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .seeding import kmeans_plus_plus
from .voronoi import Iterate, Quantizer, assign, check_samples, quantize, residuals


def lloyd(
    samples: Float[Tensor, "n d"],
    codebook: Float[Tensor, "K d"],
    *,
    max_iter: int = 300,
    tol: float = 1e-6,
    callback: Callable[[Iterate], None] | None = None,
) -> Quantizer:
    """Lloyd's algorithm (Algorithm 2): move every point to the centroid of its Voronoi cell until none moves.

    The distortion G(x) = E min_i |X - x_i|^2 never increases (Graf and Luschgy 2000, Lemma 4.10).
    An empty cell is refilled by splitting the one that costs most; cells stay empty only when there are
    fewer distinct samples than points.

    Args:
        samples: n points X ~ mu, finite.
        codebook: the K starting points; not modified.
        max_iter: at most this many moves.
        tol: stop when the distortion falls by no more than this fraction and no cell is empty.
        callback: called with every iterate, the start first.
    Returns:
        Quantizer with points (K, d), counts (K,) summing to n, distortion (mean squared distance), history.
    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    check_samples(samples, len(codebook))
    points, new, history = codebook, codebook, []
    for step in range(max_iter + 1):
        labels = assign(samples, new)
        cost = residuals(samples, new, labels)
        G = cost.mean().item()
        if history and history[-1] <= G:  # nothing gained, or rounding: the last points stand
            break
        points = new
        history.append(G)
        if callback is not None:
            callback(Iterate(step, points, G))
        full = torch.bincount(labels, minlength=len(points)) > 0
        if len(history) > 1 and full.all() and history[-2] - G <= tol * history[-2]:
            break
        new = split_costliest(samples, centroids(samples, labels, points), labels, cost, full)
    return quantize(samples, points, tuple(history))


def best_of_restarts(
    samples: Float[Tensor, "n d"], K: int, *, n_restarts: int, rng: np.random.Generator, max_iter: int = 300
) -> Quantizer:
    """The lowest distortion among `n_restarts` runs of Lloyd's algorithm, each from its own k-means++ start.

    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    runs = (lloyd(samples, kmeans_plus_plus(samples, K, rng), max_iter=max_iter) for _ in range(n_restarts))
    return min(runs, key=lambda quantizer: quantizer.distortion)


def centroids(
    samples: Float[Tensor, "n d"], labels: Int[Tensor, " n"], points: Float[Tensor, "K d"]
) -> Float[Tensor, "K d"]:
    """Mean of each cell (Algorithm 2, line 4), summed in float64; a point whose cell is empty stays."""
    sums = torch.zeros(points.shape, dtype=torch.float64, device=samples.device)
    sums.index_add_(0, labels, samples.double())
    counts = torch.bincount(labels, minlength=len(points))[:, None]
    return torch.where(counts > 0, sums / counts.clamp_min(1), points.double()).to(samples.dtype)


def split_costliest(
    samples: Float[Tensor, "n d"],
    points: Float[Tensor, "K d"],
    labels: Int[Tensor, " n"],
    cost: Float[Tensor, " n"],
    full: Tensor,
) -> Float[Tensor, "K d"]:
    """Move each point of an empty cell to the farthest sample of the cell that holds most of the distortion."""
    for empty in (~full).nonzero()[:, 0]:
        share = torch.zeros(len(points), dtype=cost.dtype, device=cost.device).index_add_(0, labels, cost)
        farthest = torch.where(labels == share.argmax(), cost, -1.0).argmax()
        points[empty] = samples[farthest]
        cost = torch.minimum(cost, (samples - samples[farthest]).square().sum(1, dtype=cost.dtype))
    return points
