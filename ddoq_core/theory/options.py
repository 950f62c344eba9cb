"""Options in the Black-Scholes model: expectations under N(0, I_d) with known values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtr

from ..errors import InputError
from ..quantization import ExactQuantizer
from ..quantization.voronoi import at_least
from .chains import NormalStep, quantized_chain
from .cubature import Integrand


@dataclass(frozen=True)
class Market:
    """d equally weighted assets with the same price, volatility and pairwise correlation; d = 1 is one asset."""

    spot: float = 1.0  # the default price is the unit of money
    strike: float = 1.0
    rate: float = 0.05  # of interest, per year
    volatility: float = 0.2  # per root of a year
    maturity: float = 1.0  # years
    d: int = 1
    correlation: float = 0.5

    @property
    def discount(self) -> float:
        """Discount factor at maturity."""
        return float(np.exp(-self.rate * self.maturity))

    def logarithms(self, z: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """log S_T of each asset from independent N(0, 1)."""
        root = np.linalg.cholesky(np.full((self.d, self.d), self.correlation) + (1 - self.correlation) * np.eye(self.d))
        drift = (self.rate - self.volatility**2 / 2) * self.maturity
        return np.log(self.spot) + drift + self.volatility * self.maturity**0.5 * z @ root.T

    def basket(self, z: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Discounted payoff of a call on the mean of the assets."""
        return self.discount * np.maximum(np.exp(self.logarithms(z)).mean(1) - self.strike, 0)

    def geometric_basket(self, z: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Discounted payoff on the geometric mean: never more, and with a price in closed form."""
        return self.discount * np.maximum(np.exp(self.logarithms(z).mean(1)) - self.strike, 0)

    @property
    def geometric_price(self) -> float:
        """E of `geometric_basket`: the mean of the logarithms is normal. For d = 1, the Black-Scholes price."""
        share = (1 + (self.d - 1) * self.correlation) / self.d
        s = self.volatility * (share * self.maturity) ** 0.5
        m = np.log(self.spot) + (self.rate - self.volatility**2 / 2) * self.maturity
        high = (m - np.log(self.strike) + s**2) / s
        return float(self.discount * (np.exp(m + s**2 / 2) * ndtr(high) - self.strike * ndtr(high - s)))

    @property
    def put_price(self) -> float:
        """Price of a European put, d = 1, by put-call parity."""
        return self.geometric_price - self.spot + self.strike * self.discount


def call_option(market: Market) -> Integrand:
    """Discounted payoff of a call as a function of N(0, 1): convex, with a kink at the strike."""
    return Integrand("call", lambda z: market.geometric_basket(z[..., None].reshape(-1, 1)).reshape(z.shape),
                     market.geometric_price, True, None, None)  # fmt: skip


def digital_option(market: Market) -> Integrand:
    """Discounted payoff 1 above the strike, 0 below: a jump."""
    s = market.volatility * market.maturity**0.5
    edge = (np.log(market.strike / market.spot) - (market.rate - market.volatility**2 / 2) * market.maturity) / s
    return Integrand("digital", lambda z: market.discount * (z > edge), float(market.discount * ndtr(-edge)),
                     False, None, None)  # fmt: skip


def controlled(market: Market, points: Float[ndarray, "K d"], weights: Float[ndarray, " K"]) -> float:
    """Price of the basket by a quadrature rule, with the geometric basket as control variate."""
    return float(weights @ (market.basket(points) - market.geometric_basket(points)) + market.geometric_price)


def bermudan_put(market: Market, n_dates: int, K: int) -> float:
    """Price of a put that can be exercised at n equidistant dates up to maturity, by a tree with K points at each.

    The logarithm of the price makes exact normal steps; the tree is their quantized chain.

    Raises:
        InputError: no date, no point, or several assets.
    """
    at_least(1, n_dates=n_dates)
    if market.d != 1:
        raise InputError(f"the put is on one asset, but the market has {market.d} assets; set d=1")
    h = market.maturity / n_dates
    drift, s = (market.rate - market.volatility**2 / 2) * h, market.volatility * h**0.5
    start = ExactQuantizer(np.array([np.log(market.spot)]), np.ones(1), 0.0, True)
    chain = quantized_chain(start, [NormalStep(lambda x: x + drift, lambda x: 0 * x + s)] * n_dates, K)
    return chain.stopped(lambda x: np.maximum(market.strike - np.exp(x), 0), np.exp(-market.rate * h))
