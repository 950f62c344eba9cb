"""Corollary 15 and Theorem 13 in the plane and in R^5: slopes that tell K^(-1/d) from K^(-2/d), and K^-1 from both."""

import numpy as np
import pytest
import torch

from ddoq_book.ch16.rates_in_space import cell_means, space_rates, space_rates_table, three_atoms
from ddoq_core.theory.bounds import total_variation_constant
from ddoq_core.theory.diffusion import BROWNIAN


@pytest.fixture(scope="module", params=[2, 5])
def found(request):
    return space_rates(request.param, (16, 64, 256), 12_000, 1.0, range(3))


def test_the_error_falls_like_the_square_of_the_distance(found):
    """Between the slopes -2/d and -1/d the interval decides; -1/d is that of the first-order bound."""
    for errors in (found.tv, found.W1):
        slope = found.slope(errors)
        assert slope.value == pytest.approx(-2 / found.d, rel=0.25)
        assert slope.value + slope.half < -1.5 / found.d
    assert found.slope(found.first_order).value == pytest.approx(-1 / found.d, rel=0.06)


def test_both_bounds_hold_at_every_level(found):
    assert (0.2 * found.first_order > found.W1).all()
    assert (found.tv < total_variation_constant(BROWNIAN, 1.0, 0.0, 1.0) * found.G).all()


def test_cell_means_keep_the_mean_of_the_samples():
    X = torch.from_numpy(np.random.default_rng(0).standard_normal((100, 3)))
    x, w = cell_means(X, torch.arange(100) % 7, 8)
    torch.testing.assert_close(w @ x, X.mean(0))
    assert w[7] == 0 and w.sum() == pytest.approx(1)


def test_the_table_has_a_row_for_each_dimension_and_the_atoms_lie_in_the_ball(found):
    assert [row[0] for row in space_rates_table([found]).rows] == [found.d]
    assert three_atoms(found.d).means.norm(dim=1).max() <= 1
