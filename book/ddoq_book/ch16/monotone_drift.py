"""Propositions 10 and 11: the effect of a monotone drift on two copies with the same noise, in cases of equality."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN, reverse
from ddoq_core.theory.measures import atoms


@dataclass(frozen=True, eq=False)
class MonotoneDrifts:
    """Distance of two copies at the end over that at the start, path by path, for two equations."""

    a: float  # dx = a x dt + b x dW, to time 1: phi = a + b^2 / 2
    b: float
    geometric: Float[ndarray, " n"]
    T: float  # the reverse SDE of one atom, from T to delta: phi = -1 / t
    delta: float
    bridge: Float[ndarray, " m"]

    @property
    def geometric_bound(self) -> float:
        """e to the integral of phi: the root mean square of `geometric`. Its mean is e^a."""
        return math.exp(self.a + self.b**2 / 2)

    @property
    def bridge_bound(self) -> float:
        """e to the integral of phi: every value of `bridge`."""
        return self.delta / self.T


def monotone_drifts(n: int, seed: int) -> MonotoneDrifts:
    """Propositions 10 and 11 on n paths of a linear equation and on 1000 bridges to an atom at 0."""
    a, b, T, delta = 0.3, 0.8, 1.0, 0.3
    factor = np.exp(a - b**2 / 2 + b * numpy_rng(seed, "16", "geometric").standard_normal(n))  # of both copies
    start = torch.tensor([1.0, -1.0])[:, None, None].expand(2, 1000, 1)
    ends = reverse(atoms(torch.zeros(1, 1)), BROWNIAN, start, delta, T, n_steps=10, rng=numpy_rng(seed, "16", "bridge"))
    return MonotoneDrifts(a, b, factor, T, delta, ((ends[0] - ends[1]) / 2).abs().flatten().numpy())
