"""Samples on a line, sorted once: cells are intervals, and prefix sums give their masses and means.

If masses differ widely, a difference of prefix sums loses the digits of a light tail; then each cell is summed by
itself.

On a line the optimum is computable. With many points, Lloyd's algorithm from random samples ends far above it.
`Line.optimum` finds the K intervals with the least distortion. The distortion is convex in K, so there is a price per
interval at which exactly K of them are cheapest, and `intervals.cheapest_intervals` finds the best intervals at a given
price in n log n steps.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .intervals import cheapest_intervals, moments_from_middles, moments_of_intervals
from .voronoi import refilled

WIDE = 2**20  # range over interquartile range beyond which prefix sums lose the digits of the middle


@dataclass(frozen=True)
class Intervals:
    """The Voronoi cells of points on a line."""

    edges: Int[ndarray, " edges"]  # first sample of each cell, and n: K + 1 of them
    masses: Float[ndarray, " edges-1"]
    sums: Float[ndarray, " edges-1"]
    distortion: float


class Line:
    """Sorted, centred samples with prefix sums in float64; a codebook is its points in increasing order."""

    def __init__(self, samples: Float[Tensor, "n 1"], mass: Float[Tensor, " n"]) -> None:
        self.samples, self.mass = samples, mass
        x, m = samples[:, 0].double().cpu().numpy(), mass.cpu().numpy()
        self.order = x.argsort(kind="stable")
        least, low, high, most = x[self.order[[0, len(x) // 4, 3 * len(x) // 4, -1]]]
        self.cancels = (m != m[0]).any() or most - least > WIDE * (high - low) > 0
        self.centre = 0.0 if self.cancels else x.mean()
        self.x, self.m = x[self.order] - self.centre, m[self.order]
        self.masses, self.sums, self.squares = (
            np.concatenate([[0], np.cumsum(self.m * self.x**power)]) for power in (0, 1, 2)
        )

    @functools.cached_property
    def table(self) -> Float[ndarray, "levels n 4"] | None:
        """From `moments_from_middles` if prefix sums would cancel; otherwise None."""
        return moments_from_middles(self.x, self.m) if self.cancels else None

    def place(self, points: Float[Tensor, "K 1"]) -> Float[ndarray, " K"]:
        return np.sort(points[:, 0].double().cpu().numpy() - self.centre)

    def choose(self, rows: list[int]) -> Float[ndarray, " K"]:
        return self.place(self.samples[rows])

    def squared_distances(self, rows: list[int] | Int[ndarray, " c"]) -> Float[Tensor, "c n"]:
        return (self.samples[rows].double() - self.samples[:, 0].double()).square()

    def sweep(self, points: Float[ndarray, " K"]) -> Intervals:
        inner = self.x.searchsorted((points[1:] + points[:-1]) / 2)
        return self._intervals(np.concatenate([[0], inner, [len(self.x)]]), points)

    def centroids(self, found: Intervals, points: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
        masses, sums = found.masses, found.sums
        if (masses == 0).any():
            labels, mass = np.repeat(np.arange(len(points)), np.diff(found.edges)), self.m
            cost = torch.from_numpy(mass * (self.x - points[labels]) ** 2)
            labels = refilled(torch.from_numpy(masses), torch.from_numpy(labels), cost).numpy()
            masses, sums = (np.bincount(labels, m, len(points)) for m in (mass, mass * self.x))
        return np.sort(np.divide(sums, masses, out=points.copy(), where=masses > 0))

    def points(self, points: Float[ndarray, " K"]) -> Float[Tensor, "K 1"]:
        return torch.from_numpy(points + self.centre)[:, None].to(self.samples)

    def labels(self, found: Intervals) -> Int[Tensor, " n"]:
        labels = np.empty(len(self.x), np.int64)
        labels[self.order] = np.repeat(np.arange(len(found.masses)), np.diff(found.edges))
        return torch.from_numpy(labels).to(self.samples.device)

    def companding(self, K: int) -> Float[ndarray, " K"]:
        """K points with density p^(1/3), optimal as K grows (Zador 1982); p comes from quantiles of the samples."""
        n = len(self.x)
        ranks = np.unique(np.linspace(0, n - 1, max(2, min(n, 2 * K, 1 + n // 16))).round().astype(int))
        steps = np.diff(self.masses[ranks]) ** (1 / 3) * np.diff(self.x[ranks]) ** (2 / 3)  # p^(1/3) dx
        shares = np.concatenate([[0], np.cumsum(steps)])
        return np.interp((np.arange(K) + 0.5) / K * shares[-1], shares, self.x[ranks])

    def optimum(self, K: int) -> Float[ndarray, " K"]:
        """The K points with the least distortion, optimal up to rounding."""
        distinct = np.append(np.unique(self.x, return_index=True)[1], len(self.x))
        if len(distinct) <= K:  # one point for each distinct sample
            return np.pad(self.x[distinct[:-1]], (0, K + 1 - len(distinct)), mode="edge")
        edges = self._cheapest(K, np.array([0, len(self.x)]), distinct)
        found = self._intervals(edges, self.x[edges[:-1]])
        return np.divide(found.sums, found.masses, out=self.x[edges[:-1]].copy(), where=found.masses > 0)

    def _cheapest(self, K: int, few: Int[ndarray, " k"], many: Int[ndarray, " l"]) -> Int[ndarray, " {K}+1"]:
        """Edges of the K best intervals, by bisection of the price between divisions into too few and too many.

        The search starts at 2 G / K, twice the distortion of one of K equal intervals, the price as K grows.
        """
        starts, tiny = np.empty(len(self.masses), np.int64), np.finfo(float).tiny
        price = max(2 * self.sweep(self.companding(K)).distortion * self.masses[-1] / K, tiny)
        low, high = 0.0, math.inf
        while high > low * (1 + 1e-12) and low < price < high:
            n_intervals = cheapest_intervals(self.masses, self.sums, self.table, price, starts)
            edges = np.append(starts[:n_intervals][::-1], len(self.x))
            if n_intervals == K:
                return edges
            if n_intervals > K:
                low, many = price, edges
            else:
                high, few = price, edges
            middle = math.sqrt(low) * math.sqrt(high) if low * high < tiny else math.sqrt(low * high)
            price = 2 * low if high == math.inf else high / 2 if low == 0 else middle
        # Both are best at one price: follow one, and switch where one of its intervals contains one of the other.
        skipped = len(many) - 1 - K
        begin, end = few[:-1], few[1:]
        ahead = many[skipped : skipped + len(few)]
        i = int(((begin <= ahead[:-1]) & (ahead[1:] <= end)).argmax())
        return np.concatenate([few[: i + 1], many[i + skipped + 1 :]])

    def _intervals(self, edges: Int[ndarray, " edges"], points: Float[ndarray, " edges-1"]) -> Intervals:
        if self.cancels:
            masses, means, origins, costs = moments_of_intervals(self.x, self.m, edges)
            G = np.sum(costs + masses * (origins - points + means) ** 2) / self.masses[-1]
            return Intervals(edges, masses, masses * (origins + means), float(G))
        masses, sums, squares = (np.diff(p[edges]) for p in (self.masses, self.sums, self.squares))
        G = np.sum(squares - 2 * points * sums + points**2 * masses) / self.masses[-1]
        return Intervals(edges, masses, sums, max(float(G), 0.0))
