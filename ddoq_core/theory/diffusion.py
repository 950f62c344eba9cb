"""Brownian motion and the Ornstein-Uhlenbeck process, the noising SDEs of Theorem 13, and their reverse, exact score.

Every variance-exploding schedule sigma^2(t) is a time change of the first, every variance-preserving one of the second
(eq. 18, 19), so statements about the laws here hold for theirs.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError

if TYPE_CHECKING:
    from .measures import GaussianMixture


@dataclass(frozen=True)
class Process:
    """dX = -rate X dt + dW, so that X_t given X_0 = z is N(decay(t) z, variance(t) I)."""

    name: str
    rate: float

    def decay(self, t: float) -> float:
        """Share of X_0 that remains at time t."""
        return math.exp(-self.rate * t)

    def variance(self, t: float) -> float:
        """Variance of each coordinate of the noise at time t."""
        return -math.expm1(-2 * self.rate * t) / (2 * self.rate) if self.rate else t

    def signal_to_noise(self, t: float) -> float:
        """decay^2 / variance; infinite at t = 0."""
        return self.decay(t) ** 2 / self.variance(t) if t else math.inf

    def bridge(self, delta: float, T: float) -> tuple[float, float, float]:
        """(alpha, beta, v) of the bridge: X_delta given X_0 = z and X_T = x is N(alpha z + beta x, v I).

        Raises:
            InputError: delta outside [0, T).
        """
        if not 0 <= delta < T < math.inf:
            raise InputError(f"delta = {delta}, T = {T}, but delta must be in [0, T)")
        beta = self.decay(T - delta) * self.variance(delta) / self.variance(T)
        alpha = self.decay(delta) * self.variance(T - delta) / self.variance(T)
        return alpha, beta, self.variance(delta) * self.variance(T - delta) / self.variance(T)


BROWNIAN = Process("Brownian motion", 0.0)  # eq. 26, VE
ORNSTEIN_UHLENBECK = Process("Ornstein-Uhlenbeck process", 0.5)  # eq. 27, VP


def euler_maruyama(process: Process, x: Tensor, score: Tensor, t: float, s: float, noise: Tensor) -> Tensor:
    """One step of the reverse SDE from time t to s < t with constant drift."""
    return x + (process.rate * x + score) * (t - s) + math.sqrt(t - s) * noise


def exponential_integrator(process: Process, x: Tensor, score: Tensor, t: float, s: float, noise: Tensor) -> Tensor:
    """One step of the reverse SDE with E[X_0 | X_t] constant (as in DDPM): exact for a measure with one atom."""
    alpha, beta, v = process.bridge(s, t)
    return alpha * _denoised(process, x, score, t) + beta * x + math.sqrt(v) * noise


def probability_flow(process: Process, x: Tensor, score: Tensor, t: float, s: float, noise: Tensor) -> Tensor:
    """One step of the probability-flow ODE with E[X_0 | X_t] constant (as in DDIM); ignores the noise."""
    z, ratio = _denoised(process, x, score, t), math.sqrt(process.variance(s) / process.variance(t))
    return process.decay(s) * z + ratio * (x - process.decay(t) * z)


def reverse(
    measure: "GaussianMixture", process: Process, x: Float[Tensor, "*copies n d"], delta: float, T: float, *,
    n_steps: int, rng: np.random.Generator, step: Callable[..., Tensor] = exponential_integrator,
) -> Float[Tensor, "*copies n d"]:  # fmt: skip
    """Run the reverse process (eq. 17) of `measure`, with its exact score, from x at time T down to time delta.

    Steps shrink towards delta, where the score is steep. Copies share their noise: they are synchronously coupled.

    Args:
        step: `euler_maruyama`, `exponential_integrator` or `probability_flow`.
    Raises:
        InputError: delta outside [0, T), or points of another dimension.
    """
    process.bridge(delta, T)
    x = torch.as_tensor(x, dtype=torch.float64)
    for t, s in itertools.pairwise(schedule(delta, T, n_steps).tolist()):
        score = measure.noised(process, t).score(x.flatten(0, -2)).reshape(x.shape)
        x = step(process, x, score, t, s, torch.from_numpy(rng.standard_normal(x.shape[-2:])))
    return x


def schedule(delta: float, T: float, n_steps: int) -> Float[np.ndarray, " {n_steps}+1"]:
    """Times of `reverse`, from T down to delta, denser towards delta."""
    return delta + (T - delta) * np.linspace(1, 0, n_steps + 1) ** 2


def _denoised(process: Process, x: Tensor, score: Tensor, t: float) -> Tensor:
    """E[X_0 | X_t = x], from the score by Tweedie's formula."""
    return (x + process.variance(t) * score) / process.decay(t)
