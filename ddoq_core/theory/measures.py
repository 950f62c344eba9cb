"""Test measures of the theory chapters: mixtures of Gaussians and finite clouds, with their exact scores.

A linear SDE maps such a measure to measures of the same kind, forwards (`noised`) and, from a given point, backwards
(`reversed`). So the reference values for the simulations of the chapters are not simulated themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from ..errors import InputError
from .diffusion import Process

PAIRS = 2**23  # pairs of a sample and a component in memory at once: 64 MiB


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_j p_j N(m_j, s_j^2 I), in float64; a component of scale 0 is an atom."""

    masses: Tensor | np.ndarray | Sequence[float]  # p_j, (J,), summing to 1
    means: Tensor | np.ndarray | Sequence[Sequence[float]]  # m_j, (J, d)
    scales: Tensor | np.ndarray | Sequence[float]  # s_j, (J,), standard deviation of each coordinate

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, torch.as_tensor(value, dtype=torch.float64))
        p, m, s = self.masses, self.means, self.scales
        if m.ndim != 2 or p.shape != m.shape[:1] or s.shape != m.shape[:1]:
            shapes = ", ".join(str(tuple(value.shape)) for value in (p, m, s))
            raise InputError(f"masses, means and scales are {shapes}; give (J,), (J, d) and (J,)")
        if not all(value.isfinite().all() for value in (p, m, s)) or (p < 0).any() or (s < 0).any():
            raise InputError("masses, means and scales must be finite, and masses and scales at least 0")
        if abs(p.sum().item() - 1) > 1e-6:
            raise InputError(f"masses sum to {p.sum().item():.6g}, but they must sum to 1; divide by their sum")

    @property
    def d(self) -> int:
        return self.means.shape[1]

    def sample(self, n: int, rng: np.random.Generator) -> Float[Tensor, "n d"]:
        """n independent draws, in float64."""
        j = rng.choice(len(self.masses), n, p=self.masses.numpy() / self.masses.sum().item())
        noise = torch.from_numpy(rng.standard_normal((n, self.d)))
        return self.means[j] + self.scales[j, None] * noise

    def mean(self) -> Float[Tensor, " d"]:
        return self.masses @ self.means

    def covariance(self) -> Float[Tensor, "d d"]:
        """Cov X: between the means of the components, plus within them."""
        off = self.means - self.mean()
        within = (self.masses @ self.scales.square()) * torch.eye(self.d, dtype=torch.float64)
        return (self.masses[:, None] * off).T @ off + within

    def projected(self, direction: Float[Tensor, " d"]) -> "GaussianMixture":
        """Law of <u, X> for a unit vector u: on a line."""
        u = torch.as_tensor(direction, dtype=torch.float64)
        return GaussianMixture(self.masses, (self.means @ u)[:, None], self.scales)

    def noised(self, process: Process, t: float) -> "GaussianMixture":
        """Law of X_t when this is the law of X_0."""
        a, v = process.decay(t), process.variance(t)
        return GaussianMixture(self.masses, a * self.means, (a**2 * self.scales.square() + v).sqrt())

    def reversed(
        self, process: Process, points: Float[Tensor, "K d"], weights: Float[Tensor, " K"], delta: float, T: float
    ) -> "GaussianMixture":
        """Law at time delta of this measure's exact reverse SDE (eq. 17) from sum_i w_i delta(x_i) at time T.

        By Bayes, from x it is the law of X_delta given X_T = x (Proposition 8), a mixture over the components.

        Raises:
            InputError: delta outside [0, T), points of another dimension, or weights that do not sum to 1.
        """
        process.bridge(delta, T)
        x, at_T = self._checked(points), self.noised(process, T)
        before, after = self.noised(process, delta).scales.square(), at_T.scales.square()
        gain = process.decay(T - delta) * before / after
        means = process.decay(delta) * self.means + gain[:, None] * (x[:, None] - at_T.means)
        masses = torch.as_tensor(weights, dtype=torch.float64)[:, None] * at_T.responsibilities(x)
        scales = (before * process.variance(T - delta) / after).sqrt()
        return GaussianMixture(masses.flatten(), means.flatten(0, 1), scales.repeat(len(x)))

    def responsibilities(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n J"]:
        """Probability of each component given x; every scale must be above 0."""
        return self._joint(self._checked(x)).softmax(1)

    def log_density(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log p(x); every scale must be above 0."""
        unscaled = torch.cat([self._joint(part).logsumexp(1) for part in self._parts(x)])
        return unscaled - self.d / 2 * math.log(2 * math.pi)

    def score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """grad log p(x), exact; every scale must be above 0. Needs no array of n J d numbers."""
        return torch.cat([self._score(part) for part in self._parts(x)])

    def score_jacobian(self, process: Process, x: Float[Tensor, " d"], t: float) -> Float[Tensor, "d d"]:
        """Hess log p_t(x) = (a / v)^2 Cov(X_0 | X_t = x) - I / v, with decay a and variance v at t > 0 (Lemma 12)."""
        if not t > 0:
            raise InputError(f"t = {t}, but a score needs noise; give t > 0")
        a, v = process.decay(t), process.variance(t)
        posterior = self.reversed(process, torch.as_tensor(x)[None], torch.ones(1), 0.0, t)
        return (a / v) ** 2 * posterior.covariance() - torch.eye(self.d, dtype=torch.float64) / v

    def cdf(self, x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Mass up to x, on a line; x must not be the place of an atom."""
        if self.d != 1:
            raise InputError(f"the measure is in R^{self.d}, but a distribution function needs a line; give d = 1")
        return torch.special.ndtr((x[:, None] - self.means[:, 0]) / self.scales) @ self.masses

    def _score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        by_variance = self._joint(x).softmax(1) / self.scales.square()
        return by_variance @ self.means - by_variance.sum(1, keepdim=True) * x

    def _joint(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n J"]:
        """log p_j N(x; m_j, s_j^2 I), without (2 pi)^(-d/2)."""
        v, centre = self.scales.square(), self.means.mean(0)
        y, m = x - centre, self.means - centre
        squared = torch.addmm(m.square().sum(1), y, m.T, alpha=-2).add_(y.square().sum(1, keepdim=True)).clamp_min_(0)
        return squared.div_(-2 * v).add_(self.masses.log() - self.d / 2 * v.log())

    def _parts(self, x: Float[Tensor, "n d"]) -> tuple[Tensor, ...]:
        return self._checked(x).split(max(1, PAIRS // len(self.masses)))

    def _checked(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        x = torch.as_tensor(x, dtype=torch.float64)
        if x.ndim != 2 or x.shape[1] != self.d:
            raise InputError(f"points are {tuple(x.shape)}, but the measure is in R^{self.d}; give (n, {self.d})")
        if not x.isfinite().all():
            raise InputError("a point is not finite; remove it, or check how it was computed")
        return x


def atoms(points: Float[Tensor, "n d"], weights: Float[Tensor, " n"] | None = None) -> GaussianMixture:
    """sum_i w_i delta(x_i); weights are 1 / n each unless given."""
    n = len(points)
    return GaussianMixture(torch.full((n,), 1 / n) if weights is None else weights, points, torch.zeros(n))


def law_on_line(measure: GaussianMixture) -> Any:
    """The measure as a law of `scipy.stats`, for `exact_quantizer`; in one dimension, every scale above 0."""
    return _LawOnLine(measure)


class _LawOnLine(scipy.stats.rv_continuous):
    def __init__(self, measure: GaussianMixture) -> None:
        super().__init__(name="mixture")
        masses = measure.masses / measure.masses.sum()  # masses from float32 sum to 1 only up to rounding
        self.measure = GaussianMixture(masses, measure.means, measure.scales)

    def _pdf(self, x: ndarray) -> ndarray:
        return self.measure.log_density(torch.from_numpy(x).reshape(-1, 1)).exp().numpy().reshape(x.shape)

    def _cdf(self, x: ndarray) -> ndarray:
        return self.measure.cdf(torch.from_numpy(x).flatten()).numpy().reshape(x.shape)

    def _ppf(self, u: ndarray) -> ndarray:
        low, high = (self.measure.means[:, 0] + side * 40 * self.measure.scales for side in (-1, 1))
        low, high = np.full_like(u, low.min().item()), np.full_like(u, high.max().item())
        for _ in range(70):  # halvings: to the last bit
            middle = (low + high) / 2
            below = self._cdf(middle) < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high

    def _stats(self) -> tuple[float, float, None, None]:
        p, m, s = self.measure.masses, self.measure.means[:, 0], self.measure.scales
        mean = p @ m
        return mean.item(), (p @ (s.square() + (m - mean).square())).item(), None, None


# three clouds of unequal mass and width in the plane, for which uniform weights are clearly wrong
LOPSIDED = GaussianMixture((0.6, 0.3, 0.1), ((-1.2, -0.4), (1.3, 0.9), (1.6, -1.5)), (0.75, 0.4, 0.3))
# four atoms without symmetry, in the unit ball: with symmetry, uniform weights would be right by chance
FOUR_ATOMS = atoms(torch.tensor([[-1.0], [-0.4], [0.3], [1.0]]), torch.tensor([0.1, 0.4, 0.2, 0.3]))
