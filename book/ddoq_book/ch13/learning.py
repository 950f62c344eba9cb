"""Learning a codebook one sample at a time: eq. 15, and Proposition 7 compared with the exact quantizer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Int
from numpy import ndarray

from ddoq_core.errors import InputError
from ddoq_core.quantization import ExactQuantizer, exact_centroids, exact_distortion, exact_quantizer
from ddoq_core.quantization.exact import LOG_CONCAVE
from ddoq_core.quantization.kernels import learn_clvq, learn_minibatch
from ddoq_core.randomness import numpy_rng

from .linear_rates import StepLaw, eq15, step_laws

MACQUEEN = "1 / vᵢ, Algorithm 3"


def law_of(name: str) -> Any:
    """A law of `scipy.stats` with a log-concave density; its stationary grid is unique and therefore optimal.

    Raises:
        InputError: the name is not one of these laws.
    """
    if name not in LOG_CONCAVE:
        raise InputError(f"learning_law = {name!r}, but it must be one of {', '.join(sorted(LOG_CONCAVE))}")
    return getattr(scipy.stats, name)()


@dataclass(frozen=True)
class LearningErrors:
    """Errors of one step law after `steps` samples."""

    steps: Int[ndarray, " m"]
    points: Float[ndarray, "seeds m"]  # max_i |x_i - x_i*|
    weights: Float[ndarray, "seeds m"]  # max_i |w_i - mu(C_i*)|
    running: Float[ndarray, "seeds m"]  # mean of min_i |X - x_i|^2 over all samples so far


def learn(law: Any, K: int, n: int, seeds: Sequence[int]) -> dict[str, LearningErrors]:
    """CLVQ with each step law, and Algorithm 3, on the same samples; the same starts are K samples of the law."""
    best, when = exact_quantizer(law, K), np.unique(np.geomspace(10, n, 40).astype(int))
    found: dict[str, list] = {}
    for seed in seeds:
        X, start = draws(law, K, n, seed)
        for name, steps in step_laws(K).items():
            found.setdefault(name, []).append(_follow(_clvq(X, steps), start, np.full(K, 1 / K), when, best))
        found.setdefault(MACQUEEN, []).append(_follow(_macqueen(X), start, np.ones(K), when, best))
    return {name: LearningErrors(when, *np.swapaxes(runs, 0, 1)) for name, runs in found.items()}


def draws(law: Any, K: int, n: int, seed: int) -> tuple[Float[ndarray, "n 1"], Float[ndarray, " K"]]:
    """n samples of a law, and K more samples in increasing order as a start."""
    rng = numpy_rng(seed, "learning")
    start = np.sort(law.rvs(K, random_state=rng))
    return law.rvs(n, random_state=rng)[:, None], start


def _clvq(X: Float[ndarray, "n 1"], law: StepLaw) -> Callable:
    """Step k of Algorithm 1; it moves points and weights in place, and returns the squared distance to the winner."""
    order = np.arange(len(X))
    gamma = law.steps(order)
    return lambda k, x, w: learn_clvq(X, order[k : k + 1], gamma[k : k + 1], x, w)


def _macqueen(X: Float[ndarray, "n 1"]) -> Callable:
    """The same for Algorithm 3, lines 7-9."""
    order = np.arange(len(X))
    return lambda k, x, v: learn_minibatch(X, order[k : k + 1], x, v)


def _follow(
    step: Callable, start: Float[ndarray, " K"], w: Float[ndarray, " K"], when: Int[ndarray, " m"], best: ExactQuantizer
) -> Float[ndarray, "3 m"]:
    """Errors of points and weights, and the running distortion; points on a line keep their order."""
    x, squared, errors = start[None].copy(), np.empty(when[-1]), []
    for first, last in zip((0, *when[:-1]), when, strict=True):
        for k in range(first, last):
            squared[k] = step(k, x, w)
        errors.append((np.abs(x[0] - best.points).max(), np.abs(w / w.sum() - best.weights).max()))
    return np.array([*np.transpose(errors), np.cumsum(squared)[when - 1] / when])


def constant_level(law: Any, K: int, gamma: float, n: int, seeds: Sequence[int]) -> Float[ndarray, " seeds"]:
    """Mean of G(x^(k)) / G(x*) - 1 over the second half of n constant steps that begin at x*."""
    best, levels = exact_quantizer(law, K), []
    for seed in seeds:
        X, _ = draws(law, K, n, seed)
        x, w, G = best.points[None].copy(), best.weights.copy(), []
        for part in np.array_split(np.arange(n), 400):
            learn_clvq(X, part, np.full(len(part), gamma), x, w)
            G.append(exact_distortion(law, x[0]))
        levels.append(np.mean(G[200:]) / best.distortion - 1)
    return np.array(levels)


@dataclass(frozen=True)
class LloydRuns:
    """Algorithm 2 on the law itself, without samples or noise."""

    excess: Float[ndarray, "seeds m"]  # G(x^(k)) - G(x*)
    factor: Float[ndarray, " seeds"]  # |x^(k+1) - x*| / |x^(k) - x*| at the end


def lloyd_runs(law: Any, K: int, n_iter: int, seeds: Sequence[int]) -> LloydRuns:
    """n_iter iterations from K samples of the law."""
    best, excess, factors = exact_quantizer(law, K), [], []
    for seed in seeds:
        path = [draws(law, K, 1, seed)[1]]
        for _ in range(n_iter):
            path.append(exact_centroids(law, path[-1]))
        errors = np.linalg.norm(np.array(path) - best.points, axis=1)
        excess.append([exact_distortion(law, x) - best.distortion for x in path])
        factors.append(errors[-1] / errors[-2])
    return LloydRuns(np.array(excess), np.array(factors))


@dataclass(frozen=True)
class Eq15Paths:
    """Eq. 15 as printed and as meant, on the uniform law on [0, 1], with the same samples, start and steps."""

    steps: Int[ndarray, " m"]
    printed: Float[ndarray, "m K"]
    meant: Float[ndarray, "m K"]
    expected: Float[ndarray, " m"]  # E X times the sum of gamma: how far a point that never wins has moved

    @property
    def n_outside(self) -> int:
        """Points outside [0, 1] at the end, under the printed form."""
        return int(((self.printed[-1] < 0) | (self.printed[-1] > 1)).sum())

    @property
    def distortions(self) -> tuple[float, float]:
        """Exact G at the end, as printed and as meant."""
        return tuple(exact_distortion(scipy.stats.uniform(), np.sort(x[-1])) for x in (self.printed, self.meant))


def drift(K: int, n: int, seed: int, steps: str = "10 / (k + 20)") -> Eq15Paths:
    """Both forms of eq. 15 for n samples."""
    rng, gamma = numpy_rng(seed, "learning", "eq. 15"), step_laws(K)[steps].steps(np.arange(n))
    start, X = np.sort(rng.random(K)), rng.random(n)
    kept = np.unique(np.geomspace(1, n, 60).astype(int)) - 1
    paths = [_path(start, X, gamma, printed)[kept] for printed in (True, False)]
    return Eq15Paths(kept + 1, *paths, np.cumsum(gamma)[kept] / 2)


def _path(x: Float[ndarray, " K"], X: Float[ndarray, " n"], gamma: Float[ndarray, " n"], printed: bool) -> ndarray:
    path = np.empty((len(X), len(x)))
    for k in range(len(X)):
        x = path[k] = eq15(x, X[k], gamma[k], printed=printed)
    return path
