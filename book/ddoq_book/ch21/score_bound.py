"""The error of the learned score along the reverse process, and the bound that a theorem gives for it.

In: the prior, the clouds of the classes, the start of the process. Out: the bound of *Sharper results*, section 8.
The start is the codebook, noised again: a X + sqrt(v) N and a X^ + sqrt(v) N with the same noise are coupled as section
2 asks for, at the cost a^2 G. The clock is that of the Ornstein-Uhlenbeck process, t = -log alpha_bar.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.config.profile import Profile
from ddoq_core.priors.dit import DiTPrior
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import total_variation_constant
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import atoms
from ddoq_core.threads import threads

from .class_cloud import ClassCloud
from .score_error import ExactScore, signal_at, signals

STOPS = (0.15, 0.3, 0.6, 0.8, 0.95)  # levels where the process stops, as shares of its start
TIMES = 12  # number of times at which the error is measured
PLACES = ("data", "start")  # mu_t, and nu_t: the law of the exact reverse process from the codebook


@dataclass(frozen=True, eq=False)
class ScoreBound:
    """Section 8 for a process that stops at one level: terms are means over classes."""

    level: float  # share of the schedule at which the process stops
    quantization: float  # c' a^2 G
    met: float  # int min(1, c'_t a^2 G) dt
    squared: dict[str, Mean]  # by PLACES: int E|learned - exact score|^2 dt; interval over draws
    largest: float  # largest |learned - exact score| seen, a lower bound of B

    @property
    def bound(self) -> float:
        """The bound of section 8 with the largest error seen as B; the theorem's own bound is at least as large."""
        return self.quantization + math.sqrt(self.squared["data"].value + self.largest**2 * self.met) / 2

    @property
    def pinsker(self) -> Mean:
        """Half the root of the squared error under nu_t: the part of the score, by Pinsker's inequality."""
        found = self.squared["start"]
        root = math.sqrt(found.value)
        return Mean(root / 2, found.half / root / 4 if root else 0.0, found.n)

    @property
    def below_one(self) -> float:
        """1 - sqrt(1 - e^-KL), by Bretagnolle and Huber: a lower bound of 1 minus the total variation.

        It is between the process with the learned score and that with the exact score, from the same start.
        """
        x = math.exp(-self.squared["start"].value / 2)
        return x / (1 + math.sqrt(1 - x))


def score_bounds(
    prior: DiTPrior, clouds: list[ClassCloud], shares: Sequence[float], n_times: int, n_points: int, profile: Profile
) -> list[ScoreBound]:
    """The bound for a process that stops at these shares of its start, from n_points draws of each class and place.

    A draw has the same latent and noise at all times; its integral over time is one value.
    """
    exact, alphas = ExactScore(prior, clouds), signals(prior)
    last = int((alphas - signal_at(prior, profile.strength, profile.n_steps)).abs().argmin())
    stops = [round(share * last) for share in shares]
    steps = np.unique([*np.linspace(min(stops), last, n_times).round().astype(int), *stops])
    clock = -alphas[steps].log().numpy()
    with threads(profile.threads):
        errors = np.array([_errors(prior, exact, c, steps, clock, n_points, profile) for c in clouds])
    levels = [(stop + 1) / len(alphas) for stop in stops]
    return [_bound(clouds, errors, clock, steps.searchsorted(stop), at) for stop, at in zip(stops, levels, strict=True)]


@torch.no_grad()
def _errors(
    prior: DiTPrior, exact: ExactScore, cloud: ClassCloud, steps: ndarray, clock: Float[ndarray, " s"], n: int,
    profile: Profile,
) -> Float[ndarray, "s 2 n"]:  # fmt: skip
    """|learned - exact score|^2 of one class at every time, for draws of mu_t and of nu_t."""
    rng, process, T = numpy_rng(profile.seed, "gaps", "bound", cloud.row), ORNSTEIN_UHLENBECK, clock[-1].item()
    d = cloud.latents.shape[1]
    z = cloud.latents[torch.from_numpy(rng.integers(len(cloud.latents), size=n))]
    noise, again, inside = torch.from_numpy(rng.standard_normal((3, n, d)))
    k = rng.choice(len(cloud.masses), n, p=(cloud.masses / cloud.masses.sum()).numpy())
    x_T = process.decay(T) * cloud.points[torch.from_numpy(k)] + process.variance(T) ** 0.5 * again
    behind = atoms(cloud.latents).noised(process, T).responsibilities(x_T).cumsum(1)
    u = torch.from_numpy(rng.random((n, 1))) * behind[:, -1:]
    ends, found = cloud.latents[torch.searchsorted(behind, u)[:, 0]], []
    for step, t in zip(steps.tolist(), clock.tolist(), strict=True):
        a, b, v = process.bridge(t, T) if t < T else (0.0, 1.0, 0.0)
        at_data = process.decay(t) * z + process.variance(t) ** 0.5 * noise
        x = torch.cat([at_data, a * ends + b * x_T + v**0.5 * inside]).float().reshape(-1, *prior.latent_shape)
        when, rows = torch.full((2 * n,), step), torch.full((2 * n,), cloud.row)
        at, of = when.to(prior.device), rows.to(prior.device)
        learned = prior.transformer(x.to(prior.device), timestep=at, class_labels=of).sample[:, : x.shape[1]].cpu()
        apart = learned - exact(x, timestep=when, class_labels=rows).sample
        found.append((apart.flatten(1).double().square().sum(1) / process.variance(t)).reshape(2, n).numpy())
    return np.array(found)


def _bound(
    clouds: list[ClassCloud], errors: Float[ndarray, "C s 2 n"], clock: Float[ndarray, " s"], first: int, level: float
) -> ScoreBound:
    """Integrals from the time `first` to the last, by the trapezoidal rule."""
    times, T = clock[first:], clock[-1]
    paths = np.trapezoid(errors[:, first:], times, axis=1)  # (C, 2, n)
    C, _, n = paths.shape
    spread = np.sqrt((paths.var(2, ddof=1) / n).sum(0)) / C
    means = paths.mean((0, 2))
    squared = {name: Mean.normal(means[i].item(), spread[i].item(), C * n) for i, name in enumerate(PLACES)}
    shares = [_share_moved(cloud, times, T) for cloud in clouds]
    met = float(np.mean([np.trapezoid(np.minimum(share, 1), times) for share in shares]))
    quantization = float(np.mean([share[0] for share in shares]))
    return ScoreBound(level, quantization, met, squared, float(errors[:, first:].max() ** 0.5))


def _share_moved(cloud: ClassCloud, times: Float[ndarray, " s"], T: float) -> Float[ndarray, " s"]:
    """c'_t a^2 G at every time before T, and 1 at T; R is half the diameter."""
    R, cost = torch.pdist(cloud.latents).max().item() / 2, math.exp(-T) * cloud.codebook_errors[1] ** 2
    return np.array([total_variation_constant(ORNSTEIN_UHLENBECK, R, t, T) * cost if t < T else 1.0 for t in times])


def score_bounds_table(found: Sequence[ScoreBound]) -> Table:
    """One row per level at which the process stops."""
    columns = (
        Column("stops at level", ".3g"),
        Column("∫ε² dt", ".1f"),
        Column("largest error", ".0f"),
        Column("c′ a² G", ".1f"),
        Column("section 8", ".0f"),
        Column("∫ where the process is", ".1f"),
        Column("what the score adds", ".2f"),
        Column("1 − TV, at least", ".0e"),
    )
    rows = []
    for at in found:
        data, start = (at.squared[place] for place in PLACES)
        rows.append((at.level, data, at.largest, at.quantization, at.bound, start, at.pinsker, at.below_one))
    n = found[0].squared["data"].n
    note = (
        f"Means over the classes; 95 % intervals over n = {n:,} draws. A total variation is at most 1. The last "
        "three columns are between the learned and the exact score, from the same start."
    )
    return Table.of_rows("The learned score in the bound of section 8", columns, rows, (note,))
