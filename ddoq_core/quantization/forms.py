"""Three representations of the same samples; each makes Lloyd's algorithm and k-means++ fast on one kind of data.

`Direct` visits every sample in every iteration. `Gram` costs n^2 d once; after that nothing depends on d. `Line`
(line.py) sorts one-dimensional samples once; after that nothing depends on n. Each form has its own type of codebook,
which only the form reads.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from threadpoolctl import threadpool_limits
from torch import Tensor

from .voronoi import Cells, cancels_far_from_origin, cells, nearest, nearest_by_products, refilled


@runtime_checkable
class Form(Protocol):
    """Samples as Lloyd's algorithm and k-means++ see them."""

    mass: Float[Tensor, " n"]

    def place(self, points: Float[Tensor, "K d"]) -> Any:
        """A codebook of these points."""

    def choose(self, rows: list[int]) -> Any:
        """A codebook of these samples."""

    def squared_distances(self, rows: list[int] | Int[ndarray, " c"]) -> Float[Tensor, "c n"]:
        """Squared distances from these samples to all samples."""

    def sweep(self, codebook: Any) -> Any:
        """The Voronoi cells of a codebook: their `masses`, their `distortion`, and whatever `centroids` needs."""

    def centroids(self, found: Any, codebook: Any) -> Any:
        """Mean of each cell (Algorithm 2, line 4); an empty cell gets the farthest sample of the costliest cell."""

    def points(self, codebook: Any) -> Float[Tensor, "K d"]:
        """The points of a codebook."""

    def labels(self, found: Any) -> Int[Tensor, " n"]:
        """The cell of each sample."""


class Direct:
    """The samples themselves, sorted by place in few dimensions, centred in more; a codebook is its points."""

    def __init__(self, samples: Float[Tensor, "n d"], mass: Float[Tensor, " n"]) -> None:
        self.order, self.mass = np.arange(len(samples)), mass
        if not cancels_far_from_origin(samples):
            self.order = spatial_order(samples)
            samples, self.mass = (torch.from_numpy(values.numpy().take(self.order, 0)) for values in (samples, mass))
        self.centre = torch.zeros_like(samples[0])
        if cancels_far_from_origin(samples) and samples.mean(0).norm() ** 2 > samples.norm() ** 2 / len(samples) / 2:
            self.centre = samples.mean(0)
            samples = samples - self.centre
        self.samples = samples

    def place(self, points: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        return points.to(self.samples) - self.centre

    def choose(self, rows: list[int]) -> Float[Tensor, "K d"]:
        return self.samples[rows]

    def squared_distances(self, rows: list[int] | Int[ndarray, " c"]) -> Float[Tensor, "c n"]:
        X, x = self.samples, self.samples[rows]
        if not cancels_far_from_origin(X):
            return sum((X[:, t] - x[:, t, None]).square() for t in range(X.shape[1]))  # type: ignore[return-value]
        return torch.addmm(self.squares, x, X.T, alpha=-2).add_(self.squares[rows, None]).clamp_min_(0)

    @functools.cached_property
    def squares(self) -> Float[Tensor, " n"]:
        """|X|^2."""
        return self.samples.square().sum(1)

    def sweep(self, points: Float[Tensor, "K d"]) -> Cells:
        return cells(self.samples, points, nearest(self.samples, points), self.mass)

    def centroids(self, found: Cells, points: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        if (found.masses == 0).any():
            found = cells(self.samples, points, refilled(found.masses, found.labels, found.cost), self.mass)
        full = found.masses[:, None] > 0
        return torch.where(full, found.sums / found.masses[:, None], points.double()).to(points.dtype)  # type: ignore[arg-type]

    def points(self, points: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
        return points + self.centre

    def labels(self, found: Cells) -> Int[Tensor, " n"]:
        labels = np.empty(len(self.order), np.int64)
        labels[self.order] = found.labels.cpu().numpy()
        return torch.from_numpy(labels).to(found.labels.device)


def spatial_order(samples: Float[Tensor, "n d"]) -> Int[ndarray, " n"]:
    """Rows ordered so that neighbours are close together: along a Z-curve through a grid (Morton 1966)."""
    X, d = samples.numpy(), samples.shape[1]
    key, bits = np.zeros(len(X), np.uint16), 16 // d
    for t, column in enumerate(X.T):
        low, high = np.quantile(column[:: 1 + len(X) // 1000], (0.01, 0.99))
        per_unit = 2**bits / (high - low) if high > low else 0
        cell = ((column - low) * per_unit).clip(0, 2**bits - 1).astype(np.uint16)
        for bit in range(bits):
            key |= (cell >> bit & 1) << bit * d + t
    return key.argsort(kind="stable")


@dataclass(frozen=True)
class Barycentres:
    """A codebook in the span of the samples, as the Gram form holds it."""

    inner: Float[Tensor, "K n"]  # x_k . X_i, both relative to the mean of the samples
    squares: Float[Tensor, " K"]  # |x_k|^2
    points: Callable[[], Float[Tensor, "K d"]]  # computed on demand, in d dimensions


class Gram:
    """All inner products of the centred samples: for fewer samples than dimensions, and for many starts."""

    def __init__(self, samples: Float[Tensor, "n d"], mass: Float[Tensor, " n"]) -> None:
        self.samples, self.mass = samples, mass
        self.centre = samples.mean(0)
        self.inner = _inner_products(samples - self.centre)
        self.squares = self.inner.diagonal().clone()
        self.weighted = self.inner if (mass == 1).all() else self.inner * mass.to(samples)[:, None]

    def place(self, points: Float[Tensor, "K d"]) -> Barycentres:
        x = points.to(self.samples) - self.centre
        inner = x @ self.samples.T - (x @ self.centre)[:, None]
        return Barycentres(inner, x.square().sum(1), lambda: points.to(self.samples))

    def choose(self, rows: list[int]) -> Barycentres:
        return Barycentres(self.inner[rows], self.squares[rows], lambda: self.samples[rows])

    def squared_distances(self, rows: list[int] | Int[ndarray, " c"]) -> Float[Tensor, "c n"]:
        return self.inner[rows].mul_(-2).add_(self.squares).add_(self.squares[rows, None]).clamp_min_(0)

    def sweep(self, codebook: Barycentres) -> Cells:
        inner, squares = codebook.inner, codebook.squares
        labels = nearest_by_products(squares / 2, inner)
        cost = (self.squares - 2 * inner.gather(0, labels[None])[0] + squares[labels]).clamp_min_(0).double()
        masses = self.mass.new_zeros(len(squares)).index_add_(0, labels, self.mass)
        return Cells(masses, None, labels, cost, (cost @ self.mass / self.mass.sum()).item())

    def centroids(self, found: Cells, codebook: Barycentres) -> Barycentres:
        labels = refilled(found.masses, found.labels, found.cost)
        masses = torch.zeros_like(found.masses).index_add_(0, labels, self.mass).to(self.samples)
        inner = torch.zeros_like(codebook.inner).index_add_(0, labels, self.weighted)
        inner /= masses[:, None]
        inner[masses == 0] = self.inner[0]  # fewer distinct samples than points: any sample works
        own = inner.gather(0, labels[None])[0] * self.mass.to(inner)  # x_k . X_i for the k of each sample
        squares = torch.zeros_like(codebook.squares).index_add_(0, labels, own) / masses
        squares[masses == 0] = self.squares[0]
        return Barycentres(inner, squares, lambda: self._means(labels, len(squares)))

    def points(self, codebook: Barycentres) -> Float[Tensor, "K d"]:
        return codebook.points()

    def labels(self, found: Cells) -> Int[Tensor, " n"]:
        return found.labels

    def _means(self, labels: Int[Tensor, " n"], K: int) -> Float[Tensor, "K d"]:
        first = self.samples[:1].expand(K, -1).contiguous()
        found = cells(self.samples, first, labels, self.mass)
        means = torch.where(found.masses[:, None] > 0, found.sums / found.masses[:, None], first.double())  # type: ignore[arg-type]
        return means.to(self.samples.dtype)


def _inner_products(X: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """X X^T; NumPy recognises the symmetry and computes half of it."""
    if X.device.type != "cpu":
        return X @ X.T
    with threadpool_limits(torch.get_num_threads(), "blas"):
        return torch.from_numpy(X.numpy() @ X.numpy().T)
