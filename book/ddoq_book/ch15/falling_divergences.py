"""Divergences fall along the reverse process (Theorem 9): from normal starts, smooth ones, and atoms."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from ddoq_core.quantization.exact import exact_quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import kl_constant, log_concave_noise, total_variation_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK, reverse
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, law_on_line

from .divergence import kl, kl_normal, pushed_normal, total_variation
from .reversal import quantiles


@dataclass(frozen=True)
class NormalDivergences:
    """KL(nu_delta || mu_delta) for nu_T = N(mean, variance), with mu = N(0, 1) at all times."""

    mean: float
    variance: float
    deltas: tuple[float, ...]
    kl: tuple[float, ...]


def normal_divergences(deltas: Sequence[float], T: float) -> tuple[NormalDivergences, ...]:
    """Theorem 9 in closed form: data N(0, 1), Ornstein-Uhlenbeck, three normal starts."""
    data, found = GaussianMixture([1.0], [[0.0]], [1.0]), []
    for mean, variance in ((1.0, 1.0), (0.0, 0.3), (0.5, 2.0)):
        at = [
            kl_normal(*pushed_normal(data, ORNSTEIN_UHLENBECK, mean, variance, delta, T)) if delta < T
            else kl_normal(mean, variance)
            for delta in deltas
        ]  # fmt: skip
        found.append(NormalDivergences(mean, variance, tuple(deltas), tuple(at)))
    return tuple(found)


def normal_divergences_table(found: Sequence[NormalDivergences]) -> Table:
    """One row per start, one column per delta."""
    start = Column("ν_T", lambda at: f"N({at[0]:g}, {at[1]:g})")
    columns = (start, *(Column(f"δ = {delta:g}", ".5f") for delta in found[0].deltas))
    rows = (((at.mean, at.variance), *at.kl) for at in found)
    return Table.of_rows("KL(ν_δ ‖ N(0, 1)), exact", columns, rows)


@dataclass(frozen=True)
class Divergences:
    """Exact KL and TV of nu_delta from mu_delta, and KL from a histogram of simulated paths."""

    delta: float
    kl: float
    tv: float
    simulated_kl: float  # on bins of equal mass, minus the bias (bins - 1) / 2n: at most kl, except for noise
    error: float  # standard error of simulated_kl


def divergences(
    start: GaussianMixture, deltas: Sequence[float], T: float, n: int, n_steps: int, seed: int, n_bins: int = 60
) -> tuple[Divergences, ...]:
    """Theorem 9 on four atoms under Brownian motion from a smooth start nu_T, exact by the kernel and simulated."""
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
        simulated, error = logs.mean().item() - (n_bins - 1) / (2 * n), logs.std().item() / n**0.5
        found.append(Divergences(delta, kl(nu, mu, grid), total_variation(nu, mu, grid), simulated, error))
    return tuple(found)


def divergences_table(found: Sequence[Divergences], n: int) -> Table:
    """One row per delta; the simulated divergence is from n paths."""
    columns = (Column("δ", "g"), Column("KL", ".4f"), Column("KL, simulated", ".4f"), Column("TV", ".4f"))
    rows = ((at.delta, at.kl, Mean.normal(at.simulated_kl, at.error, n), at.tv) for at in found)
    note = f"Simulated: {n:,} paths on 60 bins of equal mass, 95 %; a histogram misses a small part."
    return Table.of_rows("Four atoms, Brownian motion: ν_δ from μ_δ", columns, rows, (note,))


@dataclass(frozen=True)
class AtomicStart:
    """Divergences of nu_delta from mu_delta when nu_T is K atoms, a stationary quantizer of mu_T, and their bounds."""

    K: int
    delta: float
    T: float
    kl: float
    tv: float
    kl_bound: float  # c G
    tv_bound: float  # c' G
    optimal: bool  # proved optimal; otherwise the best stationary grid found, for which the bounds also hold


def atomic_starts(levels: Sequence[int], deltas: Sequence[float], T: float) -> tuple[AtomicStart, ...]:
    """Four atoms, Brownian motion. KL is infinite at T, and finite at every earlier time."""
    data, grid, found = FOUR_ATOMS, torch.linspace(-9, 9, 6001, dtype=torch.float64), []
    law, log_concave = law_on_line(data.noised(BROWNIAN, T)), log_concave_noise(BROWNIAN, 1.0, T)
    for delta in deltas:
        mu = data.noised(BROWNIAN, delta)
        c, c_tv = (of(BROWNIAN, 1.0, delta, T) for of in (kl_constant, total_variation_constant))
        for K in levels:
            best = exact_quantizer(law, K, log_concave=log_concave)
            points, weights = torch.from_numpy(best.points), torch.from_numpy(best.weights / best.weights.sum())
            nu = data.reversed(BROWNIAN, points[:, None], weights, delta, T)
            kl_to, tv_to, G = kl(nu, mu, grid), total_variation(nu, mu, grid), best.distortion
            found.append(AtomicStart(K, delta, T, kl_to, tv_to, c * G, c_tv * G, best.optimal))
    return tuple(found)


def atomic_starts_table(found: Sequence[AtomicStart]) -> Table:
    """One row per K, with a block for each delta."""
    names = ("KL(ν_δ ‖ μ_δ)", "c G, its bound", "TV(ν_δ, μ_δ)", "c′ G, its bound")
    columns = (Column("δ", lambda delta: f"δ = {delta:g}"), "K", *(Column(name, ".2e") for name in names))
    blocks = tuple(
        (delta, tuple((at.K, at.kl, at.kl_bound, at.tv, at.tv_bound) for at in rows))
        for delta, rows in groupby(found, key=lambda at: at.delta)
    )
    kind = "optimal quantizers" if all(at.optimal for at in found) else "the best stationary grids found"
    return Table("Starts of K atoms, four atoms, Brownian motion", columns, blocks, (f"T = {found[0].T:g}; {kind}.",))
