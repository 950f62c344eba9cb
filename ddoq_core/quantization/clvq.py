"""CLVQ (Algorithm 1): stochastic gradient descent on the distortion, one sample at a time.

On a line, `exact_quantizer` does without samples what CLVQ does in the mean (gradient descent on the exact distortion),
and runs Newton's method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..errors import InputError
from .kernels import learn_clvq
from .seeding import kmeans_plus_plus
from .voronoi import Iterate, Quantizer, at_least, checked, distortion, on_one_scale, quantize, scaled_back


@dataclass(frozen=True)
class OnlineQuantizer(Quantizer):
    """A quantization found one sample at a time, with the masses that the algorithm estimated along the way."""

    companion: Float[Tensor, " K"]  # sum 1; estimates of the cell masses, while `weights` are exact


def clvq(
    samples: Tensor, codebook: Tensor, *,
    steps: Callable[[Int[ndarray, " k"]], Float[ndarray, " k"]] | Sequence[float], passes: int = 1,
    rng: np.random.Generator | None = None, callback: Callable[[Iterate], None] | None = None,
) -> OnlineQuantizer:  # fmt: skip
    """CLVQ (Algorithm 1): move the nearest point by a step gamma_k towards each sample X_k, and update the weights.

    Args:
        samples: n points X ~ mu, (n, d), finite; one pass uses each once.
        codebook: the K starting points (K, d), in the hull of the support; not modified.
        steps: gamma_k in (0, 1) for k = 0, 1, ..., as a function of an array of k, or passes * n numbers.
        passes: number of passes over the samples.
        rng: orders the samples in each pass; None keeps the given order.
        callback: called after every step with |X_k - x_win|^2; its running mean tends to G (Proposition 7).
    Returns:
        OnlineQuantizer; `companion` is the w of line 7, `history` the exact distortion at the start and after each
        pass.
    Raises:
        InputError: K, samples, points or passes that `lloyd` refuses; too few steps, or a step outside (0, 1).
    """
    at_least(0, passes=passes)
    samples, codebook, exponent = on_one_scale(samples, codebook, start=True)
    n, gamma = len(samples), _checked_steps(steps, passes * len(samples))
    X, x = samples.double().numpy(), codebook.double().numpy().T.copy()  # x (d, K): its rows are contiguous
    w, history = np.full(x.shape[1], 1 / x.shape[1]), [distortion(samples, codebook)]
    for first in range(0, passes * n, n):
        order = np.arange(n) if rng is None else rng.permutation(n)
        at_once = n if callback is None else 1
        for k in range(0, n, at_once):
            squared = learn_clvq(X, order[k : k + at_once], gamma[first + k : first + k + at_once], x, w)
            if callback is not None:
                callback(scaled_back(Iterate(first + k + 1, torch.from_numpy(x.T), squared), exponent))
        history.append(distortion(samples, torch.from_numpy(x.T.copy()).to(samples.dtype)))
    return scaled_back(recount(samples, x, history, w), exponent)


def sampled_quantizer(
    sampler: Callable[[np.random.Generator, int], Float[ndarray, "n d"]], K: int, n: int, *, n_restarts: int = 3,
    rng: np.random.Generator,
) -> Quantizer:  # fmt: skip
    """Quantizer of any law that can be sampled: averaged CLVQ, best of several starts.

    The points are means of the iterates in the second half of a run (Polyak and Juditsky 1992), taken once in K steps,
    in which each point moves about once. The starts are k-means++ on draws. Cells are counted on n fresh draws, so
    weights and distortion are independent of the draws that the points were found on.

    Args:
        sampler: makes n draws (n, d) with a generator.
        K: number of points.
        n: draws of each run, and of the count; at least 100 K.
        rng: for all draws.
    Returns:
        Quantizer on the fresh draws; `history` is the distortion of each run's result, on separate draws.
    Raises:
        InputError: K, n or n_restarts out of range, or draws that are not n finite rows of one dimension.
    """
    at_least(1, K=K, n_restarts=n_restarts)
    at_least(100 * K, n=n)
    judge, ends = _drawn(sampler, rng, n), []
    d = judge.shape[1]
    for _ in range(n_restarts):
        start = kmeans_plus_plus(_drawn(sampler, rng, 100 * K, d), K, rng)
        x, mean, gamma = start.numpy().T.copy(), np.zeros(start.T.shape), power_steps(K)(np.arange(n))
        blocks, w = range(0, n - K + 1, K), np.full(K, 1 / K)
        X, order = _drawn(sampler, rng, n, d).numpy(), np.arange(n)
        for k in blocks:
            learn_clvq(X, order[k : k + K], gamma[k : k + K], x, w)
            mean += x / len(blocks[len(blocks) // 2 :]) * (k >= blocks[len(blocks) // 2])
        ends.append(torch.from_numpy(mean.T.copy()))
    costs = [distortion(judge, points) for points in ends]
    return quantize(_drawn(sampler, rng, n, d), ends[int(np.argmin(costs))], tuple(costs))


def power_steps(K: int, *, exponent: float = 0.7) -> Callable[[Int[ndarray, " k"]], Float[ndarray, " k"]]:
    """Step sizes gamma_k = (2 + k / K)^(-exponent): the same schedule for each point, whatever K is.

    They satisfy Proposition 7 for 0 < exponent <= 1. Admissible does not mean fast: 1/k is the slowest of them.
    """
    return lambda k: (2 + k / K) ** -exponent


def recount(
    samples: Float[Tensor, "n d"], x: Float[ndarray, "d K"], history: list[float], mass: Float[ndarray, " K"]
) -> OnlineQuantizer:
    """Exact cell counts of the points x, together with the masses that the algorithm estimated."""
    exact = quantize(samples, torch.from_numpy(x.T.copy()).to(samples.dtype), tuple(history))
    return OnlineQuantizer(**vars(exact), companion=torch.from_numpy(mass))


def _drawn(
    sampler: Callable[[np.random.Generator, int], ndarray], rng: np.random.Generator, n: int, d: int | None = None
) -> Float[Tensor, "n d"]:
    """n draws, of d dimensions if these are known; the compiled loop would read past the end of fewer."""
    draws = checked(torch.from_numpy(np.ascontiguousarray(sampler(rng, n), dtype=np.float64)), name="draws")
    if draws.shape != (n, d or draws.shape[1]):
        raise InputError(f"the sampler gave {tuple(draws.shape)}, but was asked for {(n, d or draws.shape[1])}")
    return draws


def _checked_steps(steps: Callable | Sequence[float], size: int) -> Float[ndarray, " size"]:
    gamma = np.broadcast_to(steps(np.arange(size)), size) if callable(steps) else np.asarray(steps, dtype=np.float64)
    if len(gamma) < size:
        raise InputError(f"CLVQ makes {size} steps, but has {len(gamma)} step sizes; give one for each step")
    outside = ~((gamma > 0) & (gamma < 1))
    if outside.any():
        k = int(outside.argmax())
        raise InputError(f"CLVQ's step size gamma_{k} = {gamma[k]:g}, but it must be strictly between 0 and 1")
    return np.ascontiguousarray(gamma, dtype=np.float64)
