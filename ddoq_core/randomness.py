"""Randomness by key: a draw depends on (seed, step, class, item), and never on the order of calls.

So no result depends on the number of workers, on batch sizes, or on an interruption.
"""

import hashlib
import json

import numpy as np
import torch


def key_of(seed: int, step: str, *path: int | str) -> int:
    """256-bit integer that names one stream of draws: SHA-256 of (seed, step, *path)."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, step, *path]).encode()).digest(), "big")


def numpy_rng(seed: int, step: str, *path: int | str) -> np.random.Generator:
    """NumPy generator of the stream (seed, step, *path)."""
    return np.random.default_rng(np.random.SeedSequence(key_of(seed, step, *path)))


def torch_rng(seed: int, step: str, *path: int | str) -> torch.Generator:
    """CPU torch generator of the stream (seed, step, *path); drawn on the CPU so that devices agree."""
    return torch.Generator().manual_seed(key_of(seed, step, *path) % 2**63)
