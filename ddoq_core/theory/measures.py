"""Test measures that the theory chapters quantize."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """sum_j p_j N(m_j, s_j^2 I)."""

    masses: tuple[float, ...]  # p_j, summing to 1
    means: tuple[tuple[float, ...], ...]  # m_j, all of one dimension
    scales: tuple[float, ...]  # s_j, standard deviation of each coordinate

    def sample(self, n: int, rng: np.random.Generator) -> Float[Tensor, "n d"]:
        """n independent draws, in float64."""
        j = rng.choice(len(self.masses), n, p=self.masses)
        noise = rng.standard_normal((n, len(self.means[0])))
        return torch.from_numpy(np.array(self.means)[j] + np.array(self.scales)[j, None] * noise)


# three clouds of unequal mass and width in the plane: one where uniform weights are plainly wrong
LOPSIDED = GaussianMixture((0.6, 0.3, 0.1), ((-1.2, -0.4), (1.3, 0.9), (1.6, -1.5)), (0.75, 0.4, 0.3))
