"""Can a test detect that a score is too weak? A control for the tests of Proposition 8, and a more powerful test."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import norm
from torch import Tensor

from ddoq_core.theory.diffusion import Process
from ddoq_core.theory.measures import GaussianMixture


@dataclass(frozen=True, eq=False)
class ScaledScore(GaussianMixture):
    """A measure whose score is multiplied by a factor at every time; it is wrong for any factor other than 1."""

    factor: float | Tensor = 1.0  # becomes a Tensor, like every field of a mixture

    def noised(self, process: Process, t: float) -> "ScaledScore":
        """The law of X_t with its score scaled."""
        law = super().noised(process, t)
        return ScaledScore(law.masses, law.means, law.scales, self.factor)

    def score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """factor grad log p(x)."""
        return self.factor * super().score(x)


def scaled_score(measure: GaussianMixture, factor: float) -> ScaledScore:
    """The measure with its score times a factor."""
    return ScaledScore(measure.masses, measure.means, measure.scales, factor)


def joint_moments_p(
    measure: GaussianMixture,
    process: Process,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n d"],
    delta: float,
    T: float,
) -> float:
    """p-value of the hypothesis that y is a draw from the exact kernel at its start x (Bonferroni, two statistics).

    <x, y> and |y|^2 have known means given x, for every x: the starts add no noise. A weak score moves y too little
    towards the data, and both statistics detect it.
    """
    kernel = measure.reversed(process, x, torch.ones(len(x)) / len(x), delta, T)
    n, J = len(x), len(measure.masses)
    masses, means = n * kernel.masses.reshape(n, J), kernel.means.reshape(n, J, -1)
    mean = (masses[:, :, None] * means).sum(1)
    spread = x.shape[1] * kernel.scales.reshape(n, J).square()
    square = (masses * (means.square().sum(2) + spread)).sum(1)
    errors = torch.stack([((y - mean) * x).sum(1), y.square().sum(1) - square])
    z = errors.mean(1) / errors.std(1) * math.sqrt(n)
    return min(1.0, 2 * float(2 * norm.sf(z.abs().max().item())))
