"""A few points in high dimension: samples cost nearly 2 d, a mean d, and no K points less than Shannon's floor."""

import math

import pytest

from ddoq_book.ch12.high_dimension import digits_and_twins, digits_table, few_points, few_points_table


def test_samples_of_the_law_are_worse_than_its_mean_and_shrunken_ones_better():
    plane, space = few_points([2, 1000], 200, 4, 0)
    assert plane.samples.value < 0.05  # many points for the dimension: the other regime
    assert space.samples.value - space.samples.half > 1.7 and space.samples.value < 2
    assert space.floor < space.shrunken.value < 1 - space.shrunken.half / 2
    assert space.floor == pytest.approx(200 ** (-2 / 1000))
    # the nearest of 200 squared distances 2 d +- (8 d)^(1/2) lies about (2 log 200)^(1/2) deviations below
    expected = 2 - math.sqrt(8 / 1000) * 2.75
    assert space.samples.value == pytest.approx(expected, abs=0.05)
    assert len(few_points_table((plane, space)).rows) == 2


def test_digits_lose_more_of_their_distortion_than_normal_laws_of_their_size():
    digits, twin, round_one = digits_and_twins(50, range(2))
    assert digits.shares.value < twin.shares.value - 0.1 and twin.shares.value < 0.95 < round_one.shares.value
    assert len(digits_table((digits, twin, round_one), 50).rows) == 3
