"""Cubature with a known answer: options by quantization and by other rules, and a put with early exercise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import norm, qmc

from ddoq_core.quantization.grids import normal_grid
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.cubature import (
    Integrand,
    cubature_error,
    gauss_hermite_error,
    monte_carlo_errors,
    normal_quantizer,
)
from ddoq_core.theory.options import Market, bermudan_put, call_option, controlled, digital_option

from ..style import BLUE, GREEN, MUTED, PURPLE, figure_style, label, subplots, theory_line

MARKET = Market()
BASKET = Market(d=5)
GESKE_JOHNSON = Market(spot=40, strike=45, rate=0.07, volatility=0.3, maturity=3)
PUBLISHED = {1: 6.19676, 2: 7.16061, 3: 7.46865}  # Wolfram Demonstrations Project, GeskeJohnsonMethod: P1, P2, P3


def sobol_errors(f: Integrand, K: int, n_seeds: int, rng: np.random.Generator) -> Float[ndarray, " n_seeds"]:
    """Absolute errors of the first K points of scrambled Sobol sequences, K a power of 2, pushed to N(0, 1)."""
    draws = [qmc.Sobol(1, seed=rng).random(K)[:, 0] for _ in range(n_seeds)]
    return np.array([abs(f.f(norm.ppf(u)).mean() - f.mean) for u in draws])


@figure_style()
def price_figure(levels: Sequence[int], n_seeds: int, rng: np.random.Generator) -> Figure:
    """|error| of four rules against K, powers of 2, for a call on the left and a digital option on the right."""
    figure, both = subplots(1, 2, height=3.8, sharey=True)
    K = np.array(levels)
    for axes, option in zip(both, (call_option(MARKET), digital_option(MARKET)), strict=True):
        rules = {
            "draws": ([monte_carlo_errors(option, k, n_seeds, rng).mean() for k in levels], MUTED, "x", -5),
            "Sobol": ([sobol_errors(option, k, n_seeds, rng).mean() for k in levels], PURPLE, "s", 3),
            "Gauss": ([abs(gauss_hermite_error(option, k)) for k in levels], GREEN, "^", 1),
            "quantizer": ([abs(cubature_error(option, k)) for k in levels], BLUE, "o", 8),
        }
        for name, (errors, colour, marker, up) in rules.items():
            axes.plot(K, errors, marker=marker, color=colour)
            label(axes, K[-1], errors[-1], name, colour, xytext=(5, up))
        axes.set(xscale="log", yscale="log", xlabel="number of points K", title=option.name)
        axes.set_xlim(right=K[-1] * 6)
    roots = np.array([normal_quantizer(k).distortion for k in levels])
    theory_line(both[0], K, roots * 0.02, "$K^{-2}$")
    theory_line(both[1], K, 0.1 / K, "$K^{-1}$")
    both[0].set_ylabel("|error of the price|")
    return figure


def call_scatter(levels: Sequence[int]) -> tuple[float, float]:
    """Largest K^2 |error| of the call, and largest K |error| of the digital option, over these K."""
    calls = [k**2 * abs(cubature_error(call_option(MARKET), k)) for k in levels]
    return max(calls), max(k * abs(cubature_error(digital_option(MARKET), k)) for k in levels)


@dataclass(frozen=True)
class BasketErrors:
    """Errors of K points in R^5 for a basket, and for the geometric basket, whose price is known."""

    K: int
    geometric: float  # signed
    basket: float  # without control
    helped: float  # with the geometric basket as control
    draws: float  # standard deviation of the mean of K draws for the basket
    helped_draws: float


def basket_errors(
    levels: Sequence[int], n_draws: int, rng: np.random.Generator
) -> tuple[tuple[BasketErrors, ...], float]:
    """Errors of grids of N(0, I_5) made from n_draws, and one standard deviation of the reference price.

    The reference price is the mean of n_draws fresh draws with the control.
    """
    z = rng.standard_normal((n_draws, BASKET.d))
    plain, geometric = BASKET.basket(z), BASKET.geometric_basket(z)
    known, price = BASKET.geometric_price, (plain - geometric).mean() + BASKET.geometric_price
    found = []
    for K in levels:
        grid = normal_grid(K, BASKET.d, rng, n_draws=n_draws)
        sums = (grid.weights @ f(grid.points) for f in (BASKET.geometric_basket, BASKET.basket))
        errors = next(sums) - known, next(sums) - price, controlled(BASKET, grid.points, grid.weights) - price
        found.append(BasketErrors(K, *errors, plain.std() / K**0.5, (plain - geometric).std() / K**0.5))
    return tuple(found), float((plain - geometric).std() / n_draws**0.5)


def basket_table(found: Sequence[BasketErrors], deviation: float) -> Table:
    """One row per K."""
    rows = [(e.K, e.geometric, e.basket, e.draws, e.helped, e.helped_draws) for e in found]
    names = (
        "geometric basket, exact price", "basket", "K draws, deviation", "basket with control",
        "K draws with control, deviation",
    )  # fmt: skip
    note = f"Errors of the basket: to a price with a standard deviation of {deviation:.0e}; spot 1, five assets."
    return Table.of_rows("A basket of five assets", ("K", *(Column(n, ".1e") for n in names)), rows, (note,))


def bermudan_table(levels: Sequence[int]) -> Table:
    """The put with one, two and three dates, by trees of K points and as published."""
    rows = [(K, *(bermudan_put(GESKE_JOHNSON, n, K) for n in PUBLISHED)) for K in levels]
    rows.append(("published", *PUBLISHED.values()))
    columns = ("K", *(Column(f"{n} date{'s' * (n > 1)}", ".5f") for n in PUBLISHED))
    note = "Quoted from the Wolfram Demonstrations Project, GeskeJohnsonMethod; one date is the European put."
    return Table.of_rows("A put on 40 with strike 45, three years, r = 7 %, σ = 30 %", columns, rows, (note,))
