"""The optimal quantizer for users of scikit-learn: KMeans' interface, this package's algorithms, and the weights."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..errors import InputError
from .lloyd import STARTS, best_of_restarts, lloyd
from .voronoi import assign, on_one_scale, shifted, squared_distances, squares_back


class OptimalQuantizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """The best K-point quantizer of a sample in W_2 (Definition 1), by Lloyd's algorithm (Algorithm 2).

    Args:
        n_clusters: K, the number of points.
        init: `k-means++` (on a line: the optimal point density), `random` samples, or the K starting points.
        n_init: starts, of which the best is kept; 1 if the points are given. `auto` is 10.
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

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions(set(STARTS)), "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    @no_type_check  # scikit-learn asks that any value be taken here; `fit` checks them
    def __init__(
        self, n_clusters: int = 8, *, init: str | Float[ndarray, "K d"] = "k-means++", n_init: int | str = 10,
        max_iter: int = 300, tol: float = 1e-6, random_state: int | np.random.RandomState | None = None,
    ) -> None:  # fmt: skip
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "OptimalQuantizer":
        """Find the points and their weights. A sample of weight 0 is as good as left out.

        Args:
            X, sample_weight: (n, d) and (n,), in any form that scikit-learn takes.
        Raises:
            InputError: K above the number of samples that have a weight, or not that of `init`; it is a ValueError.
            InvalidParameterError: a parameter out of its range; it is a ValueError too.
        Warns:
            ConvergenceWarning: points without samples, most often because fewer samples are distinct.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept, weighs = _tensor(X[mass > 0]), _tensor(mass[mass > 0])
        options = {"mass": weighs, "max_iter": self.max_iter, "tol": self.tol}
        if isinstance(self.init, str):
            seed = check_random_state(self.random_state).randint(2**31)
            rng = np.random.default_rng(seed)
            n_restarts = 10 if self.n_init == "auto" else self.n_init
            found = best_of_restarts(kept, self.n_clusters, n_restarts=n_restarts, rng=rng, init=self.init, **options)
        else:
            start = validate_data(self, self.init, reset=False, dtype=X.dtype)
            if len(start) != self.n_clusters:
                raise InputError(f"init has {len(start)} points, but n_clusters = {self.n_clusters}; give as many")
            found = lloyd(kept, _tensor(start), **options)
        n_cells = int((found.counts > 0).sum())
        if n_cells < len(found.counts):
            what = f"only {n_cells} of {len(found.counts)} points have samples in their cells, the others have weight 0"
            warnings.warn(f"{what}; X may have fewer distinct samples than points", ConvergenceWarning, stacklevel=2)
        self.cluster_centers_ = found.points.numpy()
        self.weights_ = found.weights.numpy()
        self.distortion_ = found.distortion
        self.labels_ = self._cells(X)
        self._n_features_out = len(self.cluster_centers_)
        self.n_iter_ = max(1, len(found.history) - 1)
        return self

    def predict(self, X: Any) -> Int[ndarray, " n"]:
        """Voronoi cell of each sample X, (n, d) (eq. 6)."""
        return self._cells(self._checked(X))

    def transform(self, X: Any) -> Float[ndarray, "n K"]:
        """Distance of each sample X, (n, d), to each point."""
        X, x, exponent = on_one_scale(_tensor(self._checked(X)), _tensor(self.cluster_centers_))
        return shifted(squared_distances(X, x).sqrt(), exponent).numpy()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the sum of the squared distances of samples to their points, as KMeans has it."""
        X = self._checked(X)
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, x, exponent = on_one_scale(_tensor(X), _tensor(self.cluster_centers_))
        return squares_back(-float(mass @ (X - x[assign(X, x)]).square().numpy().sum(1)), exponent)

    def _checked(self, X: Any) -> Float[ndarray, "n d"]:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=self.cluster_centers_.dtype)

    def _cells(self, X: Float[ndarray, "n d"]) -> Int[ndarray, " n"]:
        return assign(_tensor(X), _tensor(self.cluster_centers_)).numpy()


def _tensor(values: ndarray) -> torch.Tensor:
    """As PyTorch takes it: contiguous and writable, which a memory map may not be."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
