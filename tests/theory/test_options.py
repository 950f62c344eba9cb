"""Prices with a known answer, by quantization."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.products import product_quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.cubature import cubature_error
from ddoq_core.theory.options import Market, bermudan_put, call_option, controlled, digital_option

MARKET = Market()
GESKE_JOHNSON = Market(spot=40, strike=45, rate=0.07, volatility=0.3, maturity=3)


@pytest.mark.parametrize("option", [call_option, digital_option])
def test_the_price_is_the_mean_of_the_payoff(option):
    f = option(MARKET)
    edge = float((0.02 - 0.05) / 0.2)  # where the price meets the strike
    value = sum(
        quad(lambda z: float(f.f(np.array([z]))[0]) * norm.pdf(z), *ends)[0] for ends in ((-9, edge), (edge, 9))
    )
    assert f.mean == pytest.approx(value, abs=1e-10)


def test_the_call_is_the_known_price_of_black_and_scholes():
    assert Market(spot=100, strike=100).geometric_price == pytest.approx(10.450583572185565, abs=1e-12)
    assert GESKE_JOHNSON.put_price == pytest.approx(6.19676, abs=1e-5)


def test_a_hundred_points_price_a_call_to_1e_4_and_from_below():
    errors = [cubature_error(call_option(MARKET), K) for K in (25, 50, 100, 200)]
    assert all(error <= 0 for error in errors) and abs(errors[2]) < 1e-4
    assert abs(errors[3]) < abs(errors[0]) / 30


def test_the_error_of_a_digital_option_is_of_first_order_and_of_either_sign():
    """It is the share of one cell: not more than the mass of the cell in which the jump is, and often about half."""
    levels = range(20, 70, 2)
    errors = np.array([cubature_error(digital_option(MARKET), K) for K in levels])
    masses = np.array([exact_quantizer(norm(), K).weights.max() for K in levels])
    assert (np.abs(errors) < masses).all() and errors.min() < 0 < errors.max()
    assert (np.abs(errors) * np.array(levels) > 0.2).mean() > 0.3  # K |error| does not fall


def test_the_control_takes_most_of_the_error_of_a_basket():
    basket = Market(d=2)
    rule = product_quantizer([exact_quantizer(norm(), 8)] * 2)
    fine = product_quantizer([exact_quantizer(norm(), 60)] * 2)
    price = controlled(basket, fine.points, fine.weights)
    plain, helped = rule.weights @ basket.basket(rule.points), controlled(basket, rule.points, rule.weights)
    assert abs(helped - price) < abs(plain - price) / 10
    z = numpy_rng(0, "test", "basket").standard_normal((10**5, 2))
    draws = basket.basket(z)
    assert price == pytest.approx(draws.mean(), abs=5 * draws.std() / 10**2.5)
    assert basket.geometric_price == pytest.approx(
        basket.geometric_basket(z).mean(), abs=5 * basket.geometric_basket(z).std() / 10**2.5
    )


def test_a_bermudan_put_tends_to_the_published_prices():
    """Two and three dates: 7.16061 and 7.46865 (Wolfram Demonstrations Project, GeskeJohnsonMethod)."""
    assert bermudan_put(GESKE_JOHNSON, 1, 100) == pytest.approx(GESKE_JOHNSON.put_price, abs=1e-3)
    for dates, price in ((2, 7.16061), (3, 7.46865)):
        coarse, fine = (abs(bermudan_put(GESKE_JOHNSON, dates, K) - price) for K in (25, 200))
        assert fine < 2e-4 and coarse > 10 * fine


def test_a_put_without_dates_or_on_several_assets_is_refused():
    with pytest.raises(InputError, match="n_dates = 0"):
        bermudan_put(GESKE_JOHNSON, 0, 10)
    with pytest.raises(InputError, match="the put is on one asset, but the market has 5"):
        bermudan_put(replace(GESKE_JOHNSON, d=5), 2, 10)
