"""Voronoi cells and the quadratic distortion of a codebook (Definition 1, eq. 6-7).

In: samples X ~ mu and a codebook of K points; `on_one_scale` checks both. Out: the cell of each sample, the mean
squared distance, or both with the exact cell counts, as a `Quantizer`. Every algorithm of this package ends with
`quantize`.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError
from . import kernels

CHUNK = 2**20  # inner products in memory at once: 4 MiB in float32, which fits the processor's cache
ORDINARY = {torch.float32: 32, torch.float64: 128}  # squares of samples from 2^-this to 2^this stay in range
LOW = 16  # dimensions up to which a compiled loop beats a matrix product


@dataclass(frozen=True)
class Quantizer:
    """A quantization nu = sum_i w_i delta(x_i) of n samples, with the weights of Proposition 2."""

    points: Float[Tensor, "K d"]
    counts: Int[Tensor, " K"]  # samples per Voronoi cell; they sum to n
    weights: Float[Tensor, " K"]  # cell masses, counts / n for samples of equal mass: they minimise W_2 on these points
    distortion: float  # G(x): mean squared distance from a sample to its point; 0 if below the range of numbers
    history: tuple[float, ...]  # distortion at each iteration, start first


@dataclass(frozen=True)
class Iterate:
    """The state of an algorithm, passed to its callback. `points` changes afterwards; clone it to keep it."""

    step: int
    points: Float[Tensor, "K d"]
    distortion: float


@dataclass(frozen=True)
class Cells:
    """Samples divided among K points, in float64, as Lloyd's algorithm needs it."""

    masses: Float[Tensor, " K"]
    sums: Float[Tensor, "K d"] | None  # of mass times sample; the Gram form has none
    labels: Int[Tensor, " n"]
    cost: Float[Tensor, " n"]  # squared distance from a sample to the point of its cell
    distortion: float  # mean of the cost


def squared_distances(samples: Tensor, points: Tensor) -> Float[Tensor, "n K"]:
    """|X - x_i|^2 of samples (n, d) and points (K, d) through one matrix product.

    Both are first moved to the mean of the points: far from the origin |X|^2 - 2 X.x + |x|^2 would cancel in float32.
    """
    samples, points, exponent = on_one_scale(samples, points)
    centre = points.mean(0)
    X, x = samples - centre, points - centre
    squared = torch.addmm((x * x).sum(1), X, x.T, alpha=-2).add_((X * X).sum(1, keepdim=True)).clamp_min_(0)
    return shifted(squared, 2 * exponent)


def assign(samples: Tensor, points: Tensor) -> Int[Tensor, " n"]:
    """Voronoi cell of each sample (eq. 6): index of its nearest point; on a boundary, of one of the nearest.

    Args:
        samples, points: (n, d) and (K, d), finite; InputError as `on_one_scale`.
    """
    return _assigned(*on_one_scale(samples, points)[:2])


def _assigned(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"]) -> Int[Tensor, " n"]:
    if not cancels_far_from_origin(samples):
        return nearest(samples, points)
    centre = points.mean(0)
    return torch.cat([nearest(part - centre, points - centre) for part in _chunks(samples, samples.shape[1])])


def nearest(samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"]) -> Int[Tensor, " n"]:
    """`assign` for samples near the origin; far from it the matrix product would cancel in float32."""
    if samples.device.type == "cpu" and samples.shape[1] <= LOW:
        labels = torch.empty(len(samples), dtype=torch.int64)
        given, x, into = samples.numpy(), points.numpy(), labels.numpy()
        kernels.in_runs(lambda rows: kernels.nearest_in(given.shape[1])(given[rows], x, into[rows]), len(given))
        return labels
    half, inner, found = points.square().sum(1) / 2, points.new_empty(0), []
    for X in _chunks(samples, len(points)):  # into the same memory: new pages each time can take as long as the product
        torch.mm(points, X.T, out=inner.resize_(len(points), len(X)))
        found.append(nearest_by_products(half, inner))
    return torch.cat(found)


def cancels_far_from_origin(samples: Float[Tensor, "n d"]) -> bool:
    """Whether `nearest` expands squared distances, and so cancels far from the origin."""
    return samples.device.type != "cpu" or samples.shape[1] > kernels.EXACT


def nearest_by_products(half: Float[Tensor, " K"], inner: Float[Tensor, "K b"]) -> Int[Tensor, " b"]:
    """Index of the nearest point, from |x|^2 / 2 and the inner products x . X."""
    if inner.device.type != "cpu":
        return (half[:, None] - inner).argmin(0)
    labels = torch.empty(inner.shape[1], dtype=torch.int64)
    kernels.argmin_by_products(half.numpy(), inner.numpy(), labels.numpy())
    return labels


def cells(
    samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"], labels: Int[Tensor, " n"],
    mass: Float[Tensor, " n"] | None = None,
) -> Cells:  # fmt: skip
    """Masses, sums and costs of the cells given by `labels`, in float64; a `mass` of None is 1 each."""
    mass = torch.ones(len(samples), dtype=torch.float64, device=samples.device) if mass is None else mass
    if samples.device.type == "cpu":
        cost = torch.empty(len(samples), dtype=torch.float64)
        x, X, *columns = (tensor.numpy() for tensor in (points, samples, labels, mass, cost))
        runs = kernels.in_runs(lambda rows: kernels.gather(X[rows], x, *(c[rows] for c in columns)), len(X))
        masses, sums = (torch.from_numpy(sum(parts)) for parts in zip(*runs, strict=True))
        return Cells(masses, sums, labels, cost, (cost @ mass / mass.sum()).item())
    masses = torch.zeros(len(points), dtype=torch.float64, device=samples.device).index_add_(0, labels, mass)
    sums, cost = torch.zeros(points.shape, dtype=torch.float64, device=samples.device), []
    for X, l, m in zip(*(_chunks(tensor, samples.shape[1]) for tensor in (samples, labels, mass)), strict=True):
        sums.index_add_(0, l, X.double() * m[:, None])
        cost.append((X - points[l]).square().sum(1, dtype=torch.float64))  # type: ignore[attr-defined]
    cost = torch.cat(cost)  # type: ignore[arg-type]
    return Cells(masses, sums, labels, cost, (cost @ mass / mass.sum()).item())


def refilled(masses: Float[Tensor, " K"], labels: Int[Tensor, " n"], cost: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Labels that give each empty cell the farthest sample of the cell with the largest cost, if there is one."""
    for empty in (masses == 0).nonzero()[:, 0]:
        share = torch.zeros_like(masses).index_add_(0, labels, cost)
        farthest = torch.where(labels == share.argmax(), cost, -1.0).argmax()
        if cost[farthest] > 0:
            labels, cost = labels.clone(), cost.clone()
            labels[farthest], cost[farthest] = empty, 0
    return labels


def distortion(samples: Tensor, points: Tensor) -> float:
    """Quadratic distortion G(x) = E min_i |X - x_i|^2 (Definition 1, eq. 7) of the empirical measure.

    Args:
        samples, points: (n, d) and (K, d), finite; InputError as `on_one_scale`.
    """
    samples, points, exponent = on_one_scale(samples, points)
    return squares_back(cells(samples, points, _assigned(samples, points)).distortion, exponent)


def quantize(samples: Tensor, points: Tensor, history: tuple[float, ...] = ()) -> Quantizer:
    """The best quantization on these points (Proposition 2): one exact pass counts every Voronoi cell.

    Args:
        samples, points: (n, d) and (K, d), finite; InputError as `on_one_scale`.
    """
    samples, points, exponent = on_one_scale(samples, points)
    found = scaled_back(quantizer_of(samples, points, _assigned(samples, points)), exponent)
    return dataclasses.replace(found, history=tuple(history))


def quantizer_of(
    samples: Float[Tensor, "n d"], points: Float[Tensor, "K d"], labels: Int[Tensor, " n"],
    history: tuple[float, ...] = (), mass: Float[Tensor, " n"] | None = None,
) -> Quantizer:  # fmt: skip
    """The points with the masses, counts and distortion of the cells given by `labels`."""
    found = cells(samples, points, labels, mass)
    counts = torch.bincount(labels, minlength=len(points))
    return Quantizer(points, counts, found.masses / found.masses.sum(), found.distortion, tuple(history))


def on_one_scale(
    samples: Tensor, points: Tensor, *, start: bool = False
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "K d"], int]:
    """Samples and points after `checked`, with one type on one device, and an exponent e.

    Both are divided by 2^e, exactly, if squares of the samples would leave the range of their type.

    Args:
        samples, points: (n, d) and (K, d).
        start: whether the points are a codebook to start from, which may have at most n points.
    Raises:
        InputError: as `checked`; points with another dimension, or too far away for their squared distances.
    """
    samples = checked(samples, *([len(points)] if start else []))
    points = checked(points, name="points").to(samples)
    if points.shape[1] != samples.shape[1]:
        raise InputError(f"points have {points.shape[1]} dimensions, samples {samples.shape[1]}; give both the same")
    exponent = scale_exponent(samples, points)
    samples, points = shifted(samples, -exponent), shifted(points, -exponent)
    if not points.abs().max() < 2.0 ** (1.5 * ORDINARY[samples.dtype]):
        raise InputError(f"points are too far from the samples for {samples.dtype}; give points closer to them")
    return samples, points, exponent


def scaled(samples: Tensor, *levels: Any) -> tuple[Float[Tensor, "n d"], int]:
    """Samples after `checked`, divided by 2^e as in `on_one_scale`, and e."""
    samples = checked(samples, *levels)
    exponent = scale_exponent(samples)
    return shifted(samples, -exponent), exponent


def checked(samples: Tensor, *levels: Any, name: str = "samples") -> Float[Tensor, "n d"]:
    """Samples as every algorithm needs them: at least float32, without gradients.

    Raises:
        InputError: not a matrix of floats, or empty; K < 1, K > n, or a sample that is not finite.
    """
    if samples.ndim != 2 or not samples.is_floating_point():
        raise InputError(f"{name} are {tuple(samples.shape)} of {samples.dtype}; give a matrix (n, d) of floats")
    n = len(samples)
    for K in levels:
        if not (isinstance(K, Integral) and 1 <= K <= n):
            raise InputError(f"K = {K}, but there are {n} samples; choose K from 1 to {n}")
    if not samples.numel():
        raise InputError(f"{name} are {tuple(samples.shape)}, which is empty; give at least one row and one column")
    if not samples.sum().isfinite():  # one pass; the rows are searched only if something is wrong
        wrong = (~torch.isfinite(samples).all(1)).nonzero()[:, 0]
        if len(wrong):
            first = wrong[0].item()
            raise InputError(f"{len(wrong)} of {n} {name} are NaN or infinite, first row {first}; remove them")
    return samples.detach().float() if samples.element_size() < 4 else samples.detach()


def checked_mass(mass: Tensor | None, samples: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The samples' masses (n,) in float64, 1 each unless given, divided by a power of two: the largest is in [1, 2).

    Raises:
        InputError: another number of masses, one that is negative or not finite, or all 0.
    """
    if mass is None:
        return torch.ones(len(samples), dtype=torch.float64, device=samples.device)
    if mass.shape != samples.shape[:1] or not (torch.isfinite(mass) & (mass >= 0)).all() or not mass.any():
        raise InputError(f"mass is {tuple(mass.shape)}; give one finite number >= 0 per sample, not all 0")
    mass = mass.detach().to(samples.device, torch.float64)
    return shifted(mass, 1 - math.frexp(mass.max().item())[1])


def at_least(low: int, **numbers: Any) -> None:
    """Raise InputError if one of these named parameters is not a whole number of at least `low`."""
    for name, value in numbers.items():
        if not (isinstance(value, Integral) and value >= low):
            raise InputError(f"{name} = {value!r}, but it must be a whole number of at least {low}")


def scale_exponent(*tensors: Tensor) -> int:
    """The e with |values| < 2^e for the largest nonzero value of the first tensor; 0 if that value is ordinary."""
    largest = (max(abs(bound.item()) for bound in values.aminmax()) for values in tensors)
    exponent = math.frexp(next(filter(None, largest), 0.0))[1]
    return exponent if abs(exponent) > ORDINARY[tensors[0].dtype] else 0


def shifted(values: Tensor, exponent: int) -> Tensor:
    """values 2^exponent, in two steps, since the power itself may leave the range."""
    return values * 2.0 ** (exponent // 2) * 2.0 ** (exponent - exponent // 2) if exponent else values


def squares_back(distortion: float, exponent: int) -> float:
    """A distortion of samples that were divided by 2^exponent, in the samples' unit; 0 if below the range."""
    try:
        return math.ldexp(distortion, 2 * exponent)
    except OverflowError as error:
        raise InputError("squared distances of the samples leave the range of float64; divide the samples") from error


def scaled_back(found: Any, exponent: int) -> Any:
    """An Iterate or a Quantizer of samples that were divided by 2^exponent, in the samples' unit."""
    if not exponent:
        return found
    changed = {"points": shifted(found.points, exponent), "distortion": squares_back(found.distortion, exponent)}
    if isinstance(found, Quantizer):
        changed["history"] = tuple(squares_back(G, exponent) for G in found.history)
    return dataclasses.replace(found, **changed)


def _chunks(rows: Tensor, width: int) -> Iterator[Tensor]:
    return iter(rows.split(max(1, CHUNK // width)))
