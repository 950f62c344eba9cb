"""Figures and tables of prices: what they say is what the rules do."""

import numpy as np
import pytest

from ddoq_book.ch17.prices import (
    BASKET,
    MARKET,
    PUBLISHED,
    basket_errors,
    basket_table,
    bermudan_table,
    call_scatter,
    price_figure,
    sobol_errors,
)
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.cubature import monte_carlo_errors
from ddoq_core.theory.options import call_option, digital_option


def test_the_error_of_the_call_is_of_second_order_and_that_of_the_digital_of_first():
    (call, digital), (later_call, later_digital) = call_scatter(range(20, 30)), call_scatter(range(60, 70))
    assert later_call < 2 * call and later_digital > digital / 2
    assert later_digital / 65 > 10 * later_call / 65**2


def test_sobol_points_beat_draws():
    call = call_option(MARKET)
    sobol = sobol_errors(call, 64, 10, numpy_rng(0, "test")).mean()
    assert sobol < monte_carlo_errors(call, 64, 200, numpy_rng(1, "test")).mean() / 3


def test_the_figure_has_a_panel_for_each_option_with_four_rules_and_a_line_of_theory():
    figure = price_figure([4, 8, 16], 2, numpy_rng(0, "test"))
    assert [axes.get_title("left") for axes in figure.axes] == ["call", "digital"]
    assert all(len(axes.lines) == 5 for axes in figure.axes)
    assert digital_option(MARKET).mean < MARKET.discount


def test_the_control_of_a_basket_helps_a_rule_and_draws_alike():
    found, deviation = basket_errors([8, 32], 2**13, numpy_rng(0, "test"))
    assert all(abs(e.helped) < abs(e.basket) / 3 and e.helped_draws < e.draws / 3 for e in found)
    assert found[1].geometric > found[0].geometric and found[1].geometric < 0  # convex: from below
    assert deviation < 1e-4 and BASKET.geometric_price > 0
    table = basket_table(found, deviation)
    assert [row[0] for row in table.rows] == [8, 32]


def test_the_put_is_beside_its_published_prices():
    rows = bermudan_table([50]).rows
    np.testing.assert_allclose(rows[0][1:], list(PUBLISHED.values()), atol=5e-3)
    assert rows[1][1:] == pytest.approx(tuple(PUBLISHED.values()))
