"""A wrong score from a quantized start: the bound holds, and needs its second term."""

import pytest

from ddoq_book.ch16.learned_score import learned_score


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_total_variation_stays_below_the_bound_and_not_below_its_first_term_alone(eta):
    found = learned_score(32, eta, 40_000, 0.1, 1.0, 0)
    assert found.tv - found.noise < found.first + found.second
    assert found.tv - found.noise > 5 * found.first  # with the exact score it would stay below that
    assert found.tv > 0.2 * found.second  # the bound is of the size of what it bounds


def test_with_the_exact_score_nothing_is_added():
    found = learned_score(8, 0.0, 40_000, 0.1, 1.0, 0)
    assert found.second == 0 and found.tv < found.first + 2 * found.noise
