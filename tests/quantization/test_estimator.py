"""The estimator keeps scikit-learn's promises, and its weights are cell masses."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ddoq_core.errors import InputError
from ddoq_core.quantization import OptimalQuantizer, quantize
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
