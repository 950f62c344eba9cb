"""Tables and figures of the chapter on reverse diffusion: the law comes back, divergences fall, and what explodes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import chisquare, kstwo
from torch import Tensor

from ddoq_core.keys import numpy_rng
from ddoq_core.quantization.exact import exact_quantizer
from ddoq_core.results.table import Table
from ddoq_core.theory.bounds import kl_constant
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
from ddoq_core.theory.divergence import kl, kl_normal, pushed_normal, total_variation
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, atoms, law_on_line
from ddoq_core.theory.transport import wasserstein1_of_samples

from ..style import BLUE, GREEN, MUTED, VERMILION, figure_style, subplots

BOTH = (BROWNIAN, ORNSTEIN_UHLENBECK)
SAMPLERS = {  # name, step of `reverse`, colour, marker
    "Euler-Maruyama": (euler_maruyama, VERMILION, "o"),
    "exponential integrator": (exponential_integrator, BLUE, "s"),
    "probability-flow ODE": (probability_flow, GREEN, "D"),
}
PROJECTIONS = 20  # directions in which a law in R^d is compared


def measures(d: int, seed: int) -> dict[str, GaussianMixture]:
    """A cloud of 20 atoms in the unit ball, a normal law and a mixture of three, in R^d."""
    rng = numpy_rng(seed, "15", "measures", d)
    cloud = rng.standard_normal((20, d))
    cloud *= rng.random((20, 1)) ** (1 / d) / np.linalg.norm(cloud, axis=1, keepdims=True)
    return {
        "20 atoms": atoms(torch.from_numpy(cloud)),
        "normal": GaussianMixture([1.0], rng.standard_normal((1, d)), [0.7]),
        "mixture": GaussianMixture([0.5, 0.3, 0.2], rng.standard_normal((3, d)), [0.5, 0.3, 0.8]),
    }


def chain_variances(n_steps: int, n_paths: int, rng: np.random.Generator) -> Table:
    """Variance of the two discrete chains behind eqs. 18 and 19, from unit variance, against their limits."""
    betas, sigmas = np.linspace(1e-4, 0.02, n_steps), np.geomspace(0.01, 30, n_steps + 1)
    x, y = rng.standard_normal((2, n_paths))
    for i in range(n_steps):
        x = math.sqrt(1 - betas[i]) * x + math.sqrt(betas[i]) * rng.standard_normal(n_paths)
        y = y + math.sqrt(sigmas[i + 1] ** 2 - sigmas[i] ** 2) * rng.standard_normal(n_paths)
    rows = [("DDPM", "√(1−β) x + √β N", x, 1.0), ("SMLD", "x + √Δσ² N", y, 1 + sigmas[-1] ** 2 - sigmas[0] ** 2)]
    half = 1.96 * math.sqrt(2 / (n_paths - 1))  # a normal chain: the variance of a variance
    blocks = tuple(
        (name, ((step, f"{z.var():.2f} ± {half * z.var():.2f}", f"{goal:.2f}"),)) for name, step, z, goal in rows
    )
    columns = ("chain", "one step", f"variance after {n_steps} steps", "exact")
    return Table("What preserves variance and what explodes", columns, blocks, (f"n = {n_paths:,} paths, 95 %.",))


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
        at, along = trace(FOUR_ATOMS, BROWNIAN, start, 0.0, T, n_steps, SAMPLERS[name][0], seed)
        axes.plot(at, along[:, :, 0], color=SAMPLERS[name][1], linewidth=0.9)
        axes.set(xlabel="time t of the noise", title="reverse SDE" if "ODE" not in name else name, xlim=(T, -0.03 * T))
        axes.grid(False)
    panels[0].set_ylabel("x")
    return figure


def trace(
    measure: GaussianMixture, process: Process, x: Float[Tensor, "n d"], delta: float, T: float, n_steps: int,
    step: Callable[..., Tensor], seed: int,
) -> tuple[Float[ndarray, " m"], Float[ndarray, "m n d"]]:  # fmt: skip
    """Paths of `reverse` at its own times: the same loop, in pieces of one step."""
    times = schedule(delta, T, n_steps)
    rng, along = numpy_rng(seed, "15", "trace"), [x]
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        along.append(reverse(measure, process, along[-1], s, t, n_steps=1, rng=rng, step=step))
    return times, torch.stack(along).numpy()


def return_table(dimensions: Sequence[int], n: int, n_steps: int, delta: float, T: float, seed: int) -> Table:
    """Proposition 8: from n draws of mu_T the reverse SDE should end in mu_delta; Kolmogorov-Smirnov, projected.

    The statistic is the largest over PROJECTIONS directions; its p-value is Bonferroni's.
    """
    blocks = []
    for d in dimensions:
        for name, measure in measures(d, seed).items():
            rows = []
            for process in BOTH:
                rng = numpy_rng(seed, "15", "return", d, name, process.name)
                begin = measure.noised(process, T).sample(n, rng)
                end = reverse(measure, process, begin, delta, T, n_steps=n_steps, rng=rng)
                off, p = projected_ks(end, measure.noised(process, delta), rng)
                rows.append((process.name, f"{off:.4f}", f"{p:.2f}"))
            blocks.append((f"{name}, d = {d}", tuple(rows)))
    columns = ("data", "process", "largest distance of distribution functions", "p")
    note = f"n = {n:,} paths, {n_steps} steps of the exponential integrator, δ = {delta:g}, T = {T:g}."
    return Table("The law comes back", columns, tuple(blocks), (note,))


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


def step_errors(steps: Sequence[int], n: int, delta: float, T: float, seed: int) -> dict[str, Float[ndarray, " s"]]:
    """W_1 to mu_delta of each sampler from n quantiles of mu_T of the four atoms, against its number of steps."""
    mu_T, goal = (FOUR_ATOMS.noised(BROWNIAN, t) for t in (T, delta))
    begin = quantiles(mu_T, n)
    found = {name: [] for name in SAMPLERS}
    for name, (step, _, _) in SAMPLERS.items():
        for n_steps in steps:
            rng = numpy_rng(seed, "15", "steps", n_steps)
            end = reverse(FOUR_ATOMS, BROWNIAN, begin, delta, T, n_steps=n_steps, rng=rng, step=step)
            found[name].append(wasserstein1_of_samples(end[:, 0], goal))
    draws = [goal.sample(n, numpy_rng(seed, "15", "floor", i))[:, 0] for i in range(20)]
    found[f"{n:,} draws of the law"] = [float(np.mean([wasserstein1_of_samples(x, goal) for x in draws]))] * len(steps)
    return {name: np.array(values) for name, values in found.items()}


def quantiles(law: GaussianMixture, n: int) -> Float[Tensor, "n 1"]:
    """The (i + 1/2) / n quantiles of a law on a line: a sample with hardly any noise."""
    return torch.from_numpy(law_on_line(law).ppf((np.arange(n) + 0.5) / n))[:, None]


@figure_style()
def steps_figure(steps: Sequence[int], errors: dict[str, Float[ndarray, " s"]]) -> Figure:
    """Errors of the samplers against their steps, above the error of so many draws of the law itself."""
    figure, axes = subplots()
    for name, values in errors.items():
        _, colour, marker = SAMPLERS.get(name, (None, MUTED, None))
        axes.plot(steps, values, color=colour, marker=marker, linestyle="-" if marker else ":", label=name)
    axes.set(xscale="log", yscale="log", xlabel="steps from T to δ", ylabel="$W_1$ to the law at δ")
    axes.set_xticks(steps, [str(s) for s in steps])
    axes.minorticks_off()
    axes.legend()  # lines too near to each other for names beside them
    return figure


def normal_table(deltas: Sequence[float], T: float) -> Table:
    """Theorem 9 in closed form: data N(0, 1), Ornstein-Uhlenbeck; KL(nu_delta || mu_delta) of three normal starts."""
    data, rows = GaussianMixture([1.0], [[0.0]], [1.0]), []
    for mean, variance in ((1.0, 1.0), (0.0, 0.3), (0.5, 2.0)):
        at = [
            kl_normal(*pushed_normal(data, ORNSTEIN_UHLENBECK, mean, variance, delta, T)) if delta < T
            else kl_normal(mean, variance)
            for delta in deltas
        ]  # fmt: skip
        rows.append((f"N({mean:g}, {variance:g})", (tuple(f"{value:.5f}" for value in at),)))
    return Table("KL(ν_δ ‖ N(0, 1)), exact", ("ν_T", *(f"δ = {delta:g}" for delta in deltas)), tuple(rows))


@dataclass(frozen=True)
class Divergences:
    """KL and TV of nu_delta from mu_delta, exact, and KL from a histogram of simulated paths."""

    delta: float
    kl: float
    tv: float
    simulated_kl: float  # on bins of equal mass, less the bias (bins - 1) / 2n: at most kl, but for noise
    interval: float  # half width of simulated_kl, 95 %


def divergences(
    start: GaussianMixture, deltas: Sequence[float], T: float, n: int, n_steps: int, seed: int, n_bins: int = 60
) -> list[Divergences]:
    """Theorem 9 on four atoms under Brownian motion from a smooth start nu_T: exact by the kernel, and simulated."""
    grid, places = (torch.linspace(-9, 9, m, dtype=torch.float64) for m in (6001, 1201))
    masses = start.log_density(places[:, None]).exp()
    found = []
    for delta in deltas:
        mu, nu, end = FOUR_ATOMS.noised(BROWNIAN, delta), start, quantiles(start, n)
        if delta < T:
            nu = FOUR_ATOMS.reversed(BROWNIAN, places[:, None], masses / masses.sum(), delta, T)
            rng = numpy_rng(seed, "15", "divergences")
            end = reverse(FOUR_ATOMS, BROWNIAN, end, delta, T, n_steps=n_steps, rng=rng)
        edges = torch.from_numpy(law_on_line(mu).ppf(np.arange(1, n_bins) / n_bins))
        bins = torch.searchsorted(edges, end[:, 0].contiguous())
        logs = torch.log(torch.bincount(bins, minlength=n_bins) * n_bins / n)[bins]
        simulated, half = logs.mean().item() - (n_bins - 1) / (2 * n), 1.96 * logs.std().item() / n**0.5
        found.append(Divergences(delta, kl(nu, mu, grid), total_variation(nu, mu, grid), simulated, half))
    return found


def returned_shares(n: int, n_steps: int, T: float, seed: int) -> tuple[float, float]:
    """Run to delta = 0: distance of paths to the nearest atom at most, and chi^2 p-value of the shares."""
    begin = FOUR_ATOMS.noised(BROWNIAN, T).sample(n, numpy_rng(seed, "15", "shares"))
    end = reverse(FOUR_ATOMS, BROWNIAN, begin, 0.0, T, n_steps=n_steps, rng=numpy_rng(seed, "15", "shares", "noise"))
    away, at = (end - FOUR_ATOMS.means[:, 0]).abs().min(1)
    counts = torch.bincount(at, minlength=4).numpy()
    expected = FOUR_ATOMS.masses.numpy() / FOUR_ATOMS.masses.sum().item() * n
    return away.max().item(), float(chisquare(counts, expected).pvalue)


def divergences_table(found: Sequence[Divergences], n: int) -> Table:
    """One row per delta."""
    rows = tuple(
        (f"{f.delta:g}", ((f"{f.kl:.4f}", f"{f.simulated_kl:.4f} ± {f.interval:.4f}", f"{f.tv:.4f}"),)) for f in found
    )
    note = f"Simulated: {n:,} paths on 60 bins of equal mass, 95 %; a histogram sees a little less than all."
    return Table("Four atoms, Brownian motion: ν_δ from μ_δ", ("δ", "KL", "KL, simulated", "TV"), rows, (note,))


def singular_table(levels: Sequence[int], deltas: Sequence[float], T: float) -> Table:
    """KL(nu_delta || mu_delta) and TV when nu_T is K atoms, the optimal quantizer of mu_T, against c G = c W_2^2.

    At T it is infinite; at every earlier time it is finite.
    """
    data, grid, blocks = FOUR_ATOMS, torch.linspace(-9, 9, 6001, dtype=torch.float64), []
    law = law_on_line(data.noised(BROWNIAN, T))
    for delta in deltas:
        c, mu, rows = kl_constant(BROWNIAN, 1.0, delta, T), data.noised(BROWNIAN, delta), []
        for K in levels:
            best = exact_quantizer(law, K, log_concave=True)
            points, weights = (
                torch.from_numpy(best.points)[:, None],
                torch.from_numpy(best.weights / best.weights.sum()),
            )
            nu = data.reversed(BROWNIAN, points, weights, delta, T)
            cells = kl(nu, mu, grid), total_variation(nu, mu, grid), c * best.distortion
            rows.append((str(K), *(f"{value:.2e}" for value in cells)))
        blocks.append((f"δ = {delta:g}", tuple(rows)))
    columns = ("δ", "K", "KL(ν_δ ‖ μ_δ)", "TV(ν_δ, μ_δ)", "c G, which bounds both")
    return Table("Starts of K atoms, four atoms, Brownian motion", columns, tuple(blocks), (f"T = {T:g}.",))


def score_seconds(n_atoms: int, d: int, n_places: int, seed: int) -> float:
    """Seconds for the exact score of a cloud at many places."""
    rng = numpy_rng(seed, "15", "score")
    cloud = atoms(torch.from_numpy(rng.standard_normal((n_atoms, d)))).noised(BROWNIAN, 1.0)
    places = torch.from_numpy(rng.standard_normal((n_places, d)))
    began = time.perf_counter()
    cloud.score(places)
    return time.perf_counter() - began
