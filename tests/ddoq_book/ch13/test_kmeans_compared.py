"""k-means beside CLVQ: the identities that hold, and those that do not."""

import pytest
import torch
from scipy.stats import norm

from ddoq_book.ch13 import kmeans_compared
from ddoq_book.ch13.learning import lloyd_runs
from ddoq_book.ch13.linear_rates import linearise
from ddoq_core.quantization import assign
from ddoq_core.randomness import numpy_rng


@pytest.fixture(scope="module")
def plane():
    X = torch.from_numpy(numpy_rng(0, "test", "kmeans").standard_normal((1_500, 2)))
    return X, X[:6].clone()


def test_a_point_of_algorithm_3_is_the_mean_of_its_start_and_of_all_it_won(plane):
    assert kmeans_compared.replay(*plane) < 1e-12


def test_one_point_by_clvq_with_harmonic_steps_is_macqueens(plane):
    X, start = plane
    assert kmeans_compared.clvq_against_macqueen(X, start[:1]) < 1e-12
    assert kmeans_compared.clvq_against_macqueen(X, start) > 0.01


def test_only_lloyd_reports_the_masses_of_its_cells(plane):
    gaps = {name: c.gap for name, c in kmeans_compared.contenders(*plane).items()}
    assert gaps.pop("Lloyd") < 1e-12
    assert min(gaps.values()) > 1e-3


def test_scikit_learn_forgets_the_start_at_the_first_batch(plane):
    X, start = plane
    few = X[:50]
    found, labels = kmeans_compared.scikit_learn(few, start).found.points, assign(few, start)
    for i in range(6):
        torch.testing.assert_close(found[i], few[labels == i].mean(0), rtol=1e-9, atol=1e-9)


def test_scikit_learn_takes_a_light_point_from_its_cloud_and_algorithm_3_does_not():
    found = kmeans_compared.small_cloud_contest(8_000, range(2))
    weight = {e.algorithm: e.reported.value for e in found}
    assert weight["scikit-learn"] > 10
    assert weight["Algorithm 3"] < 1 and weight["scikit-learn, reassignment_ratio = 0"] < 1
    assert kmeans_compared.small_cloud_table(found, 8_000).column("G") == [e.distortion for e in found]


def test_what_is_equal_is_called_so():
    found = kmeans_compared.identities(norm(), 4, 1_000, 0)
    assert [i.holds for i in found] == [True, True, False, True, True, False, False, False]
    assert kmeans_compared.identities_table(found, 1_000).column("verdict") == [i.holds for i in found]


def test_a_recount_brings_the_weights_to_the_masses_of_the_cells():
    results = kmeans_compared.line_contest(norm(), 5, 4_000, range(4))
    companion, lloyd = results["CLVQ, (k / K + 2)^−0.7"], results["Lloyd"]
    assert companion.recounted.mean() < companion.reported.mean()
    assert lloyd.reported == pytest.approx(lloyd.recounted)
    assert (lloyd.excess >= 1).all()
    shown = kmeans_compared.contest_table(results).column("error of points")
    assert [mean.value for mean in shown] == [errors.points.mean() for errors in results.values()]


def test_in_space_lloyd_ends_lower_than_the_harmonic_steps_and_reports_its_cells():
    found = {e.algorithm: e for e in kmeans_compared.dimension_contest(2, [6], 1_500, range(2))}
    assert 0.98 < found["Lloyd"].excess.value < found["CLVQ, 1 / (k + 2)"].excess.value
    assert found["Lloyd"].weights.value == pytest.approx(0, abs=1e-12)
    assert {row[0] for row in kmeans_compared.dimension_table(list(found.values()), 2, 1_500).rows} == {6}


def test_the_figure_of_lloyd_is_drawn():
    assert kmeans_compared.lloyd_figure(lloyd_runs(norm(), 3, 20, range(2)), linearise(norm(), 3)).axes
