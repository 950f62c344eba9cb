"""Optimal quantization: codebooks, their Voronoi cells, and the weights that make them closest to mu in W_2."""

from typing import TYPE_CHECKING

from .clvq import OnlineQuantizer, clvq, power_steps, sampled_quantizer
from .exact import (
    ExactQuantizer,
    exact_centroids,
    exact_distortion,
    exact_gradient,
    exact_quantizer,
    finite_differences,
    uniform_quantizer,
)
from .lloyd import best_of_restarts, lloyd
from .minibatch import minibatch
from .seeding import companding, kmeans_plus_plus, random_samples
from .voronoi import Iterate, Quantizer, assign, distortion, quantize
from .weights import companion_weights

if TYPE_CHECKING:  # type checkers do not call __getattr__
    from .estimator import OptimalQuantizer

__all__ = [
    "ExactQuantizer",
    "Iterate",
    "OnlineQuantizer",
    "OptimalQuantizer",
    "Quantizer",
    "assign",
    "best_of_restarts",
    "clvq",
    "companding",
    "companion_weights",
    "distortion",
    "exact_centroids",
    "exact_distortion",
    "exact_gradient",
    "exact_quantizer",
    "finite_differences",
    "kmeans_plus_plus",
    "lloyd",
    "minibatch",
    "power_steps",
    "quantize",
    "random_samples",
    "sampled_quantizer",
    "uniform_quantizer",
]


def __getattr__(name: str) -> type:
    if name != "OptimalQuantizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .estimator import OptimalQuantizer  # scikit-learn takes a second to import

    return OptimalQuantizer
