"""Starts for a codebook: k-means++, or K of the samples. Both lie in the hull of the support, as eq. 14 requires."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .forms import Direct, Form
from .line import Line
from .voronoi import checked, checked_mass, scaled, shifted


def kmeans_plus_plus(samples: Tensor, K: int, rng: np.random.Generator) -> Float[Tensor, "K d"]:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): each new point is a sample drawn far from the others.

    The k-th point is the best of 2 + ln k candidates: those are drawn with probability proportional to the squared
    distance to the nearest point so far, and the one that lowers the distortion most is kept. The first K points of a
    longer start are the start for K.

    Args:
        samples: (n, d), finite.
    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    samples, exponent = scaled(samples, K)
    form = Direct(samples, checked_mass(None, samples))
    return shifted(samples[form.order[kmeans_plus_plus_rows(form, K, rng)]], exponent)


def random_samples(samples: Tensor, K: int, rng: np.random.Generator) -> Float[Tensor, "K d"]:
    """K of the samples (n, d), drawn without replacement; InputError as `kmeans_plus_plus`."""
    samples = checked(samples, K)
    return samples[rng.choice(len(samples), K, replace=False)].clone()


def companding(samples: Tensor, K: int) -> Float[Tensor, "K 1"]:
    """K points on a line with density p^(1/3), which is optimal as K grows (Zador 1982).

    Args:
        samples: (n, 1), finite.
    Raises:
        InputError: more than one dimension, K < 1, K > n, or a sample that is not finite.
    """
    samples, exponent = scaled(samples, K)
    if samples.shape[1] != 1:
        raise InputError(f"samples have {samples.shape[1]} dimensions, but companding needs 1; use k-means++")
    line = Line(samples, checked_mass(None, samples))
    return shifted(line.points(line.companding(K)), exponent)


def random_rows(form: Form, K: int, rng: np.random.Generator) -> list[int]:
    """Rows of K different samples, drawn with probability proportional to their masses."""
    return (rng.exponential(size=len(form.mass)) / form.mass.cpu().numpy()).argsort()[:K].tolist()


def kmeans_plus_plus_rows(form: Form, K: int, rng: np.random.Generator) -> list[int]:
    """Rows of the samples that greedy k-means++ draws, from samples in any form."""
    mass = form.mass
    chosen = _draw(mass, 1, rng).tolist()
    nearest = form.squared_distances(chosen)[0]
    while len(chosen) < K:
        candidates = _draw(nearest * mass, 2 + int(math.log(len(chosen) + 1)), rng)
        lowered = torch.minimum(form.squared_distances(candidates), nearest)
        best = int((lowered.double() @ mass).argmin())
        chosen.append(int(candidates[best]))
        nearest = lowered[best]
    return chosen


def _draw(weight: Float[Tensor, " n"], size: int, rng: np.random.Generator) -> np.ndarray:
    """Indices drawn with probability proportional to `weight`; uniformly if all weight is 0."""
    cumulated = weight.double().cumsum(0).cpu().numpy()
    uniform = rng.random(size)
    if cumulated[-1] <= 0:
        return (uniform * len(weight)).astype(np.int64)
    found = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    return np.minimum(found, len(weight) - 1)
