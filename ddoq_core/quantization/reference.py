"""Algorithms 1, 2 and 3 of the paper as printed, in plain NumPy, with the numbers of its lines.

They are for reading, and for testing the fast versions `clvq`, `lloyd` and `minibatch`. The law mu is that of n
samples, the codebook x has K points, and the input is not checked.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.linalg import norm


def algorithm_1(
    samples: Float[ndarray, "n d"], x: Float[ndarray, "K d"], steps: Iterable[float]
) -> tuple[Float[ndarray, "K d"], Float[ndarray, " K"]]:
    """CLVQ: points x and companion weights w after one step gamma_k for each sample X_k.

    The paper prints the step with the index i of the point; it means that of the sample.
    """
    K = len(x)
    x, w = x.copy(), np.full(K, 1 / K)  # line 1
    for X, gamma in zip(samples, steps, strict=True):  # lines 2-4, 8
        win = norm(X - x, axis=1).argmin()  # line 5
        x[win] = (1 - gamma) * x[win] + gamma * X  # line 6
        w = (1 - gamma) * w + gamma * (np.arange(K) == win)  # line 7
    return x, w


def algorithm_2(samples: Float[ndarray, "n d"], x: Float[ndarray, "K d"]) -> Float[ndarray, "K d"]:
    """Lloyd I (k-means): points that are the means of their Voronoi cells.

    A point without samples stays where it is, since line 4 would divide by 0.
    """
    while True:  # lines 1, 2, 5
        cell = norm(samples[:, None] - x, axis=2).argmin(1)  # line 3
        means = [samples[cell == i].mean(0) if i in cell else x[i] for i in range(len(x))]  # line 4
        if np.array_equal(means, x):
            return x
        x = np.stack(means)


def algorithm_3(
    batches: Iterable[Float[ndarray, "_ d"]], z: Float[ndarray, "K d"]
) -> tuple[Float[ndarray, "K d"], Float[ndarray, " K"]]:
    """D4M, lines 3-11, for one class: centroids z and update counts v after one pass over batches of latents.

    The printed algorithm returns z alone. Lines 1 and 12-13 encode and decode.
    """
    z, v = z.copy(), np.ones(len(z))  # lines 3-4
    for batch in batches:  # line 5
        for latent in batch:  # line 6
            k = norm(z - latent, axis=1).argmin()  # line 7
            v[k] += 1  # line 8
            z[k] = (1 - 1 / v[k]) * z[k] + (1 / v[k]) * latent  # line 9
    return z, v
