"""Step sizes of CLVQ (Algorithm 1), and how fast it learns with them: the linear theory about the optimal grid.

In: a law on a line and a number of points. Out: the drift and the noise of one step at the optimal grid. They give the
part of the error from the start and the level of the noise. Everything is exact except for the linearisation.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.linalg import solve_continuous_lyapunov

from ddoq_core.errors import InputError
from ddoq_core.quantization import ExactQuantizer, exact_gradient, exact_quantizer, power_steps
from ddoq_core.randomness import numpy_rng

NORMALS = 20_000  # draws of a normal law for the mean of its largest entry: within half a per cent
FLAT = 0.01  # times K^-3, the order of the least eigenvalue on a line


@dataclass(frozen=True)
class StepLaw:
    """Step sizes gamma_k of CLVQ and properties of their sums; all of them sum to infinity."""

    name: str
    steps: Callable[[Int[ndarray, " k"]], Float[ndarray, " k"]]
    exponent: float  # gamma_k falls like k^-exponent
    scale: float = math.inf  # a, where gamma_k is about a / k

    @property
    def satisfies_proposition_7(self) -> bool:
        """Whether the sum of gamma^(1 + delta) is finite for some delta > 0: true for any power of k."""
        return self.exponent > 0

    @property
    def satisfies_robbins_monro(self) -> bool:
        """Whether the sum of gamma^2 is finite."""
        return self.exponent > 0.5


def step_laws(K: int) -> dict[str, StepLaw]:
    """The step laws compared, by name; the default of this package depends on the number of points."""
    laws = [StepLaw(f"{a} / (k + {2 * a})", lambda k, a=a: a / (k + 2 * a), 1, a) for a in (1, 10, 100)]
    laws += [StepLaw(f"(k + 2)^−{p}", lambda k, p=p: (k + 2.0) ** -p, p) for p in (0.7, 0.4)]
    laws += [StepLaw("(k / K + 2)^−0.7", power_steps(K), 0.7), StepLaw("0.01", lambda k: np.full(len(k), 0.01), 0)]
    return {law.name: law for law in laws}


@dataclass(frozen=True, eq=False)
class Linearised:
    """CLVQ about the optimal grid x*, as d(x, w) = -gamma drift (x - x*, w - w*) + gamma noise."""

    best: ExactQuantizer
    drift: Float[ndarray, "both both"]  # points and weights, 2 K
    noise: Float[ndarray, "both both"]  # covariance of one step's noise, over gamma^2

    @property
    def slowest(self) -> float:
        """Least eigenvalue of half the Hessian of G."""
        K = len(self.best.points)
        return float(np.linalg.eigvalsh(self.drift[:K, :K])[0])

    @property
    def slowest_lloyd(self) -> float:
        """The same with the step 1 / mu(C_i) of each point: the share of the error that one Lloyd iteration removes."""
        K = len(self.best.points)
        return float(np.linalg.eigvals(self.drift[:K, :K] / self.best.weights[:, None]).real.min())

    def exponent(self, law: StepLaw | None) -> float:
        """p, where errors fall like k^-p: the exponent of gamma^(1/2), unless the start is forgotten more slowly.

        None means Algorithm 3, whose steps are about 1 / (k mu(C_i)).
        """
        if law is None:
            return min(0.5, self.slowest_lloyd)
        return min(law.exponent / 2, law.scale * self.slowest)

    def levels(self, law: StepLaw | None, k: int) -> tuple[float, float] | None:
        """E max_i |error| of points and of weights after step k, once the start is forgotten.

        The limit of error / gamma^(1/2) is normal. Its covariance S solves M S + S M' = noise with M = drift, minus
        1 / 2a if gamma is about a / k. None if the start outlasts the noise, and for Algorithm 3.
        """
        if law is None or law.scale * self.slowest <= 0.5:
            return None
        return tuple(math.sqrt(law.steps(np.array([k]))[0]) * scale for scale in self._scales(law.scale))

    @functools.cache  # noqa: B019  there are few instances, and each lives as long as a page
    def _scales(self, a: float) -> Float[ndarray, "2"]:
        M = self.drift - np.eye(len(self.drift)) / (2 * a)
        S = solve_continuous_lyapunov(M, self.noise)
        normal = numpy_rng(0, "linearised").multivariate_normal(np.zeros(len(S)), (S + S.T) / 2, NORMALS, method="eigh")
        return np.abs(normal).reshape(NORMALS, 2, -1).max(2).mean(0)

    def start_left(self, law: StepLaw | None, n: int) -> float:
        """Share of an error along the slowest direction that is left after n samples.

        None means Algorithm 3: its point i has won about k mu(C_i) of k samples and counts its start as one. So its
        step is about 1 / ((k + K) mu(C_i)).
        """
        K = len(self.best.points)
        if law is None:
            return (1 + n / K) ** -self.slowest_lloyd
        return float(np.prod(1 - self.slowest * law.steps(np.arange(n))))


def linearise(law: Any, K: int, h: float = 1e-5) -> Linearised:
    """Derivatives at the optimal grid by central differences of step h, and the noise of one sample there.

    The noise does not correlate points and weights, since each point is the mean of its cell.

    Raises:
        InputError: the distortion is flat to second order there, for example for the Laplace law and an even K.
    """
    best, I = exact_quantizer(law, K), np.eye(K)
    x = best.points
    hessian = np.array([exact_gradient(law, x + e) - exact_gradient(law, x - e) for e in h * I]).T / (2 * h)
    masses = np.array([cell_masses(law, x + e) - cell_masses(law, x - e) for e in h * I]).T / (2 * h)
    edges = np.concatenate([[law.support()[0]], (x[1:] + x[:-1]) / 2, [law.support()[1]]])
    spread = [law.expect(lambda t, x=x: (t - x) ** 2, a, b) for x, a, b in zip(x, edges[:-1], edges[1:], strict=True)]
    drift = np.block([[hessian / 2, np.zeros((K, K))], [-masses, I]])
    noise = np.block([[np.diag(spread), np.zeros((K, K))],
                      [np.zeros((K, K)), np.diag(best.weights) - np.outer(best.weights, best.weights)]])  # fmt: skip
    found = Linearised(best, drift, noise)
    if found.slowest < FLAT / K**3:
        raise InputError(f"the distortion of K = {K} points of {law.dist.name} is flat at its least; take another K")
    return found


def cell_masses(law: Any, x: Float[ndarray, " K"]) -> Float[ndarray, " K"]:
    """mu(C_i) of increasing points."""
    return np.diff(law.cdf((x[1:] + x[:-1]) / 2), prepend=0, append=1)


def eq15(x: Float[ndarray, " K"], X: float, gamma: float, *, printed: bool) -> Float[ndarray, " K"]:
    """One step of eq. 15: as printed, x - gamma (1_{X in C_i} x_i - X); as meant, x - gamma 1_{X in C_i} (x_i - X)."""
    wins = np.arange(len(x)) == np.abs(x - X).argmin()
    return x - gamma * (wins * x - X) if printed else x - gamma * wins * (x - X)
