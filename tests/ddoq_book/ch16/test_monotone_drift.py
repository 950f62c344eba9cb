"""Propositions 10 and 11 where they are equalities, and where they are not."""

import math

import pytest

from ddoq_book.ch16.monotone_drift import monotone_drifts
from ddoq_core.results.intervals import Mean
from ddoq_core.theory.bounds import log_pathwise_constant
from ddoq_core.theory.diffusion import BROWNIAN


def test_propositions_10_and_11_are_equalities_in_mean_square_and_not_in_the_mean():
    found = monotone_drifts(50_000, 0)
    square, mean = Mean.of_many(found.geometric**2), Mean.of_many(found.geometric)
    assert found.geometric_bound == pytest.approx(math.exp(0.3 + 0.32))
    assert abs(square.value - found.geometric_bound**2) < 1.7 * square.half
    assert abs(mean.value - math.exp(0.3)) < 1.7 * mean.half and mean.value + 10 * mean.half < found.geometric_bound


def test_of_a_bridge_to_one_atom_every_path_is_an_equality():
    found = monotone_drifts(10, 0)
    assert len(found.bridge) == 1000 and found.bridge == pytest.approx(found.bridge_bound) and found.bridge_bound == 0.3
    assert math.log(found.bridge_bound) == pytest.approx(log_pathwise_constant(BROWNIAN, 0, found.delta, found.T))
