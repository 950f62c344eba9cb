"""The optimal quantizer for users of scikit-learn: KMeans' interface, this package's algorithms, and the weights."""

from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .lloyd import best_of_restarts, lloyd
from .voronoi import assign, squared_distances


class OptimalQuantizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """The best K-point quantizer of a sample in W_2 (Definition 1), by Lloyd's algorithm (Algorithm 2).

    Args:
        n_clusters: K, the number of points.
        init: `k-means++` (on a line: the optimal point density), `random` samples, or the K starting points.
        n_init: starts, of which the best is kept; 1 if the points are given.
        max_iter: most moves of the points in one run.
        tol: a run ends when its distortion falls by no more than this fraction.
        random_state: seed or generator of the starts.

    Attributes:
        cluster_centers_: the points, (K, d).
        weights_: cell masses, (K,), sum 1: with the points, the measure closest to the sample in W_2 (Proposition 2).
        distortion_: mean squared distance of a sample to its point, W_2^2 to the sample.
        labels_: cell of each sample, (n,).
        n_iter_: moves of the run that was kept.
    """

    def __init__(
        self, n_clusters: int = 8, *, init: str | Float[ndarray, "K d"] = "k-means++", n_init: int = 10,
        max_iter: int = 300, tol: float = 1e-6, random_state: int | np.random.RandomState | None = None,
    ) -> None:  # fmt: skip
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Float[ndarray, "n d"], y: None = None, sample_weight: Float[ndarray, " n"] | None = None) -> Self:
        """Find the points and their weights. A sample of weight 0 is as good as left out.

        Raises:
            InputError: K above the number of samples, or an unknown `init`; it is a ValueError.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept, weighs = _tensor(X[mass > 0]), _tensor(mass[mass > 0])
        options = {"mass": weighs, "max_iter": self.max_iter, "tol": self.tol}
        if isinstance(self.init, str):
            seed = check_random_state(self.random_state).randint(2**31)
            rng = np.random.default_rng(seed)
            found = best_of_restarts(kept, self.n_clusters, n_restarts=self.n_init, rng=rng, init=self.init, **options)
        else:
            start = validate_data(self, self.init, reset=False, dtype=X.dtype)
            found = lloyd(kept, _tensor(start), **options)
        self.cluster_centers_ = found.points.numpy()
        self.weights_ = found.weights.numpy()
        self.distortion_ = found.distortion
        self.labels_ = self._cells(X)
        self._n_features_out = len(self.cluster_centers_)
        self.n_iter_ = max(1, len(found.history) - 1)
        return self

    def predict(self, X: Float[ndarray, "n d"]) -> ndarray:
        """Voronoi cell of each sample (eq. 6)."""
        return self._cells(self._checked(X))

    def transform(self, X: Float[ndarray, "n d"]) -> Float[ndarray, "n K"]:
        """Distance of each sample to each point."""
        return squared_distances(_tensor(self._checked(X)), _tensor(self.cluster_centers_)).sqrt().numpy()

    def score(
        self, X: Float[ndarray, "n d"], y: None = None, sample_weight: Float[ndarray, " n"] | None = None
    ) -> float:
        """Minus the sum of the squared distances of samples to their points, as KMeans has it."""
        X = self._checked(X)
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64)
        return -float(mass @ ((X - self.cluster_centers_[self._cells(X)]) ** 2).sum(1))

    def _checked(self, X: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=self.cluster_centers_.dtype)

    def _cells(self, X: Float[ndarray, "n d"]) -> ndarray:
        return assign(_tensor(X), _tensor(self.cluster_centers_)).numpy()


def _tensor(values: ndarray) -> torch.Tensor:
    """As PyTorch takes it: contiguous and writable, which a memory map may not be."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
