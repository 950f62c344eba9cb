"""Eq. 9 by enumeration: nothing is missed, both sides are equal, and nothing goes below."""

import numpy as np
import pytest

from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory import enumeration

EQUAL, UNEQUAL = True, False


@pytest.fixture(scope="module", params=[(EQUAL, 2), (UNEQUAL, 2), (UNEQUAL, 3)], ids=str)
def trial(request):
    equal, K = request.param
    rng = numpy_rng(0, "test", "enumeration", int(equal), K)
    return enumeration.enumerate_cloud(enumeration.random_cloud(8, equal, rng), K, 200, 200, rng)


def test_divisions_are_as_many_as_stirling_says_and_all_different():
    for n, K, count in ((8, 2, 127), (8, 3, 966), (5, 5, 1), (5, 1, 1), (6, 4, 65)):
        found = list(enumeration.partitions(n, K))
        assert len(found) == count
        parts = {frozenset(frozenset(np.flatnonzero(np.equal(p, k)).tolist()) for k in range(K)) for p in found}
        assert len(parts) == count and all(len(p) == K and frozenset() not in p for p in parts)


def test_the_least_variance_within_parts_is_the_least_distortion_and_the_least_squared_distance(trial):
    assert trial.descents.min() == pytest.approx(trial.costs.min(), abs=1e-12)
    assert trial.program == pytest.approx(trial.costs.min(), abs=1e-12)


def test_no_measure_on_as_many_points_is_nearer(trial):
    assert trial.programs >= trial.costs.min() - 1e-12
    assert trial.random.min() >= trial.costs.min() - 1e-12
    assert trial.random.min() < 1.01 * trial.costs.min() and trial.random.max() > 2 * trial.costs.min()


def test_the_best_division_is_one_where_lloyd_stops_and_most_are_not(trial):
    assert trial.fixed[trial.costs.argmin()]
    assert trial.fixed.mean() < 0.2


def test_every_run_of_lloyd_ends_at_a_division_that_it_cannot_leave(trial):
    stops = trial.costs[trial.fixed]
    assert np.abs(trial.descents[:, None] - stops).min(1).max() < 1e-12
    assert 0 < trial.n_reached <= len(trial.descents)


def test_two_atoms_far_apart_are_divided_between_the_points():
    cloud = enumeration.AtomCloud(np.array([[0.0, 0], [0, 1], [9, 0], [9, 1]]), np.array([0.1, 0.3, 0.4, 0.2]))
    trial = enumeration.enumerate_cloud(cloud, 2, 5, 5, numpy_rng(0, "test"))
    assert trial.labels.tolist() == [0, 0, 1, 1]
    # m_1 m_2 / (m_1 + m_2) of each pair at distance 1
    assert trial.costs.min() == pytest.approx(0.03 / 0.4 + 0.08 / 0.6, abs=1e-15)
    assert trial.means == pytest.approx(np.array([[0, 0.75], [9, 1 / 3]]))


def test_as_many_points_as_atoms_cost_nothing():
    rng = numpy_rng(0, "test")
    trial = enumeration.enumerate_cloud(enumeration.random_cloud(4, UNEQUAL, rng), 4, 5, 5, rng)
    assert trial.costs.tolist() == pytest.approx([0], abs=1e-30) and trial.program == pytest.approx(0, abs=1e-12)


def test_more_parts_than_atoms_and_too_many_divisions_are_refused():
    rng = numpy_rng(0, "test")
    with pytest.raises(InputError, match="K = 5, but 4 atoms"):
        enumeration.partitions(4, 5)
    with pytest.raises(InputError, match="take fewer atoms"):
        enumeration.enumerate_cloud(enumeration.random_cloud(20, EQUAL, rng), 2, 1, 1, rng)
