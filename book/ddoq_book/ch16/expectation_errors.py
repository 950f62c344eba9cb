"""Errors in expectation, |E_mu f - E_nu f| for 1-Lipschitz f, after the reverse process from K points.

Theorem 13 and Corollary 15 bound them. On a line the worst f is known: its error is W_1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from ddoq_core.quantization.exact import exact_quantizer, uniform_quantizer
from ddoq_core.theory.bounds import log_concave_noise
from ddoq_core.theory.diffusion import Process, probability_flow, reverse
from ddoq_core.theory.measures import GaussianMixture, atoms, law_on_line
from ddoq_core.theory.transport import expectation_error, wasserstein1_on_line

FLOW_STEPS = 1000  # steps of the ODE: more steps change no digit on the page


@dataclass(frozen=True, eq=False)
class StartMeasure:
    """A K-point measure nu_T that replaces mu_T, the law of the noised data."""

    points: Float[Tensor, "K 1"]
    weights: Float[Tensor, " K"]
    W1: float  # W_1(mu_T, nu_T)
    W2: float  # W_2(mu_T, nu_T)

    @property
    def measure(self) -> GaussianMixture:
        """nu_T itself."""
        return atoms(self.points, self.weights)


def start_measures(data: GaussianMixture, process: Process, T: float, K: int) -> dict[str, StartMeasure]:
    """Optimal quantizer of mu_T, best K equal masses, and optimal points with equal masses (D4M's construction).

    If mu_T is log-concave by Lemma 12, the first is proved optimal; otherwise it is the best grid found.
    """
    mu_T, R = data.noised(process, T), data.means.abs().max().item()
    law = law_on_line(mu_T)
    best = exact_quantizer(law, K, log_concave=log_concave_noise(process, R, T))
    equal = uniform_quantizer(law, K)
    shifted = equal.distortion + np.mean((best.points - equal.points) ** 2)  # both orders are increasing: optimal
    found = {
        "optimal": (best.points, best.weights, best.distortion),
        "equal masses": (equal.points, equal.weights, equal.distortion),
        "optimal points, equal masses": (best.points, equal.weights, shifted),
    }
    made = {}
    for name, (points, weights, squared) in found.items():
        x, w = torch.from_numpy(points)[:, None], torch.from_numpy(weights / weights.sum())
        made[name] = StartMeasure(x, w, wasserstein1_on_line(atoms(x, w), mu_T), math.sqrt(squared))
    return made


def constant_of_measure(
    data: GaussianMixture, process: Process, delta: float, T: float, grid: Float[ndarray, " n"] | None = None
) -> float:
    """Lambda of one cloud on a line: beta + alpha kappa sup_x Var(X_0 | X_T = x), the smallest constant for its starts.

    On a line the kernel from x increases with x, so W_1 of two kernels is the difference of their means.
    """
    alpha, beta, _ = process.bridge(delta, T)
    x = np.linspace(-8, 8, 8001) if grid is None else grid
    r, z = data.noised(process, T).responsibilities(torch.from_numpy(x)[:, None]), data.means[:, 0]
    variance = (r @ z.square() - (r @ z).square()).max().item()
    return beta + alpha * process.decay(T) / process.variance(T) * variance


def worst_function(mu: GaussianMixture, nu: GaussianMixture) -> Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]:
    """The 1-Lipschitz f with E_mu f - E_nu f = W_1(mu, nu) on a line: f' is the sign of F_nu - F_mu."""
    grid = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    slopes = torch.sign(nu.cdf(grid) - mu.cdf(grid)).numpy()
    values = np.concatenate([[0.0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(grid.numpy()))])
    return lambda z: np.interp(z, grid.numpy(), values)


@dataclass(frozen=True, eq=False)
class ErrorRates:
    """Error in expectation against K, for each kind of start and sampler."""

    levels: tuple[int, ...]
    errors: dict[str, Float[ndarray, " n"]]

    def slope(self, name: str) -> float:
        """Slope of log error against log K over the last four levels."""
        return float(np.polyfit(np.log(self.levels[-4:]), np.log(self.errors[name][-4:]), 1)[0])


def error_rates(data: GaussianMixture, process: Process, T: float, delta: float, levels: Sequence[int]) -> ErrorRates:
    """Measure Corollary 15: the reverse SDE from three kinds of K points, the probability-flow ODE, and W_2 at T."""
    kinds = [start_measures(data, process, T, K) for K in levels]
    points = torch.cat([kind["optimal"].points for kind in kinds])
    rng = np.random.default_rng(0)  # the flow draws nothing from it
    ends = reverse(data, process, points, delta, T, n_steps=FLOW_STEPS, rng=rng, step=probability_flow)
    goal, rows = data.noised(process, delta), []
    for kind, end in zip(kinds, ends.split(list(levels)), strict=True):
        row = {f"SDE, {name}": expectation_error(data, process, nu.measure, delta, T) for name, nu in kind.items()}
        row["ODE, optimal"] = wasserstein1_on_line(atoms(end, kind["optimal"].weights), goal)
        row["W₂ at time T"] = kind["optimal"].W2
        rows.append(row)
    return ErrorRates(tuple(levels), {name: np.array([row[name] for row in rows]) for name in rows[0]})


def one_draw_each(
    data: GaussianMixture, process: Process, T: float, delta: float, K: int, rng: np.random.Generator, n: int = 30
) -> Float[ndarray, " n"]:
    """The error with one path of the SDE from each point of the optimal quantizer, repeated n times."""
    start = start_measures(data, process, T, K)["optimal"]
    kernels = [data.reversed(process, x[None], torch.ones(1), delta, T) for x in start.points]
    draws = torch.stack([kernel.sample(n, rng)[:, 0] for kernel in kernels], 1)
    goal = data.noised(process, delta)
    return np.array([wasserstein1_on_line(atoms(x[:, None], start.weights), goal) for x in draws])
