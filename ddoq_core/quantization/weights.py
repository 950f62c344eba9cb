"""Weights of distilled images from the counts of their cells (Algorithm 4 line 3, eq. 33, and the powers between)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError


def companion_weights(counts: Int[Tensor, "*C K"], scheme: str | float) -> Float[Tensor, "*C K"]:
    """Weights of the K points of each class from its cell counts v.

    uniform: 1 (D4M). proportional: K v / sum v (Algorithm 4, line 3), mean 1. sqrt: sqrt(K v / sum v) (eq. 33),
    mean at most 1. An exponent alpha: w proportional to v^alpha, mean 1.

    Args:
        counts: v >= 0, one row per class; every row has a count above 0.
        scheme: `uniform`, `proportional`, `sqrt`, or a finite exponent alpha >= 0.
    Returns:
        Weights in float64, the shape of `counts`.
    Raises:
        InputError: an unknown scheme, a negative or infinite exponent, a class without counts.
    """
    share = counts.double() / counts.sum(-1, keepdim=True)
    if not (counts >= 0).all() or not share.isfinite().all():
        raise InputError("counts have a negative entry or a class whose cells are all empty; cluster that class again")
    proportional = counts.shape[-1] * share
    if isinstance(scheme, (int, float)) and 0 <= scheme < math.inf:
        powers = proportional ** float(scheme)
        if not powers.isfinite().all():  # only ratios matter, and those to the largest stay in the range
            powers = (share / share.amax(-1, keepdim=True)) ** float(scheme)
        return powers / powers.mean(-1, keepdim=True)
    if scheme == "uniform":
        return torch.ones_like(proportional)
    if scheme == "proportional":
        return proportional
    if scheme == "sqrt":
        return proportional.sqrt()
    raise InputError(f"weights = {scheme!r}, but it must be uniform, proportional, sqrt, or an exponent >= 0")
