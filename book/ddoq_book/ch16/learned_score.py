"""A wrong score from a quantized start: the simulated total variation, and the bound with both errors."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from ddoq_core.quantization import exact_quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import log_concave_noise, total_variation_constant
from ddoq_core.theory.diffusion import BROWNIAN, exponential_integrator, schedule
from ddoq_core.theory.measures import FOUR_ATOMS, law_on_line

from ..ch15.reversal import quantiles

BINS = 60  # bins of equal mass: a histogram misses a small part of a total variation
TIMES = 400  # nodes of the integral over time


@dataclass(frozen=True)
class LearnedScore:
    """Four atoms, Brownian motion, and a score with the error eta sin 3x."""

    K: int
    eta: float
    tv: float  # simulated, on BINS
    noise: float  # the same for as many draws of mu_delta itself
    first: float  # c' G: the bound for an exact score
    second: float  # the part of the score's error


def learned_score(K: int, eta: float, n: int, delta: float, T: float, seed: int, n_steps: int = 100) -> LearnedScore:
    """n paths from the optimal K points of mu_T with the wrong score."""
    mu_T, mu = (FOUR_ATOMS.noised(BROWNIAN, t) for t in (T, delta))
    best = exact_quantizer(law_on_line(mu_T), K, log_concave=log_concave_noise(BROWNIAN, 1.0, T))
    rng = numpy_rng(seed, "16", "learned", K, f"{eta:g}")
    x = torch.from_numpy(rng.choice(best.points, n, p=best.weights / best.weights.sum()))[:, None]
    for t, s in itertools.pairwise(schedule(delta, T, n_steps).tolist()):
        score = FOUR_ATOMS.noised(BROWNIAN, t).score(x) + eta * torch.sin(3 * x)
        x = exponential_integrator(BROWNIAN, x, score, t, s, torch.from_numpy(rng.standard_normal(x.shape)))
    edges = law_on_line(mu).ppf(np.arange(1, BINS) / BINS)
    tv, noise = (_apart(draws[:, 0].numpy(), edges) for draws in (x, mu.sample(n, rng)))
    G = best.distortion
    first = total_variation_constant(BROWNIAN, 1.0, delta, T) * G
    return LearnedScore(K, eta, tv, noise, first, _of_score(eta, G, delta, T))


def _apart(x: np.ndarray, edges: np.ndarray) -> float:
    counts = np.bincount(np.searchsorted(edges, x), minlength=BINS)
    return float(np.abs(counts / len(x) - 1 / BINS).sum() / 2)


def _of_score(eta: float, G: float, delta: float, T: float) -> float:
    """Half the root of int eps_t^2 + B^2 min(1, c'_t G) dt, with B = eta."""
    times = delta + (T - delta) * (np.arange(TIMES) + 0.5) / TIMES
    met = [min(1.0, total_variation_constant(BROWNIAN, 1.0, t, T) * G) for t in times.tolist()]
    errors = [
        torch.sin(3 * quantiles(FOUR_ATOMS.noised(BROWNIAN, t), 500)).square().mean().item()
        for t in np.linspace(delta, T, 20).tolist()
    ]
    return eta / 2 * math.sqrt((np.mean(errors) + np.mean(met)) * (T - delta))
