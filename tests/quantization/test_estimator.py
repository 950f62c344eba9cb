"""The estimator keeps scikit-learn's promises, and its weights are cell masses."""

import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ddoq_core.errors import InputError
from ddoq_core.quantization import OptimalQuantizer, clvq, power_steps, quantize
from ddoq_core.quantization import best_of_restarts as best
from ddoq_core.quantization import estimator as module
from ddoq_core.randomness import numpy_rng

FAILS = {
    "check_sample_weight_equivalence_on_dense_data": "k-means++ draws rows, so that repeated rows draw others; "
    "scikit-learn's KMeans fails it for the same reason",
}


@parametrize_with_checks([OptimalQuantizer()], expected_failed_checks=lambda _: FAILS)
def test_it_is_an_estimator(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    return numpy_rng(0, "test").standard_normal((400, 3))


def test_weights_and_distortion_are_those_of_the_quantizer_on_its_points(X):
    found = OptimalQuantizer(6, random_state=0).fit(X)
    exact = quantize(torch.from_numpy(X), torch.from_numpy(found.cluster_centers_))
    np.testing.assert_allclose(found.weights_, exact.weights)
    assert found.distortion_ == pytest.approx(exact.distortion)
    np.testing.assert_array_equal(np.bincount(found.predict(X), minlength=6), exact.counts)
    assert found.score(X) == pytest.approx(-400 * exact.distortion)
    assert found.transform(X).argmin(1).tolist() == found.labels_.tolist()


def test_sample_weights_are_repetitions_from_given_points(X):
    repeats = np.arange(400) % 3
    start = OptimalQuantizer(5, init=X[:5], n_init=1)
    weighed = start.fit(X, sample_weight=repeats).cluster_centers_.copy()
    np.testing.assert_allclose(weighed, start.fit(np.repeat(X, repeats, axis=0)).cluster_centers_)


def test_it_is_a_step_of_a_pipeline(X):
    fitted = make_pipeline(StandardScaler(), OptimalQuantizer(4, random_state=0)).fit(X)
    assert fitted.predict(X).shape == (400,)
    assert list(fitted[-1].get_feature_names_out()) == [f"optimalquantizer{i}" for i in range(4)]


def test_more_points_than_samples_are_refused():
    with pytest.raises(InputError, match="K = 8, but there are 3 samples"):
        OptimalQuantizer(8).fit(np.eye(3))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("n_clusters", value) for value in (0, -1, 2.0, "3", None)),
        *(("init", value) for value in ("kmeans++", 3, None)),
        *(("n_init", value) for value in (0, -1, 1.5, "many", None)),
        *(("max_iter", value) for value in (0, -1, 10.0, "all", None)),
        *(("tol", value) for value in (-1e-3, np.nan, np.inf, "small", None)),
        *(("random_state", value) for value in (-1, 0.5, "seed")),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_as_scikit_learn_does(X, parameter, value):
    with pytest.raises(ValueError, match=f"The '{parameter}' parameter of OptimalQuantizer must be"):
        OptimalQuantizer(3).set_params(**{parameter: value}).fit(X)


def test_numpy_numbers_are_numbers(X):
    plain = OptimalQuantizer(3, n_init=2, max_iter=5, tol=0.25, random_state=1).fit(X)
    numbers = {"n_init": np.int32(2), "max_iter": np.uint8(5), "tol": np.float32(0.25), "random_state": np.int64(1)}
    np.testing.assert_array_equal(OptimalQuantizer(np.int64(3), **numbers).fit(X).labels_, plain.labels_)


def test_a_grid_search_goes_through_the_numbers_of_an_array(X):
    search = GridSearchCV(
        OptimalQuantizer(random_state=0), {"n_clusters": np.arange(2, 4), "tol": np.logspace(-6, -4, 2)}
    )
    assert search.fit(X).best_params_["n_clusters"] == 3  # more points are nearer


def test_auto_is_ten_starts(X):
    auto, ten = (OptimalQuantizer(5, n_init=n, random_state=0).fit(X) for n in ("auto", 10))
    np.testing.assert_array_equal(auto.cluster_centers_, ten.cluster_centers_)


def test_given_points_are_as_many_as_clusters(X):
    with pytest.raises(InputError, match="init has 5 points, but n_clusters = 8; give as many"):
        OptimalQuantizer(init=X[:5]).fit(X)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_fewer_distinct_samples_than_points_are_said_once(X, d, init):
    repeated = np.repeat(X[:3, :d], 7, axis=0)
    with pytest.warns(ConvergenceWarning, match="only 3 of 5 points have samples in their cells") as said:
        found = OptimalQuantizer(5, init=init, random_state=0).fit(repeated)
    assert len(said) == 1
    assert sorted(found.weights_) == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3]) and found.distortion_ < 1e-30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OptimalQuantizer(3, init=init, random_state=0).fit(repeated)


def test_a_score_is_in_the_unit_of_the_samples(X):
    small, plain = (OptimalQuantizer(3, init=Y[:3]).fit(Y).score(Y) for Y in (X * 2.0**-300, X))
    assert small == plain * 2.0**-600
    with pytest.raises(InputError, match="leave the range of float64"):
        OptimalQuantizer(3, init=X[:3]).fit(X).score(X * 1e160)


def test_partial_fit_is_clvq_whatever_the_batches(X):
    whole, parts = (OptimalQuantizer(4, init=X[:4]) for _ in range(2))
    whole.partial_fit(X)
    for first in range(0, 400, 80):
        parts.partial_fit(X[first : first + 80])
    steps = power_steps(4)
    expected = clvq(torch.from_numpy(X), torch.from_numpy(X[:4]), steps=steps)
    np.testing.assert_allclose(parts.cluster_centers_, expected.points, rtol=1e-9)
    np.testing.assert_array_equal(parts.cluster_centers_, whole.cluster_centers_)
    np.testing.assert_allclose(parts.weights_, expected.companion, rtol=1e-9)
    assert parts.n_steps_ == 400 and whole.distortion_ == pytest.approx(expected.distortion)
    assert parts.fit(X).cluster_centers_.shape == (4, 3) and not hasattr(parts, "n_steps_")


def test_partial_fit_starts_from_its_first_samples_alone(X):
    found = OptimalQuantizer(3, random_state=0).partial_fit(X[:50])
    again = OptimalQuantizer(3, random_state=0).partial_fit(X[:50])
    np.testing.assert_array_equal(found.cluster_centers_, again.cluster_centers_)
    assert found.predict(X).shape == (400,) and found.weights_.sum() == pytest.approx(1)
    with pytest.raises(InputError, match="K = 8, but there are 5 samples"):
        OptimalQuantizer(8).partial_fit(X[:5])


def test_partial_fit_goes_on_from_what_was_fitted(X):
    """Steps are those that come after the samples of `fit`: few more of the same law make it hardly worse."""
    found = OptimalQuantizer(5, random_state=0).fit(X)
    fitted, points, weights = -found.score(X), torch.from_numpy(found.cluster_centers_), found.weights_.copy()
    more = numpy_rng(1, "test").standard_normal((40, 3))
    steps = lambda k: power_steps(5)(400 + k)  # noqa: E731
    found.partial_fit(more)
    np.testing.assert_allclose(found.cluster_centers_, clvq(torch.from_numpy(more), points, steps=steps).points)
    assert -found.score(X) < 1.05 * fitted and np.abs(found.weights_ - weights).max() < 0.3
    assert found.n_steps_ == 440 and not hasattr(found, "labels_") and not hasattr(found, "n_iter_")
    assert found.partial_fit(more).n_steps_ == 480
    with pytest.raises(InputError, match="n_clusters = 4, but there are 5 points; call fit"):
        found.set_params(n_clusters=4).partial_fit(more)


def test_partial_fit_keeps_the_unit_of_the_samples(X):
    small, plain = (OptimalQuantizer(4, init=Y[:4]).partial_fit(Y) for Y in (X * 2.0**-600, X))
    np.testing.assert_array_equal(small.cluster_centers_, plain.cluster_centers_ * 2.0**-600)
    np.testing.assert_array_equal(small.weights_, plain.weights_)


def test_fit_predict_gives_the_labels_and_set_output_a_frame(X):
    frames = pytest.importorskip("pandas")
    found = OptimalQuantizer(3, random_state=0)
    assert found.fit_predict(X).tolist() == found.labels_.tolist()
    named = found.set_output(transform="pandas").transform(X)
    assert isinstance(named, frames.DataFrame) and list(named) == [f"optimalquantizer{i}" for i in range(3)]


def test_samples_of_the_quantized_law_have_its_points_and_masses(X):
    found = OptimalQuantizer(5, random_state=0).fit(X)
    drawn, which = found.sample(20_000)
    np.testing.assert_array_equal(drawn, found.cluster_centers_[which])
    deviations = np.sqrt(found.weights_ * (1 - found.weights_) / 20_000)
    assert (np.abs(np.bincount(which, minlength=5) / 20_000 - found.weights_) < 4 * deviations).all()
    with pytest.raises(InputError, match="n_samples = 0"):
        found.sample(0)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "transform", "score"])
def test_sparse_samples_are_refused_in_one_line(X, method):
    found = OptimalQuantizer(3, random_state=0).fit(X)
    with pytest.raises(
        InputError, match=r"^X is sparse, but the points of a quantizer are dense; give X\.toarray\(\)$"
    ):
        getattr(found, method)(csr_array(X))


def test_threads_change_nothing_but_their_number_while_it_fits(X, monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(
        module, "best_of_restarts", lambda *a, **k: seen.append(torch.get_num_threads()) or best(*a, **k)
    )
    one, two = (OptimalQuantizer(4, random_state=0, n_jobs=n).fit(X) for n in (1, 2))
    np.testing.assert_array_equal(one.cluster_centers_, two.cluster_centers_)
    assert seen == [1, 2] and torch.get_num_threads() == before
    with pytest.raises(InputError, match="n_jobs = 0, but it must be None, -1 for all processors, or at least 1"):
        OptimalQuantizer(4, n_jobs=0).fit(X)


@pytest.mark.parametrize(
    ("method", "inner"), [("partial_fit", "assign"), ("score", "assign"), ("transform", "squared_distances")]
)
def test_every_method_keeps_to_its_threads(X, monkeypatch, method, inner):
    seen, found, original = [], OptimalQuantizer(4, random_state=0).fit(X), getattr(module, inner)
    monkeypatch.setattr(module, inner, lambda *a: seen.append(torch.get_num_threads()) or original(*a))
    for n in (1, 2):
        getattr(found.set_params(n_jobs=n), method)(X)
    assert seen == [1, 2]
    with pytest.raises(InputError, match="n_jobs = 0"):
        getattr(found.set_params(n_jobs=0), method)(X)
