"""Recursive marginal quantization on a line: a Markov chain with normal steps on K points at each time.

From x the next value is N(mean(x), std(x)^2): an Euler scheme, or the exact step of a diffusion that has one. From the
quantized value the next law is a mixture of normal laws, whose best K points follow from closed forms for its cells
(Pagès and Sagna 2015). There are transition probabilities between the grids, and an expectation or an optimal stopping
problem is a sum over them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import LinAlgError
from scipy.special import ndtr
from scipy.stats import norm

from ..errors import InputError
from ..quantization import ExactQuantizer
from ..quantization.exact import newton_step
from .diffusion import Process

TOLERANCE = 1e-10  # of the gradient, in standard deviations of the mixture
STEPS = 1000  # most steps of Newton's or Lloyd's method
REACH, NODES = 8.0, 4001  # half range of the table for a start, in standard deviations of the components, and its size


@dataclass(frozen=True)
class NormalStep:
    """One step of a Markov chain on a line: from x to N(mean(x), std(x)^2)."""

    mean: Callable[[Float[ndarray, " K"]], Float[ndarray, " K"]]
    std: Callable[[Float[ndarray, " K"]], Float[ndarray, " K"]]  # above 0


def euler_step(drift: Callable[[ndarray], ndarray], diffusion: Callable[[ndarray], ndarray], h: float) -> NormalStep:
    """Euler-Maruyama for dX = drift(X) dt + diffusion(X) dW."""
    return NormalStep(lambda x: x + h * drift(x), lambda x: h**0.5 * diffusion(x) + 0 * x)


def noising_step(process: Process, h: float) -> NormalStep:
    """The exact step of a noising process: decay, and the variance of the noise, over a time h."""
    decay, variance = process.decay(h), process.variance(h)
    return NormalStep(lambda x: decay * x, lambda x: 0 * x + variance**0.5)


@dataclass(frozen=True, eq=False)
class QuantizedChain:
    """The chain on grids."""

    grids: tuple[ExactQuantizer, ...]  # the start first; each quantizes the law after one step from the grid before
    transitions: tuple[Float[ndarray, "_ _"], ...]  # from each point of a grid to the cells of the next; rows sum to 1

    def stopped(self, payoff: Callable[[Float[ndarray, " K"]], Float[ndarray, " K"]], discount: float) -> float:
        """Value of the best time to take the payoff, discounted at each step; the start is not such a time."""
        value = payoff(self.grids[-1].points)
        for grid, transition in zip(self.grids[-2:0:-1], self.transitions[:0:-1], strict=True):
            value = np.maximum(payoff(grid.points), discount * (transition @ value))
        return float(discount * (self.grids[0].weights @ (self.transitions[0] @ value)))


def quantized_chain(start: ExactQuantizer, steps: Sequence[NormalStep], K: int) -> QuantizedChain:
    """The chain from a quantized start, with the best K points at every later time.

    Raises:
        InputError: K < 1, or a step whose deviation is not above 0 at a point.
        ArithmeticError: no stationary points of a mixture.
    """
    if K < 1:
        raise InputError(f"K = {K}, but a grid needs at least 1 point")
    grids, transitions = [start], []
    for step in steps:
        x, w = grids[-1].points, grids[-1].weights
        law = Mixture(w, step.mean(x), step.std(x))
        if not (np.isfinite(law.means).all() and (law.stds > 0).all() and np.isfinite(law.stds).all()):
            raise InputError(f"step {len(grids)} has means {law.means} and deviations {law.stds}; give those above 0")
        grids.append(law.quantizer(K))
        transitions.append(law.shares(grids[-1].points))
    return QuantizedChain(tuple(grids), tuple(transitions))


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of normal laws on a line, with closed forms."""

    weights: Float[ndarray, " J"]
    means: Float[ndarray, " J"]
    stds: Float[ndarray, " J"]

    def pdf(self, x: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Density."""
        return self.weights / self.stds @ norm.pdf((x - self.means[:, None]) / self.stds[:, None])

    def shares(self, x: Float[ndarray, " K"]) -> Float[ndarray, "J K"]:
        """The mass of each component in the cells of increasing points."""
        return np.diff(ndtr(self._edges(x)), axis=1)

    def cells(self, x: Float[ndarray, " K"]) -> tuple[Float[ndarray, " K"], Float[ndarray, " K"], float]:
        """Gradient of the distortion (eq. 13), cell masses and distortion of increasing points."""
        z = self._edges(x)
        mass, p = np.diff(ndtr(z), axis=1), norm.pdf(z)
        first, second = -np.diff(p, axis=1), mass - np.diff(np.where(np.isfinite(z), z, 0) * p, axis=1)
        off, s = self.means[:, None] - x, self.stds[:, None]
        moment = self.weights @ (off * mass + s * first)
        cost = self.weights @ (off**2 * mass + 2 * off * s * first + s**2 * second)
        return -2 * moment, self.weights @ mass, float(cost.sum())

    def quantizer(self, K: int) -> ExactQuantizer:
        """Stationary points from the density p^(1/3): by Newton's method, or Lloyd's where Newton's does not help."""
        mean = self.weights @ self.means
        std = (self.weights @ (self.stds**2 + (self.means - mean) ** 2)) ** 0.5
        nodes = np.linspace((self.means - REACH * self.stds).min(), (self.means + REACH * self.stds).max(), NODES)
        shares = np.cumsum(self.pdf(nodes) ** (1 / 3))
        x = np.interp((np.arange(K) + 0.5) / K * shares[-1], shares, nodes)
        for _ in range(STEPS):
            gradient, mass, cost = self.cells(x)
            if np.abs(gradient).max() <= TOLERANCE * std:
                return ExactQuantizer(x, mass, cost, False)
            x = self._moved(x, gradient, mass, std)
        raise ArithmeticError(f"no stationary grid of {K} points for a mixture of {len(self.means)} normal laws")

    def _moved(
        self, x: Float[ndarray, " K"], gradient: Float[ndarray, " K"], mass: Float[ndarray, " K"], std: float
    ) -> Float[ndarray, " K"]:
        try:
            new = newton_step(self, x, gradient, mass)
            near = (np.diff(new) > 0).all() and np.abs(new - x).max() < std
            if near and np.abs(self.cells(new)[0]).max() < np.abs(gradient).max():
                return new
        except (LinAlgError, ValueError):
            pass
        return x - np.divide(gradient, 2 * mass, out=np.zeros_like(x), where=mass > 0)

    def _edges(self, x: Float[ndarray, " K"]) -> Float[ndarray, "J edges"]:
        """Ends of the cells, relative to each component."""
        edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
        return (edges - self.means[:, None]) / self.stds[:, None]
