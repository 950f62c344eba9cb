"""The exact error of weights with one draw from each cell, against simulation and a grid; break-even at one half."""

import numpy as np
import pytest

from ddoq_book.ch14.weight_exponent import ALPHAS, CellDraws, exponents_figure, exponents_table, normal_draws

FINE = np.linspace(-3, 3, 6001)


@pytest.fixture
def cells():
    """A hundred sets of 12 cells with uneven masses and variances of their own."""
    rng = np.random.default_rng(0)
    return [
        CellDraws(rng.dirichlet(np.full(12, 2.0)), rng.standard_normal(12), rng.exponential(3.0, 12))
        for _ in range(100)
    ]


def test_the_error_is_that_of_a_simulation(cells):
    """To 2 %, so that a factor of 1.1 in bias or noise would be seen."""
    rng, at = np.random.default_rng(1), cells[0]
    draws = at.means + np.sqrt(at.variances) * rng.standard_normal((100_000, 12))
    for alpha in (0.0, 0.3, 1.0):
        w = (1 + alpha * (12 * at.masses - 1)) / 12
        squared = (draws @ w - at.masses @ at.means) ** 2
        assert at.mean_square_error(np.array([alpha]))[0] == pytest.approx(squared.mean(), rel=0.02)


def test_the_best_exponent_is_the_minimum_on_a_grid(cells):
    for at in cells:
        best, grid = at.best_exponent, FINE[at.mean_square_error(FINE).argmin()]
        assert grid == pytest.approx(np.clip(best, -3, 3), abs=1.1e-3)
    assert min(at.best_exponent for at in cells) < 0  # a heavy cell that is noisy should count for less than 1/K


def test_masses_win_where_the_criterion_says_so_and_that_is_above_one_half(cells):
    for at in cells:
        equal, masses = at.mean_square_error(np.array([0.0, 1.0]))
        criterion = at.bias**2 > np.mean(((12 * at.masses) ** 2 - 1) * at.variances) / 12
        assert (masses < equal) == criterion == (at.best_exponent > 0.5)


def test_if_variances_are_alike_the_short_form_is_exact_and_break_even_is_at_one(cells):
    for at in cells:
        alike = CellDraws(at.masses, at.means, np.full(12, 0.7))
        assert alike.best_if_alike == pytest.approx(alike.best_exponent)
        even = CellDraws(at.masses, at.means, np.full(12, 0.7 * alike.signal))
        assert even.signal == pytest.approx(1) and even.best_exponent == pytest.approx(0.5)
        assert np.diff(even.mean_square_error(np.array([0.0, 1.0])))[0] == pytest.approx(0, abs=1e-12)


def test_powers_agree_to_first_order_in_the_unevenness():
    rng = np.random.default_rng(2)
    masses = 1 + 0.01 * rng.standard_normal(20)
    at = CellDraws(masses / masses.sum(), rng.standard_normal(20), np.full(20, 1e-6))
    np.testing.assert_allclose(at.of_powers(ALPHAS), at.mean_square_error(ALPHAS), rtol=0.03, atol=1e-9)


def test_one_draw_from_each_of_equal_cells_has_the_variance_within_and_no_bias():
    at = CellDraws(np.full(8, 1 / 8), np.arange(8.0), np.full(8, 2.0))
    assert at.bias == 0 and at.mean_square_error(np.array([0.0, 1.0])) == pytest.approx([0.25, 0.25])


def test_normal_cells_have_the_moments_of_the_law():
    """sum w (mean of |Y|^2) is E|X_0|^2 less what quantization took, and the draws' variances are those of |N|^2."""
    at = normal_draws(2, 0.25, 50, 0)
    assert at.masses.sum() == pytest.approx(1) and 1.9 < at.masses @ at.means < 2.05
    rng = np.random.default_rng(0)
    y = np.sqrt(at.means[0] - 0.4) * np.array([1.0, 0.0]) + np.sqrt(0.2) * rng.standard_normal((200_000, 2))
    assert (y**2).sum(1).var() == pytest.approx(at.variances[0], rel=0.02)
    table = exponents_table({(2, 0.25, 50): at})
    assert len(table.rows) == 1 and len(exponents_figure([at]).axes) == 1


def test_powers_have_the_same_criterion_and_at_break_even_another_best_exponent_where_masses_are_uneven(cells):
    """That 1/2 is best at break-even holds on the line, and for powers to first order only."""
    best = []
    for at in cells:
        np.testing.assert_allclose(at.of_powers(np.array([0.0, 1.0])), at.mean_square_error(np.array([0.0, 1.0])))
        alike = CellDraws(at.masses, at.means, np.ones(12))
        errors = CellDraws(at.masses, at.means, np.full(12, alike.signal)).of_powers(ALPHAS)
        assert errors[0] == pytest.approx(errors[-1])
        best.append(ALPHAS[errors.argmin()])
    assert np.quantile(best, 0.1) < 0.4 and np.quantile(best, 0.9) > 0.6
