"""Mini-batch k-means: as printed in Algorithm 3, one sample at a time, and as D4M's released code runs it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .clvq import OnlineQuantizer, recount
from .kernels import learn_minibatch
from .voronoi import Iterate, at_least, distortion, on_one_scale, scaled, scaled_back


def minibatch(
    samples: Tensor, codebook: Tensor, *, passes: int = 1,
    rng: np.random.Generator | None = None, callback: Callable[[Iterate], None] | None = None,
) -> OnlineQuantizer:  # fmt: skip
    """Mini-batch k-means (Algorithm 3, lines 3-11), run `passes` times, each from the points of the one before.

    As printed, samples inside a batch come one at a time, so the batch size changes nothing and is not a parameter.
    Each run starts with v = 1 and forgets the last one except for its points. Each point has its own step 1/v: this is
    MacQueen's k-means, not CLVQ, whose step is shared by all points.

    Args:
        samples: n points (n, d), finite; one pass uses each once.
        codebook: the K starting points (K, d); not modified.
        passes: 1 is the paper's and D4M's.
        rng: orders the samples in each pass; None keeps the given order.
        callback: called after every step with |X - x_win|^2.
    Returns:
        OnlineQuantizer of the pass with the lowest distortion. `companion` is its v / sum v, which also counts the
            start and samples lost since. `counts` are those of the exact cells. `history` is the distortion at the
            start and after each pass.
    Raises:
        InputError: K, samples or points that `lloyd` refuses, or `passes` < 1.
    """
    at_least(1, passes=passes)
    samples, codebook, exponent = on_one_scale(samples, codebook, start=True)
    n, X, x = len(samples), samples.double().numpy(), codebook.double().numpy().T.copy()
    history = [distortion(samples, codebook)]
    for first in range(0, passes * n, n):
        order, v = np.arange(n) if rng is None else rng.permutation(n), np.ones(x.shape[1])
        at_once = n if callback is None else 1
        for k in range(0, n, at_once):
            squared = learn_minibatch(X, order[k : k + at_once], x, v)
            if callback is not None:
                callback(scaled_back(Iterate(first + k + 1, torch.from_numpy(x.T), squared), exponent))
        history.append(distortion(samples, torch.from_numpy(x.T.copy()).to(samples.dtype)))
        if history[-1] == min(history[1:]):
            best, best_v = x.copy(), v
    return scaled_back(recount(samples, best, history, best_v / best_v.sum()), exponent)


def d4m_minibatch(samples: Tensor, K: int, rng: np.random.Generator) -> OnlineQuantizer:
    """scikit-learn's MiniBatchKMeans, called as in D4M's released code for ImageNet: one pass in batches of K.

    The first batch is the start, and the last n mod K samples are left out. Points that win too rarely are moved to
    random samples of a batch, with a count that they have not won. So scikit-learn's own counts, which are most likely
    the weights in the paper, are not the sizes of cells.

    Args:
        samples: (n, d), finite.
        rng: orders the samples and seeds scikit-learn.
    Returns:
        OnlineQuantizer: `companion` is scikit-learn's own counts over their sum; `counts` are those of the exact cells.
    Raises:
        InputError: K < 1, K > n, or a sample that is not finite.
    """
    from sklearn.cluster import MiniBatchKMeans  # takes a second

    samples, exponent = scaled(samples, K)
    X = samples.numpy()[rng.permutation(len(samples))]
    model = MiniBatchKMeans(K, batch_size=K, n_init="auto", random_state=int(rng.integers(2**31)))
    for first in range(0, len(X) - K + 1, K):
        model.partial_fit(X[first : first + K])
    mass = model._counts / model._counts.sum()
    return scaled_back(recount(samples, model.cluster_centers_.astype(np.float64).T, [], mass), exponent)
