"""Where a codebook starts: k-means++, or K of the samples. Both lie in the hull of the support, as eq. 14 asks."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .voronoi import check_samples, squared_distances


def kmeans_plus_plus(samples: Float[Tensor, "n d"], K: int, rng: np.random.Generator) -> Float[Tensor, "K d"]:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): each new point is a sample drawn far from the others.

    Of 2 + ln K candidates, drawn with probability proportional to the squared distance to the nearest point so far,
    the one that lowers the distortion most is kept.

    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    check_samples(samples, K)
    n_candidates = 2 + int(math.log(K))
    chosen = [int(rng.integers(len(samples)))]
    nearest = squared_distances(samples, samples[chosen])[:, 0]
    while len(chosen) < K:
        candidates = _draw(nearest, n_candidates, rng)
        lowered = torch.minimum(squared_distances(samples, samples[candidates]), nearest[:, None])
        best = int(lowered.sum(0, dtype=torch.float64).argmin())
        chosen.append(int(candidates[best]))
        nearest = lowered[:, best]
    return samples[chosen].clone()


def random_samples(samples: Float[Tensor, "n d"], K: int, rng: np.random.Generator) -> Float[Tensor, "K d"]:
    """K samples drawn without replacement.

    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    check_samples(samples, K)
    return samples[torch.from_numpy(rng.choice(len(samples), K, replace=False))].clone()


def _draw(mass: Float[Tensor, " n"], size: int, rng: np.random.Generator) -> Tensor:
    """Indices drawn with probability proportional to `mass`; uniformly when there is no mass left."""
    cumulated = mass.double().cumsum(0).cpu().numpy()
    uniform = rng.random(size)
    if cumulated[-1] <= 0:
        return torch.from_numpy((uniform * len(mass)).astype(np.int64))
    found = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    return torch.from_numpy(np.minimum(found, len(mass) - 1))
