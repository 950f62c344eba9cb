"""The rate K^(-1/d): its slope and constant, the moments it needs, and the effect of samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar
from scipy.special import expn
from scipy.stats import norm
from torch import Tensor

from ddoq_core.quantization import (
    best_of_restarts,
    distortion,
    exact_distortion,
    exact_quantizer,
    lloyd,
    uniform_quantizer,
)
from ddoq_core.quantization.closed_forms import CLOSED_FORMS
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import empirical_gap
from ddoq_core.theory.zador import LINE_LIMITS, ZADOR, zador_limit

FRESH = 200_000  # fresh samples to evaluate a codebook
TAIL_PARTS = 20_000  # parts of a law with a heavy tail, of equal mass under p^(1/3)


@dataclass(frozen=True)
class LineRate:
    """Optimal quantizers of a law on a line, at several levels."""

    name: str
    limit: float  # of K^2 G (Zador)
    sigma: float  # min_a E[|X - a|^3]^(1/3)
    levels: tuple[int, ...]
    scaled: Float[ndarray, " levels"]  # K^2 G

    @property
    def beyond(self) -> float:
        """K^2 G extrapolated by a + b / K from the two largest levels."""
        (last, before), (K, J) = self.scaled[:-3:-1], self.levels[:-3:-1]
        return (K * last - J * before) / (K - J)

    def constant(self, scaled: float) -> float:
        """K e*_K / sigma_3, which Proposition 4 bounds for eta = 1."""
        return math.sqrt(scaled) / self.sigma


def line_rates(levels: Sequence[int]) -> tuple[LineRate, ...]:
    """Proposition 4 with eta = 1 and Zador's limit, on each law of CLOSED_FORMS."""
    found = []
    for name, form in CLOSED_FORMS.items():
        scaled = np.array([K**2 * exact_quantizer(form.law, K).distortion for K in levels])
        found.append(LineRate(name, LINE_LIMITS[name], _sigma3(form.law), tuple(levels), scaled))
    return tuple(found)


def _sigma3(law: Any) -> float:
    return minimize_scalar(lambda a: law.expect(lambda x: np.abs(x - a) ** 3)).fun ** (1 / 3)


def pierce_constant(d: int, eta: float) -> float:
    """C of Proposition 4 from the proof by random coding: far from sharp, but one constant for all laws."""
    theta = eta * d / 2
    ball, sphere = math.pi ** (d / 2) / math.gamma(d / 2 + 1), 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    c = math.gamma(d + theta) / (math.gamma(d) * math.gamma(theta)) / sphere  # g has mass 1
    squared = math.gamma(1 + 2 / d) * (2 ** (-d - theta) * c * ball / 2) ** (-2 / d) * 2 ** (2 + eta)
    return math.sqrt(squared)


@dataclass(frozen=True)
class HeavyTail:
    """K^2 G on [e, e^y] of the law p(x) ~ x^-3 (log x)^-2, which has a variance but no moment above 2.

    Each entry is a lower bound of K^2 G for the whole law. Its limit (1/12) (int p^(1/3))^3 is unbounded in y.
    """

    levels: tuple[int, ...]
    ends: tuple[float, ...]  # y
    scaled: Float[ndarray, "ends levels"]
    limits: Float[ndarray, " ends"]


def heavy_tail(levels: Sequence[int], ends: Sequence[float]) -> HeavyTail:
    """Proposition 4 without its moment: optimal quantizers of a law with only two moments, cut off at several ends."""
    total = float(expn(2, 2))
    rows = [_cut_off(levels, end, total) for end in ends]
    limits = [ZADOR[1] * (3 * (end ** (1 / 3) - 1)) ** 3 / total for end in ends]
    return HeavyTail(tuple(levels), tuple(ends), np.array(rows), np.array(limits))


def _cut_off(levels: Sequence[int], end: float, total: float) -> list[float]:
    """K^2 G of the law on [e, e^end], cut into equal shares of p^(1/3) dx = y^(-2/3) dy with y = log x."""
    t, w = np.polynomial.legendre.leggauss(8)
    cuts = np.linspace(1, end ** (1 / 3), TAIL_PARTS + 1) ** 3
    half = np.diff(cuts)[:, None] / 2
    y = cuts[:-1, None] + half + half * t
    mass, first, second = ((np.exp(-k * y) / y**2 * half * w).sum(1) / total for k in (2, 1, 0))
    X, rng = torch.from_numpy(first / mass)[:, None], numpy_rng(0, "unused")
    books = best_of_restarts(X, levels, n_restarts=1, rng=rng, mass=torch.from_numpy(mass / mass.sum()))
    within = (second - first**2 / mass).sum()  # of the shares themselves
    return [K**2 * (mass.sum() * book.distortion + within) for K, book in zip(levels, books, strict=True)]


@dataclass(frozen=True)
class SampledLaw:
    """A law in R^d; Lloyd's algorithm looks for its quantizers on samples."""

    name: str
    d: int
    normal: bool  # N(0, I_d), else the uniform law on the unit cube

    @property
    def limit(self) -> float:
        """Limit of K^(2/d) G (Zador)."""
        return zador_limit(self.d, normal=self.normal)

    def sample(self, n: int, rng: np.random.Generator, spread: float = 1.0) -> Float[Tensor, "n d"]:
        """n draws in float32; a normal law is scaled by `spread`."""
        draws = spread * rng.standard_normal((n, self.d)) if self.normal else rng.random((n, self.d))
        return torch.from_numpy(draws.astype(np.float32))


SAMPLED_LAWS = tuple(
    SampledLaw(f"{kind}, d = {d}", d, normal) for kind, normal in (("cube", False), ("normal", True)) for d in (2, 3)
)


@dataclass(frozen=True)
class LloydRate:
    """Distortion of codebooks from Lloyd's algorithm on fresh samples."""

    law: SampledLaw
    levels: tuple[int, ...]
    distortions: Float[ndarray, "seeds K"]

    @property
    def ratios(self) -> Float[ndarray, "seeds K"]:
        """K^(2/d) G over its limit."""
        return np.array(self.levels) ** (2 / self.law.d) * self.distortions / self.law.limit

    @property
    def extrapolated(self) -> Float[ndarray, " seeds"]:
        """The ratio at K = infinity, by a + b K^(-1/d) fitted to all levels."""
        x = np.array(self.levels) ** (-1 / self.law.d)
        return np.array([np.polyfit(x, ratios, 1)[1] for ratios in self.ratios])

    def slopes(self, first: int = 0, last: int | None = None) -> Float[ndarray, " seeds"]:
        """Slope of log G^(1/2) against log K over the levels [first:last], for each seed."""
        x = np.log(self.levels[first:last])
        return np.array([np.polyfit(x, np.log(G) / 2, 1)[0] for G in self.distortions[:, first:last]])


def lloyd_rate(law: SampledLaw, levels: Sequence[int], n: int, seeds: Sequence[int]) -> LloydRate:
    """Codebooks found on n samples; the starts have the optimal density of points, p^(d/(d+2))."""
    spread = math.sqrt((law.d + 2) / law.d)
    rows = []
    for seed in seeds:
        rng = numpy_rng(seed, "rate", law.name)
        X, fresh = law.sample(n, rng), law.sample(FRESH, rng)
        books = [lloyd(X, law.sample(K, rng, spread), max_iter=100, tol=1e-5).points for K in levels]
        rows.append([distortion(fresh, points) for points in books])
    return LloydRate(law, tuple(levels), np.array(rows))


@dataclass(frozen=True)
class EmpiricalGaps:
    """Theorem 3 on N(0, 1): distortion of the optimal quantizers of samples, minus the least distortion."""

    sizes: tuple[int, ...]
    gaps: Float[ndarray, "sizes reps"]
    bounds: Float[ndarray, "sizes reps"]  # of eq. 10


def empirical_gaps(K: int, sizes: Sequence[int], reps: int, seed: int) -> EmpiricalGaps:
    """Optimal quantizers of n samples, found exactly and evaluated on the exact law."""
    law = norm()
    best = exact_quantizer(law, K).distortion
    gaps, limits = np.empty((len(sizes), reps)), np.empty((len(sizes), reps))
    for i, n in enumerate(sizes):
        shares = uniform_quantizer(law, n)
        for rep in range(reps):
            X = np.sort(numpy_rng(seed, "gap", n, rep).standard_normal(n))
            book = best_of_restarts(torch.from_numpy(X)[:, None], K, n_restarts=1, rng=numpy_rng(0, "unused")).points
            gaps[i, rep] = exact_distortion(law, book[:, 0].numpy()) - best
            away = math.sqrt(shares.distortion + np.mean((X - shares.points) ** 2))  # W_2 of samples to the law
            limits[i, rep] = empirical_gap(math.sqrt(best), away)
    return EmpiricalGaps(tuple(sizes), gaps, limits)


@dataclass(frozen=True)
class AlternatingCircle:
    """2 K atoms on the unit circle with gaps s - e and s + e in turn, s = pi / K; the samples are evenly spaced.

    Evenly spaced atoms have two optimal quantizers. The quantizer that joins atoms across the wide gaps is wrong.
    """

    K: int
    gap: float  # distortion of the wrong quantizer, minus the least
    bound: float  # of Theorem 3

    @property
    def ratio(self) -> float:
        """Gap over bound. It tends to cos(pi / 2K) as e -> 0: to first order, Theorem 3 is sharp up to this factor."""
        return self.gap / self.bound


def alternating_circle(K: int, e: float = 1e-6) -> AlternatingCircle:
    """The closed form: a pair at angle 2 a has its mean at radius cos a and distortion sin(a)^2."""
    s = math.pi / K
    least, right = math.sin((s - e) / 2) ** 2, math.cos(s / 2)
    wrong = 1 + right**2 - 2 * right * math.cos((s + e) / 2)
    return AlternatingCircle(K, wrong - least, empirical_gap(math.sqrt(least), 2 * math.sin(e / 4)))
