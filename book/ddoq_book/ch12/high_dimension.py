"""A few points cannot fill a space of high dimension: samples, the mean, and points drawn towards the mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ddoq_core.quantization import best_of_restarts, distortion
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import shannon_bound

from ..ch14.digit_latents import digit_latents

JUDGES = 200  # samples to evaluate each random codebook


@dataclass(frozen=True)
class FewPoints:
    """Distortion of K random points of N(0, s^2 I_d) for N(0, I_d), over d, the distortion of the mean alone."""

    d: int
    K: int
    samples: Mean  # s = 1: samples of the law itself
    shrunken: Mean  # s^2 = 1 - K^(-2/d), Shannon's random code
    floor: float  # lower bound for any K points (Shannon)


def few_points(dimensions: Sequence[int], K: int, n_books: int, seed: int) -> tuple[FewPoints, ...]:
    """n_books independent codebooks for each d, evaluated on fresh samples."""
    found = []
    for d in dimensions:
        floor, costs = shannon_bound(d, K) / d, []
        for book in range(n_books):
            rng = numpy_rng(seed, "12", "few points", d, book)
            points, X = (torch.from_numpy(rng.standard_normal((n, d), dtype=np.float32)) for n in (K, JUDGES))
            costs.append([distortion(X, s * points) / d for s in (1.0, math.sqrt(1 - floor))])
        samples, shrunken = map(Mean.of, np.transpose(costs))
        found.append(FewPoints(d, K, samples, shrunken, floor))
    return tuple(found)


def few_points_table(found: Sequence[FewPoints]) -> Table:
    """Distortion over d; for the mean alone it is 1."""
    K = found[0].K
    columns = (
        Column("d", ",d"),
        Column(f"{K} samples of the law", ".4f"),
        Column("its mean alone", ".4f"),
        Column(f"{K} samples of N(0, (1 − K^(−2/d)) I)", ".4f"),
        Column(f"Shannon's floor for {K} points", ".4f"),
    )
    rows = ((at.d, at.samples, 1.0, at.shrunken, at.floor) for at in found)
    note = f"n = {found[0].samples.n} codebooks for each d, judged by {JUDGES} fresh samples each, 95 % intervals."
    return Table.of_rows("Distortion over d on N(0, I_d)", columns, rows, (note,))


@dataclass(frozen=True)
class RealCloud:
    """Distortion of K centroids, found on one half of the data, on the other half, as a share of that of the mean."""

    name: str
    shares: Mean  # over halvings


def digits_and_twins(K: int, seeds: Sequence[int]) -> tuple[RealCloud, ...]:
    """Digits as 784 numbers, a normal law with their mean and covariance, and one with only their mean variance."""
    X = torch.cat(digit_latents(784, 10)).double()
    variance, directions = torch.linalg.eigh(X.T.cov())
    roots = variance.clamp_min(0).sqrt()
    shares: dict[str, list] = {"digits": [], "normal, their covariance": [], "normal, equal variances": []}
    for seed in seeds:
        rng = numpy_rng(seed, "12", "digits")
        noise = torch.from_numpy(rng.standard_normal(X.shape))
        twins = X.mean(0) + noise * roots @ directions.T, noise * roots.square().mean().sqrt()
        for name, cloud in zip(shares, (X, *twins), strict=True):
            shares[name].append(_share_left(cloud[torch.from_numpy(rng.permutation(len(X)))], K, rng))
    return tuple(RealCloud(name, Mean.of(np.array(values))) for name, values in shares.items())


def _share_left(X: Tensor, K: int, rng: np.random.Generator) -> float:
    first, second = X.float().chunk(2)
    book = best_of_restarts(first, K, n_restarts=1, rng=rng, max_iter=10)
    return distortion(second, book.points) / distortion(second, first.mean(0, keepdim=True))


def digits_table(found: Sequence[RealCloud], K: int) -> Table:
    """One row per cloud."""
    columns = "cloud in 784 dimensions", Column(f"left by {K} centroids, of the distortion of the mean", ".3f")
    note = f"n = {found[0].shares.n} halvings, 95 % intervals; centroids of one half, judged by the other."
    rows = ((at.name, at.shares) for at in found)
    return Table.of_rows("Real images and normal laws", columns, rows, (note,))
