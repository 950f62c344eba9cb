"""CLVQ (Algorithm 1): stochastic gradient descent on the distortion, one sample at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..errors import InputError
from .kernels import learn_clvq
from .voronoi import Iterate, Quantizer, at_least, distortion, on_one_scale, quantize, scaled_back


@dataclass(frozen=True)
class OnlineQuantizer(Quantizer):
    """A quantization found one sample at a time, with the masses that the algorithm estimated on its way."""

    companion: Float[Tensor, " K"]  # sum 1; an estimate of the cell masses, where `weights` are the exact ones


def clvq(
    samples: Tensor, codebook: Tensor, *,
    steps: Callable[[Int[ndarray, " k"]], Float[ndarray, " k"]] | Sequence[float], passes: int = 1,
    rng: np.random.Generator | None = None, callback: Callable[[Iterate], None] | None = None,
) -> OnlineQuantizer:  # fmt: skip
    """CLVQ (Algorithm 1): move the nearest point a step gamma_k towards each sample X_k, and the weights with it.

    Args:
        samples: n points X ~ mu, (n, d), finite; one pass meets each once.
        codebook: the K starting points (K, d), in the hull of the support; not modified.
        steps: gamma_k in (0, 1) for k = 0, 1, ..., as a function of an array of k, or passes * n numbers.
        passes: times that the samples are gone through.
        rng: orders each pass; None keeps the given order.
        callback: called after every step with |X_k - x_win|^2, whose running mean tends to G (Proposition 7).
    Returns:
        OnlineQuantizer; `companion` are the w of line 7, `history` the exact distortion at the start and per pass.
    Raises:
        InputError: K, samples, points or passes as of `lloyd`; too few steps, or a step outside (0, 1).
    """
    at_least(0, passes=passes)
    samples, codebook, exponent = on_one_scale(samples, codebook, start=True)
    n, gamma = len(samples), _checked_steps(steps, passes * len(samples))
    X, x = samples.double().numpy(), codebook.double().numpy().T.copy()  # (d, K): neighbours in memory are compared
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


def power_steps(K: int, *, exponent: float = 0.7) -> Callable[[Int[ndarray, " k"]], Float[ndarray, " k"]]:
    """Step sizes gamma_k = (2 + k / K)^(-exponent): each of K points sees about the same schedule.

    They satisfy Proposition 7 for 0 < exponent <= 1. Admissible is not fast: 1/k is the slowest of them.
    """
    return lambda k: (2 + k / K) ** -exponent


def recount(
    samples: Float[Tensor, "n d"], x: Float[ndarray, "d K"], history: list[float], mass: Float[ndarray, " K"]
) -> OnlineQuantizer:
    """Exact cell counts of the points x, beside the masses that the algorithm estimated."""
    exact = quantize(samples, torch.from_numpy(x.T.copy()).to(samples.dtype), tuple(history))
    return OnlineQuantizer(**vars(exact), companion=torch.from_numpy(mass))


def _checked_steps(steps: Callable | Sequence[float], size: int) -> Float[ndarray, " size"]:
    gamma = np.broadcast_to(steps(np.arange(size)), size) if callable(steps) else np.asarray(steps, dtype=np.float64)
    if len(gamma) < size:
        raise InputError(f"CLVQ has {size} steps to make, but {len(gamma)} step sizes; give one for each")
    outside = ~((gamma > 0) & (gamma < 1))
    if outside.any():
        k = int(outside.argmax())
        raise InputError(f"CLVQ's step size gamma_{k} = {gamma[k]:g}, but it lies strictly between 0 and 1")
    return np.ascontiguousarray(gamma, dtype=np.float64)
