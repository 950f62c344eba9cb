"""Product quantizers of independent coordinates, and the best number of points for each coordinate."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError
from .exact import ExactQuantizer
from .voronoi import at_least


def product_quantizer(factors: Sequence[ExactQuantizer]) -> ExactQuantizer:
    """All combinations of the points of quantizers of independent coordinates, with the products of their weights.

    Its cells are boxes, and its distortion is the sum of the coordinates'. It is stationary if they are, and rarely
    optimal.

    Returns:
        ExactQuantizer with points (K_1 ... K_d, d); the last coordinate varies fastest.
    Raises:
        InputError: no factors.
    """
    if not factors:
        raise InputError("a product of no quantizers has no points; give one quantizer for each coordinate")
    places = np.stack(np.meshgrid(*(q.points for q in factors), indexing="ij"), -1).reshape(-1, len(factors))
    weights = functools.reduce(np.multiply.outer, (q.weights for q in factors)).ravel()
    return ExactQuantizer(places, weights, sum(q.distortion for q in factors), len(factors) == 1 and factors[0].optimal)


def allocate(
    variances: Float[ndarray, " d"], K: int, distortion: Callable[[int], float]
) -> tuple[tuple[int, ...], float]:
    """The best sizes K_1 >= K_2 >= ... with product at most K for sum_i v_i G(K_i), and that sum.

    Args:
        variances: v_1 >= v_2 >= ... > 0; sizes are 1 from some coordinate on, and these are left out.
        distortion: G(k) of the coordinates' law with variance 1, so G(1) = 1; it decreases with k.
    """
    at_least(1, K=K)
    v, left = np.append(variances, 0.0), np.append(np.cumsum(variances[::-1])[::-1], [0.0, 0.0])

    @functools.cache
    def best(i: int, K: int) -> tuple[tuple[int, ...], float]:
        """Sizes of the coordinates from i on, and their cost."""
        sizes, cost = (), left[i]
        if i == len(variances):
            return sizes, cost
        for k in range(2, K + 1):
            others, rest = best(i + 1, K // k)
            if rest >= cost:  # it only grows with k
                break
            if v[i] * distortion(k) + rest < cost:
                sizes, cost = (k, *others), v[i] * distortion(k) + rest
        return sizes, float(cost)

    return best(0, K)
