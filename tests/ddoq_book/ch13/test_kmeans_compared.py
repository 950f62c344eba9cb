"""k-means beside CLVQ: the identities that hold, and those that do not."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_book.ch13 import kmeans_compared
from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import assign
from ddoq_core.theory.steps import linearise


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
    rows = {row[0]: row[1:] for row in kmeans_compared.small_cloud_table(8_000, range(2)).rows}
    weight = {name: float(row[1].split()[0]) for name, row in rows.items()}
    assert weight["scikit-learn"] > 10
    assert weight["Algorithm 3"] < 1 and weight["scikit-learn, reassignment_ratio = 0"] < 1


def test_the_table_calls_equal_what_is_equal():
    rows = kmeans_compared.identities_table(norm(), 4, 1_000, 0).rows
    verdicts = [row[2] for row in rows]
    assert verdicts == ["equal", "equal", "not equal", "equal", "equal", "not equal", "not equal", "not equal"]


def test_a_recount_brings_the_weights_to_the_masses_of_the_cells():
    results = kmeans_compared.contest(norm(), 5, 4_000, range(4))
    own, recounted = results["CLVQ, (k / K + 2)^−0.7"][:, 2:].mean(0)
    assert recounted < own
    assert results["Lloyd"][:, 2] == pytest.approx(results["Lloyd"][:, 3])
    assert (results["Lloyd"][:, 0] >= 1).all()
    assert "Algorithm 3 (MacQueen)" in kmeans_compared.contest_table(results).markdown()


def test_lloyd_never_raises_the_distortion_and_shrinks_the_error_at_its_linear_rate():
    runs = kmeans_compared.lloyd_runs(norm(), 3, 60, range(3))
    assert (np.diff(runs.excess) < 1e-14).all()  # rounding
    assert runs.factor == pytest.approx(1 - linearise(norm(), 3).slowest_lloyd, rel=1e-3)
    assert kmeans_compared.lloyd_figure(runs, linearise(norm(), 3)).axes


def test_in_space_lloyd_ends_lower_than_the_harmonic_steps():
    rows = {row[1]: row[2:] for row in kmeans_compared.dimension_table(2, [6], 1_500, range(2)).rows}
    G = {name: float(row[0].split()[0]) for name, row in rows.items()}
    assert 0.98 < G["Lloyd"] < G["CLVQ, 1 / (k + 2)"]
    assert rows["Lloyd"][1] == "0.000 ± 0.000"
