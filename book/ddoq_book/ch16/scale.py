"""The noise of Stable Diffusion v1.5 in the time scales of this book, and the radius of its latents."""

import math
from dataclasses import dataclass

import numpy as np

from ddoq_core.theory.diffusion import Process

STEPS, FIRST, LAST = 1000, 0.00085, 0.012  # its schedule; the square roots are evenly spaced (`scaled_linear`)
D = 4 * 64 * 64  # numbers in a latent
STOP = 0.01  # delta of the constant of the paths


@dataclass(frozen=True)
class LatentScale:
    """d numbers of variance 1, and the share of the variance left at the end of the schedule."""

    d: int
    signal: float

    @property
    def R(self) -> float:
        """Root mean square of a latent's norm."""
        return math.sqrt(self.d)

    def clock(self, process: Process) -> float:
        """T at which a process has as much noise: decay^2 / variance is signal / (1 - signal)."""
        ratio = (1 - self.signal) / self.signal
        return math.log1p(2 * process.rate * ratio) / (2 * process.rate) if process.rate else ratio

    @property
    def signal_to_noise(self) -> float:
        """a^2 / v, the same for every process."""
        return self.signal / (1 - self.signal)

    def of_round_cells(self) -> float:
        """Bound on the total variation after re-noising for normal cells of covariance I: half the root of chi^2.

        E exp{s <D, D'>} = (1 - s^2)^(-d/2) for independent standard normal D, D' if s = a^2/v < 1.
        """
        s = self.signal_to_noise
        exponent = -self.d / 2 * math.log1p(-(s**2)) if s < 1 else math.inf
        return math.sqrt(math.expm1(exponent)) / 2 if exponent < 700 else math.inf


def stable_diffusion(strength: float = 1.0) -> LatentScale:
    """The scale of version 1.5, noised to this share of its schedule."""
    betas = np.linspace(math.sqrt(FIRST), math.sqrt(LAST), STEPS) ** 2
    return LatentScale(D, float(np.prod(1 - betas[: round(strength * STEPS)])))
