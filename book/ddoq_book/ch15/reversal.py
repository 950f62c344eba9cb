"""Reverse diffusion recovers the law: the chapter's experiments on Proposition 8, with their tables and figures."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import chisquare, kstwo
from torch import Tensor

from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.diffusion import (
    BROWNIAN,
    ORNSTEIN_UHLENBECK,
    Process,
    euler_maruyama,
    exponential_integrator,
    probability_flow,
    reverse,
    schedule,
)
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, atoms, law_on_line
from ddoq_core.theory.transport import wasserstein1_of_samples

from ..style import BLUE, GREEN, MUTED, VERMILION, figure_style, subplots
from .score_strength import joint_moments_p, scaled_score

BOTH = (BROWNIAN, ORNSTEIN_UHLENBECK)
REVERSE_STEPS = {  # name, step of `reverse`, colour, marker
    "Euler-Maruyama": (euler_maruyama, VERMILION, "o"),
    "exponential integrator": (exponential_integrator, BLUE, "s"),
    "probability-flow ODE": (probability_flow, GREEN, "D"),
}
PROJECTIONS = 20  # directions in which a law in R^d is compared


def measures(d: int, seed: int) -> dict[str, GaussianMixture]:
    """A cloud of 20 atoms in the unit ball, a normal law and a mixture of three normal laws, in R^d."""
    rng = numpy_rng(seed, "15", "measures", d)
    cloud = rng.standard_normal((20, d))
    cloud *= rng.random((20, 1)) ** (1 / d) / np.linalg.norm(cloud, axis=1, keepdims=True)
    return {
        "20 atoms": atoms(torch.from_numpy(cloud)),
        "normal": GaussianMixture([1.0], rng.standard_normal((1, d)), [0.7]),
        "mixture": GaussianMixture([0.5, 0.3, 0.2], rng.standard_normal((3, d)), [0.5, 0.3, 0.8]),
    }


@dataclass(frozen=True)
class ChainVariance:
    """Variance of a discrete chain after its last step, started at unit variance, and its limit."""

    chain: str
    step: str
    n_steps: int
    variance: Mean
    exact: float


def chain_variances(n_steps: int, n_paths: int, rng: np.random.Generator) -> tuple[ChainVariance, ...]:
    """The two discrete chains behind eqs. 18 and 19."""
    betas, sigmas = np.linspace(1e-4, 0.02, n_steps), np.geomspace(0.01, 30, n_steps + 1)
    x, y = rng.standard_normal((2, n_paths))
    for i in range(n_steps):
        x = math.sqrt(1 - betas[i]) * x + math.sqrt(betas[i]) * rng.standard_normal(n_paths)
        y = y + math.sqrt(sigmas[i + 1] ** 2 - sigmas[i] ** 2) * rng.standard_normal(n_paths)
    exploded = float(1 + sigmas[-1] ** 2 - sigmas[0] ** 2)
    return (
        ChainVariance("DDPM", "√(1−β) x + √β N", n_steps, _variance(x), 1.0),
        ChainVariance("SMLD", "x + √Δσ² N", n_steps, _variance(y), exploded),
    )


def _variance(x: Float[ndarray, " n"]) -> Mean:
    """Variance of normal draws; the standard error of a variance V is V (2 / (n - 1))^(1/2)."""
    V = float(x.var())
    return Mean.normal(V, V * math.sqrt(2 / (len(x) - 1)), len(x))


def chains_table(found: Sequence[ChainVariance]) -> Table:
    """One row per chain."""
    after = f"variance after {found[0].n_steps} steps"
    columns = ("chain", "one step", Column(after, ".2f"), Column("exact", ".2f"))
    rows = ((at.chain, at.step, at.variance, at.exact) for at in found)
    note = f"n = {found[0].variance.n:,} paths, 95 %."
    return Table.of_rows("What preserves variance and what explodes", columns, rows, (note,))


@figure_style()
def paths_figure(T: float, n_paths: int, n_steps: int, seed: int) -> Figure:
    """The law of the noised four atoms, and paths of the reverse SDE and of the ODE from the same starts."""
    figure, panels = subplots(1, 2, height=3.8, sharey=True)
    times = np.linspace(0, 1, 121)[1:] ** 2 * T
    grid = torch.linspace(-2.6, 2.6, 301, dtype=torch.float64)
    density = np.stack([FOUR_ATOMS.noised(BROWNIAN, t).log_density(grid[:, None]).exp().numpy() for t in times], 1)
    start = FOUR_ATOMS.noised(BROWNIAN, T).sample(n_paths, numpy_rng(seed, "15", "paths"))
    for axes, name in zip(panels, ("exponential integrator", "probability-flow ODE"), strict=True):
        axes.pcolormesh(
            times, grid, np.minimum(density, 1.2), cmap="Greys", shading="gouraud", rasterized=True, alpha=0.6
        )
        at, along = trace(FOUR_ATOMS, BROWNIAN, start, 0.0, T, n_steps, REVERSE_STEPS[name][0], seed)
        axes.plot(at, along[:, :, 0], color=REVERSE_STEPS[name][1], linewidth=0.9)
        axes.set(xlabel="time t of the noise", title="reverse SDE" if "ODE" not in name else name, xlim=(T, -0.03 * T))
        axes.grid(False)
    panels[0].set_ylabel("x")
    return figure


def trace(
    measure: GaussianMixture, process: Process, x: Float[Tensor, "n d"], delta: float, T: float, n_steps: int,
    step: Callable[..., Tensor], seed: int,
) -> tuple[Float[ndarray, " m"], Float[ndarray, "m n d"]]:  # fmt: skip
    """Paths of `reverse` at its own times: the same loop, one step at a time."""
    times = schedule(delta, T, n_steps)
    rng, along = numpy_rng(seed, "15", "trace"), [x]
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        along.append(reverse(measure, process, along[-1], s, t, n_steps=1, rng=rng, step=step))
    return times, torch.stack(along).numpy()


@dataclass(frozen=True)
class ReturnedLaw:
    """A test of Proposition 8: distance of the ends of the reverse SDE, from n draws of mu_T, to mu_delta."""

    data: str
    d: int
    process: Process
    distance: float  # Kolmogorov-Smirnov distance, the largest over PROJECTIONS directions
    p: float  # p-value with Bonferroni's correction
    moments_p: float  # `joint_moments_p` of ends given their starts
    n_steps: int
    delta: float
    T: float
    n: int


def returned_laws(
    dimensions: Sequence[int], n: int, n_steps: int, delta: float, T: float, seed: int, factor: float = 1.0
) -> tuple[ReturnedLaw, ...]:
    """Every measure in every dimension, noised and reversed by both processes; a factor makes the score wrong."""
    found = []
    for d in dimensions:
        for name, measure in measures(d, seed).items():
            for process in BOTH:
                rng = numpy_rng(seed, "15", "return", d, name, process.name)
                begin = measure.noised(process, T).sample(n, rng)
                end = reverse(scaled_score(measure, factor), process, begin, delta, T, n_steps=n_steps, rng=rng)
                off, p = projected_ks(end, measure.noised(process, delta), rng)
                given = joint_moments_p(measure, process, begin, end, delta, T)
                found.append(ReturnedLaw(name, d, process, off, p, given, n_steps, delta, T, n))
    return tuple(found)


def returns_table(found: Sequence[ReturnedLaw]) -> Table:
    """One row per process, with a block for each measure."""
    columns = (
        Column("data", lambda at: f"{at[0]}, d = {at[1]}"),
        "process",
        Column("largest distance of distribution functions", ".4f"),
        Column("p-value", ".2f"),
        Column("p-value of moments, given the start", ".2f"),
    )
    blocks = tuple(
        (data, tuple((at.process.name, at.distance, at.p, at.moments_p) for at in rows))
        for data, rows in groupby(found, key=lambda at: (at.data, at.d))
    )
    n, n_steps, delta, T = (getattr(found[0], name) for name in ("n", "n_steps", "delta", "T"))
    note = f"n = {n:,} paths, {n_steps} steps of the exponential integrator, δ = {delta:g}, T = {T:g}."
    return Table("The law comes back", columns, blocks, (note,))


def power_table(found: dict[str, Sequence[ReturnedLaw]]) -> Table:
    """Number of hypotheses that each test rejects, for each score: a family of tests at 5 % (Bonferroni)."""
    rows = []
    for name, laws in found.items():
        pairs = [(at.p, at.moments_p) for at in laws]
        counts = (sum(p < 0.05 / len(laws) for p in values) for values in zip(*pairs, strict=True))
        rows.append((name, len(laws), *counts))
    columns = ("score", "hypotheses", "rejected by distribution functions", "rejected by moments, given the start")
    at = found[next(iter(found))][0]
    note = f"n = {at.n:,} paths and {at.n_steps} steps for each; a hypothesis is rejected at 5 % over their number."
    return Table.of_rows("What the tests detect", columns, rows, (note,))


def projected_ks(x: Float[Tensor, "n d"], law: GaussianMixture, rng: np.random.Generator) -> tuple[float, float]:
    """Largest Kolmogorov-Smirnov distance of samples to a law over directions, and its p-value (Bonferroni)."""
    m = 1 if law.d == 1 else PROJECTIONS
    directions = torch.from_numpy(rng.standard_normal((m, law.d)))
    largest = 0.0
    for u in directions / directions.norm(dim=1, keepdim=True):
        F = law.projected(u).cdf((x @ u).sort().values)
        ranks = torch.arange(len(x) + 1) / len(x)
        largest = max(largest, (F - ranks[:-1]).max().item(), (ranks[1:] - F).max().item())
    return largest, min(1.0, m * float(kstwo(len(x)).sf(largest)))


def quantiles(measure: GaussianMixture, n: int) -> Float[Tensor, "n 1"]:
    """The (i + 1/2) / n quantiles of a measure on a line: a sample with almost no noise."""
    return torch.from_numpy(law_on_line(measure).ppf((np.arange(n) + 0.5) / n))[:, None]


@dataclass(frozen=True, eq=False)
class SamplerErrors:
    """W_1 to mu_delta of each sampler by its number of steps, and of the same number of draws of mu_delta."""

    steps: tuple[int, ...]
    errors: dict[str, Float[ndarray, " s"]]  # by sampler
    floor: float  # mean over 20 sets of draws
    n: int  # number of draws, and of paths

    def slope(self, name: str) -> float:
        """Slope of log error against log steps."""
        return float(np.polyfit(np.log(self.steps), np.log(self.errors[name]), 1)[0])


def sampler_errors(steps: Sequence[int], n: int, delta: float, T: float, seed: int) -> SamplerErrors:
    """Each sampler of REVERSE_STEPS from n quantiles of mu_T of the four atoms."""
    mu_T, goal = (FOUR_ATOMS.noised(BROWNIAN, t) for t in (T, delta))
    begin = quantiles(mu_T, n)
    found = {name: [] for name in REVERSE_STEPS}
    for name, (step, _, _) in REVERSE_STEPS.items():
        for n_steps in steps:
            rng = numpy_rng(seed, "15", "steps", n_steps)
            end = reverse(FOUR_ATOMS, BROWNIAN, begin, delta, T, n_steps=n_steps, rng=rng, step=step)
            found[name].append(wasserstein1_of_samples(end[:, 0], goal))
    draws = [goal.sample(n, numpy_rng(seed, "15", "floor", i))[:, 0] for i in range(20)]
    floor = float(np.mean([wasserstein1_of_samples(x, goal) for x in draws]))
    return SamplerErrors(tuple(steps), {name: np.array(values) for name, values in found.items()}, floor, n)


@figure_style()
def sampler_steps_figure(found: SamplerErrors) -> Figure:
    """Errors of the samplers against their steps, and the error of the same number of draws of the law."""
    figure, axes = subplots()
    for name, values in found.errors.items():
        _, colour, marker = REVERSE_STEPS[name]
        axes.plot(found.steps, values, color=colour, marker=marker, label=name)
    floor = [found.floor] * len(found.steps)
    axes.plot(found.steps, floor, color=MUTED, linestyle=":", label=f"{found.n:,} draws of the law")
    axes.set(xscale="log", yscale="log", xlabel="steps from T to δ", ylabel="$W_1$ to the law at δ")
    axes.set_xticks(found.steps, [str(s) for s in found.steps])
    axes.minorticks_off()
    axes.legend()  # the lines are too close for names at their ends
    return figure


def returned_shares(n: int, n_steps: int, T: float, seed: int) -> tuple[float, float]:
    """Run to delta = 0: largest distance of a path to its nearest atom, and chi^2 p-value of the shares."""
    begin = FOUR_ATOMS.noised(BROWNIAN, T).sample(n, numpy_rng(seed, "15", "shares"))
    end = reverse(FOUR_ATOMS, BROWNIAN, begin, 0.0, T, n_steps=n_steps, rng=numpy_rng(seed, "15", "shares", "noise"))
    away, at = (end - FOUR_ATOMS.means[:, 0]).abs().min(1)
    counts = torch.bincount(at, minlength=4).numpy()
    expected = FOUR_ATOMS.masses.numpy() / FOUR_ATOMS.masses.sum().item() * n
    return away.max().item(), float(chisquare(counts, expected).pvalue)


def score_seconds(n_atoms: int, d: int, n_places: int, seed: int) -> float:
    """Seconds for the exact score of a cloud at many places."""
    rng = numpy_rng(seed, "15", "score")
    cloud = atoms(torch.from_numpy(rng.standard_normal((n_atoms, d)))).noised(BROWNIAN, 1.0)
    places = torch.from_numpy(rng.standard_normal((n_places, d)))
    began = time.perf_counter()
    cloud.score(places)
    return time.perf_counter() - began
