"""Divergences from normal starts fall to 0 with delta; those from atoms stay below their bound."""

from itertools import pairwise

from ddoq_book.ch15.falling_divergences import (
    atomic_starts,
    atomic_starts_table,
    divergences,
    normal_divergences,
    normal_divergences_table,
)
from ddoq_core.theory.measures import GaussianMixture


def test_divergences_of_normal_starts_fall_with_delta():
    found = normal_divergences([2.0, 1.0, 0.1, 0.0], 2.0)
    for start in found:
        assert all(later < earlier for earlier, later in pairwise(start.kl))
    assert found[0].kl[0] == 0.5  # N(1, 1) from N(0, 1)
    assert normal_divergences_table(found).column("δ = 2")[0] == 0.5


def test_both_divergences_from_atoms_stay_below_their_bounds():
    found = atomic_starts([3, 10], [0.4, 0.1, 0.0], 1.0)
    for at in found:
        assert 0 < at.kl < at.kl_bound and 0 < at.tv < at.tv_bound <= at.kl_bound and at.optimal
    assert [len(rows) for _, rows in atomic_starts_table(found).blocks] == [2, 2, 2]


def test_simulated_divergences_are_the_exact_ones_less_what_bins_hide():
    found = divergences(GaussianMixture([1.0], [[0.5]], [0.9]), [1.0, 0.4, 0.1], 1.0, 20_000, 40, 0)
    for at in found:
        assert -0.05 * at.kl - 3 * at.error < at.simulated_kl - at.kl < 3 * at.error


def test_divergences_fall_along_the_reverse_process():
    found = divergences(GaussianMixture([1.0], [[0.5]], [0.9]), [1.0, 0.4, 0.1], 1.0, 100, 2, 0)
    for before, after in pairwise(found):
        assert after.kl < before.kl and after.tv < before.tv


def test_where_the_noise_is_too_small_for_a_proof_no_start_is_called_optimal_and_the_bounds_hold():
    found = atomic_starts([3], [0.1], 0.5)
    assert not found[0].optimal and found[0].kl < found[0].kl_bound and found[0].tv < found[0].tv_bound
    assert "the best stationary grids found" in atomic_starts_table(found).notes[0]
