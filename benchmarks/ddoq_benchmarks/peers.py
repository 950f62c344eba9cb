"""What `ddoq bench` compares: samples, and quantizing functions of this package and of other libraries.

A method takes samples (n, d), a number of points K and a seed, and returns points (K, d).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.quantization import best_of_restarts, clvq, lloyd, power_steps

QuantizerCall = Callable[[Float[ndarray, "n d"], int, int], Float[ndarray, "K d"]]  # samples, K, seed -> points


def latents(n: int, d: int, modes: int = 30) -> Float[ndarray, "n d"]:
    """Stand-in for the latents of one class: modes of unequal mass and a decreasing spectrum."""
    rng = np.random.default_rng(0)
    scale = np.sqrt(1 / (1 + np.arange(d)), dtype=np.float32)
    centres = rng.standard_normal((modes, d), dtype=np.float32)
    own = rng.standard_normal((n, d), dtype=np.float32)
    return (0.8 * centres[rng.choice(modes, n, p=rng.dirichlet(np.ones(modes)))] + own) * scale


def normal(n: int, d: int) -> Float[ndarray, "n d"]:
    """Samples of N(0, I)."""
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)


def common_start(X: Float[ndarray, "n d"], K: int, seed: int) -> Float[ndarray, "K d"]:
    """The same K samples for every method that accepts a start."""
    return X[np.random.default_rng(seed).choice(len(X), K, replace=False)]


def ours_best(n_restarts: int) -> QuantizerCall:
    """Lloyd, the best of k-means++ starts (on a line: the optimum)."""

    def run(X: ndarray, K: int, seed: int) -> ndarray:
        rng = np.random.default_rng(seed)
        return best_of_restarts(torch.from_numpy(X), K, n_restarts=n_restarts, rng=rng).points.numpy()

    return run


def ours_levels(X: ndarray, K: int, seed: int) -> ndarray:
    """Ten starts at each of four levels in one call; the points of level K."""
    levels, rng = (10, 50, 100, 200), np.random.default_rng(seed)
    found = best_of_restarts(torch.from_numpy(X), levels, n_restarts=10, rng=rng)
    return found[levels.index(K)].points.numpy()


def ours_lloyd(X: ndarray, K: int, seed: int) -> ndarray:
    """Lloyd's algorithm from given points."""
    codebook = torch.from_numpy(common_start(X, K, seed))
    return lloyd(torch.from_numpy(X), codebook, max_iter=10, tol=0).points.numpy()


def ours_clvq(X: ndarray, K: int, seed: int) -> ndarray:
    """Algorithm 1, one pass."""
    return clvq(torch.from_numpy(X), torch.from_numpy(common_start(X, K, seed)), steps=power_steps(K)).points.numpy()


def sklearn_kmeans(**options) -> QuantizerCall:
    """scikit-learn's KMeans; `max_iter` from the common start."""

    def run(X: ndarray, K: int, seed: int) -> ndarray:
        from sklearn.cluster import KMeans

        given = {"init": common_start(X, K, seed), "n_init": 1, "tol": 0} if "max_iter" in options else {}
        return KMeans(K, random_state=seed, **options, **given).fit(X).cluster_centers_

    return run


def sklearn_minibatch(X: ndarray, K: int, seed: int) -> ndarray:
    """scikit-learn's MiniBatchKMeans with default settings."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(K, random_state=seed).fit(X).cluster_centers_


def sklearn_as_d4m(X: ndarray, K: int, seed: int) -> ndarray:
    """MiniBatchKMeans as D4M calls it on ImageNet: one pass in batches of K, starting from the first batch."""
    from sklearn.cluster import MiniBatchKMeans

    X = X[np.random.default_rng(seed).permutation(len(X))]
    model = MiniBatchKMeans(K, random_state=0, batch_size=K, n_init="auto")
    for first in range(0, len(X) - K + 1, K):
        model.partial_fit(X[first : first + K])
    return model.cluster_centers_


def faiss_kmeans(iterations: int) -> QuantizerCall:
    """faiss.Kmeans on all samples from the common start."""

    def run(X: ndarray, K: int, seed: int) -> ndarray:
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        model = faiss.Kmeans(X.shape[1], K, niter=iterations, min_points_per_centroid=1, max_points_per_centroid=len(X))
        model.train(X, init_centroids=common_start(X, K, seed))
        return model.centroids

    return run


def super_kmeans(iterations: int) -> QuantizerCall:
    """superkmeans, SIMD with pruning, all samples, from its own random start, since it accepts none."""

    def run(X: ndarray, K: int, seed: int) -> ndarray:
        import superkmeans

        model = superkmeans.SuperKMeans(
            K, X.shape[1], hierarchical=False, iters=iterations, sampling_fraction=1.0, max_points_per_cluster=len(X),
            early_termination=False, n_threads=torch.get_num_threads(), seed=seed,
        )  # fmt: skip
        return model.train(X)

    return run


def plain_torch(X: ndarray, K: int, seed: int) -> ndarray:
    """Lloyd's algorithm in plain torch."""
    samples, points = torch.from_numpy(X), torch.from_numpy(common_start(X, K, seed))
    for _ in range(10):
        labels = torch.cat([torch.cdist(part, points).argmin(1) for part in samples.split(2**16)])
        counts = torch.bincount(labels, minlength=K)[:, None]
        points = torch.zeros_like(points).index_add_(0, labels, samples) / counts.clamp_min(1)
    return points.numpy()


def exact_line(X: ndarray, K: int, seed: int) -> ndarray:
    """The optimum on a line by dynamic programming."""
    import kmeans1d

    return np.array(kmeans1d.cluster(X[:, 0].tolist(), K).centroids, np.float32)[:, None]


def numpy_clvq(X: ndarray, K: int, seed: int) -> ndarray:
    """Algorithm 1 in plain NumPy."""
    x, gamma = common_start(X, K, seed).astype(np.float64), power_steps(K)(np.arange(len(X)))
    w = np.full(K, 1 / K)
    for sample, g in zip(X.astype(np.float64), gamma, strict=True):
        win = ((sample - x) ** 2).sum(1).argmin()
        x[win] = (1 - g) * x[win] + g * sample
        w *= 1 - g
        w[win] += g
    return x.astype(np.float32)
