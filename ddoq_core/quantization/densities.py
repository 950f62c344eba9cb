"""A law on a line given only by its density, in the form that the quantizers of `exact` and `powers` take."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.integrate import quad
from scipy.interpolate import PchipInterpolator

from ..errors import InputError

Numbers = Float[ndarray, "*n"] | float
Density = Callable[[Float[ndarray, "*n"]], Float[ndarray, "*n"]]
CELLS = 4000  # of the table of quantiles
ENDLESS = ("maximum number", "divergent")  # SciPy's words for an infinite integral
KEPT = {"epsabs": 0.0, "epsrel": 1e-13, "limit": 500, "full_output": 1}  # settings of all integrals


class DensityLaw:
    """The law with a density proportional to f: `pdf`, `cdf`, `sf`, `ppf`, moments and support, as in `scipy.stats`.

    Quantizers integrate the density; they use quantiles, from a table, only as starts.

    Args:
        f: a function of an array with values >= 0, smooth inside the support; its integral need not be 1.
        support: its two ends, which may be infinite.
        centre: a place where f is not small.
    Raises:
        InputError: f is negative somewhere, has no finite integral, or no finite variance.
    """

    def __init__(self, f: Density, support: tuple[float, float] = (-np.inf, np.inf), *, centre: float = 0.0) -> None:
        self._f, self._ends, self._centre = f, support, float(np.clip(centre, *support))
        with np.errstate(all="ignore"):
            total, first, second = (self._integral(lambda x, p=p: x**p * f(np.asarray(x))) for p in range(3))
        if not (0 < total < np.inf and 0 < second / total - (first / total) ** 2 < np.inf):
            raise InputError(
                f"the density integrates to {total:g} with second moment {second:g} on {support}; both must be finite "
                f"and above 0, and 'centre' must be a place where the density is not small"
            )
        self._total, self._mean = total, first / total
        self._std = (self._integral(lambda x: (x - self._mean) ** 2 * f(np.asarray(x))) / total) ** 0.5
        x, below, _ = self._table
        if (np.diff(below) < 0).any():
            raise InputError(
                f"the density is negative near x = {x[np.diff(below).argmin()]:.3g}; give one of 0 or more"
            )
        if not 0.5 < below[-1] < 2:  # of 1: a table of a density that is singular at an end is only rough
            raise InputError(
                f"the density has its mass far from the 'centre' {self._centre:g}; give one where it is not small"
            )

    def _integral(self, g: Callable[[float], Any]) -> float:
        """The integral of g over the support; infinite if it diverges."""
        total = 0.0
        for ends in ((self._ends[0], self._centre), (self._centre, self._ends[1])):
            value, error, _, *said = quad(g, *ends, **KEPT)
            ended = error <= 1e-8 * abs(value) and not any(word in " ".join(map(str, said)) for word in ENDLESS)
            total += value if ended else np.inf
        return total

    @functools.cached_property
    def _table(self) -> tuple[Float[ndarray, " c"], Float[ndarray, " c"], Float[ndarray, " c"]]:
        """Places that cover the support, dense near the middle of the law, and the masses below and above each."""
        low, high = self._ends
        t = np.linspace(-1, 1, CELLS + 1)[1:-1]
        if np.isfinite([low, high]).all():
            x = np.concatenate([[low], low + (high - low) * (t + 1) / 2, [high]])
        elif np.isfinite(low):
            x = np.append(low, low + self._std * (1 + t) / (1 - t))
        elif np.isfinite(high):
            x = np.append(high - self._std * (1 - t) / (1 + t), high)
        else:
            x = self._mean + self._std * t / (1 - t * t)
        half, (nodes, weights) = np.diff(x)[:, None] / 2, np.polynomial.legendre.leggauss(8)
        mass = (self.pdf(x[:-1, None] + half * (1 + nodes)) * half * weights).sum(1)
        return x, np.append(0, mass.cumsum()), np.append(mass[::-1].cumsum()[::-1], 0)

    def pdf(self, x: Numbers) -> Numbers:
        low, high = self._ends
        return np.where((x >= low) & (x <= high), self._f(np.clip(x, low, high)), 0.0) / self._total

    def cdf(self, x: Numbers) -> Numbers:
        places, below, _ = self._table
        return np.interp(x, places, below)

    def sf(self, x: Numbers) -> Numbers:
        places, _, above = self._table
        return np.interp(x, places, above)

    def ppf(self, u: Numbers) -> Numbers:
        places, below, _ = self._table
        apart, kept = np.unique(below.round(13), return_index=True)
        inside = PchipInterpolator(apart, places[kept])(u)
        return np.where(u <= 0, self._ends[0], np.where(u >= 1, self._ends[1], inside))

    def mean(self) -> float:
        return self._mean

    def std(self) -> float:
        return self._std

    def median(self) -> float:
        return float(self.ppf(0.5))

    def support(self) -> tuple[float, float]:
        return self._ends
