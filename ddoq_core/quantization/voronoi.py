"""Voronoi cells and the quadratic distortion of a codebook (Definition 1, eq. 6-7).

In: samples X ~ mu, a codebook of K points. Out: the cell of each sample, the mean squared distance, or both with
the exact cell counts, as a `Quantizer`. Every algorithm of this package ends in `quantize`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError

CHUNK = 2**24  # distances held at once: 64 MiB in float32


@dataclass(frozen=True)
class Quantizer:
    """A quantization nu = sum_i w_i delta(x_i) of n samples, its weights those of Proposition 2."""

    points: Float[Tensor, "K d"]
    counts: Int[Tensor, " K"]  # samples per Voronoi cell; they sum to n
    distortion: float  # G(x): mean squared distance of a sample to its point
    history: tuple[float, ...]  # distortion along the algorithm, start first

    @property
    def weights(self) -> Float[Tensor, " K"]:
        """Cell masses counts / n: the weights that minimise W_2 on these points (Proposition 2)."""
        return self.counts.double() / self.counts.sum()


@dataclass(frozen=True)
class Iterate:
    """One moment of an algorithm, handed to its callback. `points` moves on: clone it to keep it."""

    step: int
    points: Float[Tensor, "K d"]
    distortion: float


def squared_distances(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"]) -> Float[Tensor, "n K"]:
    """|X - x_i|^2 through one matrix product.

    Both are moved to the points' mean first: |X|^2 - 2 X.x + |x|^2 would cancel in float32 far from the origin.
    """
    centre = points.mean(0)
    X, x = samples - centre, points - centre
    return torch.addmm((x * x).sum(1), X, x.T, alpha=-2).add_((X * X).sum(1, keepdim=True)).clamp_min_(0)


def assign(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"]) -> Int[Tensor, " n"]:
    """Voronoi cell of each sample (eq. 6): index of the nearest point; on a boundary, of one of them."""
    return torch.cat([squared_distances(part, points).argmin(1) for part in _chunks(samples, len(points))])


def residuals(
    samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"], labels: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """|X - x_label|^2 of each sample by direct subtraction, summed in float64."""
    parts = zip(_chunks(samples, samples.shape[1]), _chunks(labels, samples.shape[1]), strict=True)
    return torch.cat([(part - points[cell]).square().sum(1, dtype=torch.float64) for part, cell in parts])


def distortion(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"]) -> float:
    """Quadratic distortion G(x) = E min_i |X - x_i|^2 (Definition 1, eq. 7) of the empirical measure."""
    return residuals(samples, points, assign(samples, points)).mean().item()


def quantize(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"], history: tuple[float, ...] = ()) -> Quantizer:
    """The best quantization on these points (Proposition 2): one exact pass counts every Voronoi cell."""
    labels = assign(samples, points)
    counts = torch.bincount(labels, minlength=len(points))
    return Quantizer(points, counts, residuals(samples, points, labels).mean().item(), tuple(history))


def check_samples(samples: Float[Tensor, "n d"], K: int) -> None:
    """Refuse what no codebook can be fitted to.

    Raises:
        InputError: not a matrix, K < 1, K > n, or a sample that is not finite.
    """
    if samples.ndim != 2 or not samples.is_floating_point():
        raise InputError(f"samples are {tuple(samples.shape)} of {samples.dtype}; give a matrix (n, d) of floats")
    n = len(samples)
    if not 1 <= K <= n:
        raise InputError(f"K = {K}, but there are {n} samples; choose K from 1 to {n}")
    finite = torch.isfinite(samples).all(1)
    if not finite.all():
        first = (~finite).nonzero()[0].item()
        raise InputError(f"{n - int(finite.sum())} of {n} samples are NaN or infinite, first row {first}; remove them")


def _chunks(rows: Tensor, width: int) -> Iterator[Tensor]:
    return iter(rows.split(max(1, CHUNK // width)))
