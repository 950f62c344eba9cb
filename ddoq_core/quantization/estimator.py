"""Optimal quantization with scikit-learn's interface: KMeans' methods, this package's algorithms, and the weights."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..errors import InputError
from .clvq import power_steps
from .kernels import learn_clvq
from .lloyd import STARTS, best_of_restarts, lloyd
from .seeding import kmeans_plus_plus
from .voronoi import assign, at_least, on_one_scale, shifted, squared_distances, squares_back


class OptimalQuantizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """The best K-point quantizer of a sample in W_2 (Definition 1), by Lloyd's algorithm (Algorithm 2).

    `partial_fit` learns from batches of samples, by CLVQ (Algorithm 1).

    Args:
        n_clusters: K, the number of points.
        init: `k-means++` (on a line: the optimal point density), `random` samples, or the K starting points.
        n_init: number of starts; the best is kept. 1 if the points are given. `auto` is 10.
        max_iter: maximum number of iterations of one run.
        tol: a run ends when its distortion falls by no more than this fraction.
        random_state: seed or generator of the starts.
        n_jobs: threads; None is as many as PyTorch uses, -1 all processors. The result does not depend on it.

    Attributes:
        cluster_centers_: the points, (K, d).
        weights_: cell masses, (K,), sum 1: with the points, the measure closest to the sample in W_2 (Proposition 2).
        distortion_: mean squared distance from a sample to its point, W_2^2 to the sample.
        labels_: cell of each sample, (n,).
        n_iter_: iterations of the run that was kept.
        n_steps_: samples seen so far, with those of `fit`; only `partial_fit` sets it, and it removes `labels_` and
            `n_iter_`.
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions(set(STARTS)), "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
    }

    @no_type_check  # scikit-learn requires that any value is accepted here; `fit` checks them
    def __init__(
        self, n_clusters: int = 8, *, init: str | Float[ndarray, "K d"] = "k-means++", n_init: int | str = 10,
        max_iter: int = 300, tol: float = 1e-6, random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:  # fmt: skip
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "OptimalQuantizer":
        """Find the points and their weights. A sample of weight 0 counts as absent.

        Args:
            X, sample_weight: (n, d) and (n,), in any form that scikit-learn accepts.
        Raises:
            InputError: K is above the number of samples with a weight, or not that of `init`; it is a ValueError.
            InvalidParameterError: a parameter out of its range; also a ValueError.
        Warns:
            ConvergenceWarning: points without samples, usually because there are fewer distinct samples.
        """
        X = validate_data(self, _dense(X), dtype=[np.float64, np.float32])
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept, weighs = _tensor(X[mass > 0]), _tensor(mass[mass > 0])
        options = {"mass": weighs, "max_iter": self.max_iter, "tol": self.tol}
        with _threads(self.n_jobs):
            if isinstance(self.init, str):
                rng, n_restarts = self._rng(), 10 if self.n_init == "auto" else self.n_init
                options |= {"n_restarts": n_restarts, "rng": rng, "init": self.init}
                found = best_of_restarts(kept, self.n_clusters, **options)
            else:
                found = lloyd(kept, _tensor(self._given(X)), **options)
        n_cells = int((found.counts > 0).sum())
        if n_cells < len(found.counts):
            what = f"only {n_cells} of {len(found.counts)} points have samples in their cells, the others have weight 0"
            warnings.warn(f"{what}; X may have fewer distinct samples than points", ConvergenceWarning, stacklevel=2)
        self.cluster_centers_ = found.points.numpy()
        self.weights_ = found.weights.numpy()
        self.distortion_ = found.distortion
        self.labels_ = self._cells(X)
        self.__dict__.pop("n_steps_", None)
        self._n_features_out = len(self.cluster_centers_)
        self.n_iter_ = max(1, len(found.history) - 1)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "OptimalQuantizer":
        """Learn from more samples by CLVQ (Algorithm 1), each used once, in order, with the steps of `power_steps`.

        The first call continues from the points and weights of `fit`, or finds a start on its samples. `weights_` are
        the algorithm's estimates of the cell masses (line 7), and `distortion_` is that of these samples for the new
        points.

        Args:
            X: (n, d); without `fit`, the first call needs at least K samples.
        Raises:
            InputError: fewer samples than points at a start, or another K than before; it is a ValueError.
        """
        fresh = not hasattr(self, "cluster_centers_")
        X = validate_data(self, _dense(X), reset=fresh, dtype=[np.float64, np.float32])
        with _threads(self.n_jobs):
            if fresh:
                given = None if isinstance(self.init, str) else self._given(X)
                start = kmeans_plus_plus(_tensor(X), self.n_clusters, self._rng()).numpy() if given is None else given
                self.cluster_centers_, self.n_steps_ = start.astype(X.dtype), 0
                self.weights_ = np.full(self.n_clusters, 1 / self.n_clusters)
                self._n_features_out = self.n_clusters
            elif self.n_clusters != len(self.weights_):
                raise InputError(f"n_clusters = {self.n_clusters}, but there are {len(self.weights_)} points; call fit")
            met = len(self.labels_) if hasattr(self, "labels_") else self.n_steps_
            batch, x, exponent = on_one_scale(_tensor(X.astype(np.float64)), _tensor(self.cluster_centers_))
            columns = x.numpy().T.copy()  # neighbours in memory are compared
            gamma = power_steps(self.n_clusters)(np.arange(met, met + len(X)))
            learn_clvq(batch.numpy(), np.arange(len(X)), gamma, columns, self.weights_)
            points = shifted(_tensor(columns.T), exponent).numpy()
            self.cluster_centers_ = points.astype(self.cluster_centers_.dtype)
            self.distortion_ = -self.score(X) / len(X)
            self.n_steps_ = met + len(X)
        for name in ("labels_", "n_iter_"):
            self.__dict__.pop(name, None)
        return self

    def sample(self, n_samples: int = 1) -> tuple[Float[ndarray, "n d"], Int[ndarray, " n"]]:
        """Draws from the quantized law sum_i w_i delta(x_i), and the index i of each, as in `GaussianMixture`."""
        check_is_fitted(self)
        at_least(1, n_samples=n_samples)
        which = self._rng().choice(len(self.weights_), n_samples, p=self.weights_ / self.weights_.sum())
        return self.cluster_centers_[which], which

    def predict(self, X: Any) -> Int[ndarray, " n"]:
        """Voronoi cell of each sample X, (n, d) (eq. 6)."""
        return self._cells(self._checked(X))

    def transform(self, X: Any) -> Float[ndarray, "n K"]:
        """Distance of each sample X, (n, d), to each point."""
        X, x, exponent = on_one_scale(_tensor(self._checked(X)), _tensor(self.cluster_centers_))
        with _threads(self.n_jobs):
            return shifted(squared_distances(X, x).sqrt(), exponent).numpy()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the sum of the squared distances from samples to their points, as in KMeans."""
        X = self._checked(X)
        mass = _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, x, exponent = on_one_scale(_tensor(X), _tensor(self.cluster_centers_))
        with _threads(self.n_jobs):
            cost = (X - x[assign(X, x)]).square().numpy().sum(1)
        return squares_back(-float(mass @ cost), exponent)

    def _checked(self, X: Any) -> Float[ndarray, "n d"]:
        check_is_fitted(self)
        return validate_data(self, _dense(X), reset=False, dtype=self.cluster_centers_.dtype)

    def _cells(self, X: Float[ndarray, "n d"]) -> Int[ndarray, " n"]:
        with _threads(self.n_jobs):
            return assign(_tensor(X), _tensor(self.cluster_centers_)).numpy()

    def _given(self, X: Float[ndarray, "n d"]) -> Float[ndarray, "K d"]:
        """The starting points of `init`, checked."""
        start = validate_data(self, self.init, reset=False, dtype=X.dtype)
        if len(start) != self.n_clusters:
            raise InputError(f"init has {len(start)} points, but n_clusters = {self.n_clusters}; give as many points")
        return start

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(check_random_state(self.random_state).randint(2**31))


def _dense(X: Any) -> Any:
    """X, unless it is sparse, since centroids are dense."""
    if issparse(X):
        raise InputError("X is sparse, but the points of a quantizer are dense; give X.toarray()")
    return X


@contextlib.contextmanager
def _threads(n_jobs: int | None) -> Iterator[None]:
    """Set the number of threads of PyTorch, which the compiled loops use too."""
    before = torch.get_num_threads()
    if n_jobs is not None and not (n_jobs == -1 or n_jobs >= 1):
        raise InputError(f"n_jobs = {n_jobs}, but it must be None, -1 for all processors, or at least 1")
    torch.set_num_threads(before if n_jobs is None else os.cpu_count() if n_jobs == -1 else int(n_jobs))  # type: ignore[arg-type]
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tensor(values: ndarray) -> torch.Tensor:
    """A tensor from contiguous, writable memory, which a memory map may not be."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
