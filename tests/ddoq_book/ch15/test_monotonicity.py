"""Lemma 12 with both constants."""

import pytest

from ddoq_book.ch15.monotonicity import monotonicity, simplex_radii


def test_no_cloud_exceeds_lemma_12_with_the_radius_or_with_half_the_diameter():
    for found in monotonicity([1, 2, 5], 200, 1).values():
        assert found.by_radius.max() <= 1 and found.by_diameter.max() <= 1 + 1e-12
        assert found.by_diameter.max() > 0.98  # and that is sharp
        assert found.two_atoms == pytest.approx(1, abs=1e-6)


def test_half_the_diameter_can_be_less_than_the_radius_by_nearly_the_root_of_2():
    ball, half_diameter, largest = simplex_radii(100)
    assert (ball, half_diameter, largest) == pytest.approx((0.99, 0.5, 0.5))
