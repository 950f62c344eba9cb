"""The learned score compared with the exact score of the training latents; errors that the exact process removes.

Stable Diffusion's schedule and the Ornstein-Uhlenbeck process agree at alpha_bar = e^(-t): they have the same laws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import ot
import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor, nn

from ddoq_core.config.profile import Profile
from ddoq_core.priors.dit import NULL, DiTPrior
from ddoq_core.priors.latent_diffusion import LatentDiffusion
from ddoq_core.quantization.voronoi import squared_distances
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean, half_width
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import atoms
from ddoq_core.threads import threads

from ..style import BLUE, VERMILION, figure_style, label, subplots
from .class_cloud import ClassCloud

LEAST_TIME = 1e-6  # replaces time 0, where there is nothing to reverse
SCORE_ERRORS = ("learned, validation", "learned, training", "exact, validation", "exact, training")


class ExactScore(nn.Module):
    """The exact score of the training latents, instead of a transformer: the expected noise by Bayes' rule.

    With a class it is the score of the cloud of the class; without a class, the score of all clouds together.
    """

    def __init__(self, prior: DiTPrior, clouds: list[ClassCloud]) -> None:
        super().__init__()
        self.latents = torch.cat([cloud.latents for cloud in clouds])
        self.rows = torch.cat([torch.full((len(cloud.latents),), cloud.row) for cloud in clouds])
        self.signals = signals(prior)
        self.config, self.device, self.dtype = prior.transformer.config, torch.device("cpu"), torch.float32

    def forward(
        self, x: Float[Tensor, "b c h w"], timestep: Int64[Tensor, " b"], class_labels: Int64[Tensor, " b"]
    ) -> SimpleNamespace:
        """E[noise | x], under the name `sample`, like a transformer's output."""
        a, y = self.signals[timestep.cpu().long()][:, None], x.cpu().flatten(1).double()
        logits = squared_distances(y / a.sqrt(), self.latents) * (-a / (2 * (1 - a)))
        labels = class_labels.cpu()[:, None]
        posterior = logits.masked_fill((labels != self.rows) & (labels != NULL), -math.inf).softmax(1)
        noise = (y - a.sqrt() * (posterior @ self.latents)) / (1 - a).sqrt()
        return SimpleNamespace(sample=noise.reshape(x.shape).to(x))


def signals(prior: LatentDiffusion) -> Float[Tensor, " times"]:
    """alpha_bar at every time of the prior's schedule: the share of a latent's variance that is left."""
    return prior.scheduler_class.from_config(prior.scheduler_config).alphas_cumprod.double()


def signal_at(prior: LatentDiffusion, strength: float, steps: int) -> float:
    """alpha_bar of a latent that is noised to `strength`, as defined by `denoise`; 1 if there is no step."""
    scheduler = prior.scheduler_class.from_config(prior.scheduler_config)
    scheduler.set_timesteps(steps)
    n = min(int(steps * strength), steps)
    return scheduler.alphas_cumprod[scheduler.timesteps[(steps - n) * scheduler.order]].item() if n else 1.0


@dataclass(frozen=True, eq=False)
class ScoreGaps:
    """Mean squared errors of E[Z | Z_t] over the variance of the class, in percent, by level and class.

    `errors` are against the clean latent; `apart` is between the learned and the exact estimate; `guided` is between
    the estimates with and without guidance, by score. `noise` is between the learned and the exact prediction of the
    noise on training latents, over the variance of the noise; this is the error in the training loss.
    """

    levels: tuple[float, ...]  # shares of the schedule
    signals: tuple[float, ...]  # alpha_bar there
    errors: dict[str, Float[ndarray, "levels C"]]  # by SCORE_ERRORS
    apart: dict[str, Float[ndarray, "levels C"]]  # for validation and for training latents
    guided: dict[str, Float[ndarray, "levels C"]]  # for the learned and for the exact score
    noise: Float[ndarray, "levels C"]

    def at(self, level: float) -> int:
        """Row of the level nearest to this one."""
        return int(np.abs(np.array(self.levels) - level).argmin())


def score_gaps(
    prior: DiTPrior, clouds: list[ClassCloud], levels: Sequence[float], n_points: int, profile: Profile
) -> ScoreGaps:
    """Noise n_points seen and unseen latents of each class to every level, and estimate them by both scores."""
    exact, alphas = ExactScore(prior, clouds), signals(prior)
    times = [max(round(level * len(alphas)) - 1, 0) for level in levels]
    rows = []
    with threads(profile.threads):
        for t in times:
            found = [_at_level(prior, exact, c, t, alphas[t].item(), n_points, profile) for c in clouds]
            rows.append({name: [values[name] for values in found] for name in found[0]})
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    apart = {part: table[f"apart, {part}"] for part in ("validation", "training")}
    guided = {score: table[f"guided, {score}"] for score in ("learned", "exact")}
    errors, at = {name: table[name] for name in SCORE_ERRORS}, tuple(alphas[t].item() for t in times)
    return ScoreGaps(tuple(levels), at, errors, apart, guided, table["noise"])


@torch.no_grad()
def _at_level(
    prior: DiTPrior, exact: ExactScore, cloud: ClassCloud, t: int, a: float, n: int, profile: Profile
) -> dict[str, float]:
    """Errors of one class at one time, in percent of its variance."""
    rng = numpy_rng(profile.seed, "gaps", "score", cloud.row)
    chosen = torch.from_numpy(rng.permutation(len(cloud.latents))[:n])
    found = {}
    for part, z in (("training", cloud.latents[chosen]), ("validation", cloud.held_out[:n])):
        x = (a**0.5 * z + (1 - a) ** 0.5 * torch.from_numpy(rng.standard_normal(z.shape))).float()

        def estimate(network: nn.Module, row: int, x: Tensor = x) -> Tensor:
            shaped, count = x.reshape(-1, *prior.latent_shape).to(prior.device), len(x)
            at, rows = torch.full((count,), t), torch.full((count,), row)
            noise = network(shaped, timestep=at.to(prior.device), class_labels=rows.to(prior.device)).sample
            noise = noise[:, : shaped.shape[1]].flatten(1).cpu()
            return ((x - (1 - a) ** 0.5 * noise) / a**0.5).double()

        learned, best = estimate(prior.transformer, cloud.row), estimate(exact, cloud.row)
        found[f"learned, {part}"], found[f"exact, {part}"] = _share(learned - z, cloud), _share(best - z, cloud)
        found[f"apart, {part}"] = _share(learned - best, cloud)
        if part == "training":
            more = profile.guidance_scale - 1
            found["guided, learned"] = _share(more * (learned - estimate(prior.transformer, NULL)), cloud)
            found["guided, exact"] = _share(more * (best - estimate(exact, NULL)), cloud)
            found["noise"] = 100 * a / (1 - a) * (learned - best).square().mean().item()
    return found


def _share(x: Float[Tensor, "n d"], cloud: ClassCloud) -> float:
    return 100 * x.square().sum(1).mean().item() / cloud.variance


@figure_style()
def score_figure(found: ScoreGaps) -> Figure:
    """Mean squared error of the denoised estimate against the noise level, for seen and unseen latents, both scores."""
    figure, axes = subplots()
    signs = dict(zip(SCORE_ERRORS, [(BLUE, "o-"), (BLUE, "s--"), (VERMILION, "o-"), (VERMILION, "s--")], strict=True))
    for name, (colour, style) in signs.items():
        values = found.errors[name]
        mean, half = values.mean(1), half_width(values)
        axes.plot(found.levels, mean, style, color=colour)
        axes.fill_between(found.levels, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        score, part = name.split(", ")
        other = found.errors[f"{score}, {'training' if part == 'validation' else 'validation'}"]
        label(axes, found.levels[-1], mean[-1], name, colour, xytext=(6, 7 if mean[-1] > other[-1].mean() else -7))
    axes.set(xlabel="noise, share of the schedule", ylabel="error of $E[Z | Z_t]$, % of the variance")
    return figure


@dataclass(frozen=True, eq=False)
class Forgiven:
    """W_1 to mu after noising and the exact reverse process to time 0, over W_1 of the codebook, class by class.

    At time 0 the exact reverse process gives weights on the training latents. W_1 is between two weightings, by linear
    program.
    """

    strength: float
    signal: float  # alpha_bar
    after: Float[ndarray, " C"]  # from the codebook with its cell masses
    uniform: Float[ndarray, " C"]  # with uniform weights
    floor: Float[ndarray, " C"]  # from as many draws of noised latents, whose law is mu: the error by chance
    bound: Float[ndarray, " C"]  # Theorem 13, sharpened: Lambda times sqrt(alpha_bar)


def forgiven(
    prior: DiTPrior, clouds: list[ClassCloud], strengths: Sequence[float], n_draws: int, profile: Profile
) -> list[Forgiven]:
    """The remaining error of the codebook after noising and the exact reverse process, from many draws.

    It is computed at the given strengths and at the profile's own.
    """
    found = []
    for strength in sorted({*strengths, profile.strength}):
        a = signal_at(prior, strength, profile.n_steps)
        rows = [_forgiven(cloud, max(-math.log(a), LEAST_TIME), n_draws, profile.seed) for cloud in clouds]
        found.append(Forgiven(strength, a, *np.array(rows).T))
    return found


def _forgiven(cloud: ClassCloud, T: float, n_draws: int, seed: int) -> tuple[float, float, float, float]:
    rng, mu, (K, d) = numpy_rng(seed, "gaps", "forgiven", cloud.row), atoms(cloud.latents), cloud.points.shape
    at_T, a, v = mu.noised(ORNSTEIN_UHLENBECK, T), ORNSTEIN_UHLENBECK.decay(T), ORNSTEIN_UHLENBECK.variance(T)
    x = a * cloud.points[:, None] + v**0.5 * torch.from_numpy(rng.standard_normal((K, n_draws, d)))
    ends = torch.stack([at_T.responsibilities(part).mean(0) for part in x])  # exact reverse kernels at time 0
    by_chance = at_T.responsibilities(at_T.sample(K * n_draws, rng)).mean(0)
    cost, e1 = squared_distances(cloud.latents, cloud.latents).clamp_min(0).sqrt().numpy(), cloud.codebook_errors[0]
    after = [wasserstein1(w.numpy(), cost) / e1 for w in (cloud.masses @ ends, ends.mean(0), by_chance)]
    return *after, law_constant(ORNSTEIN_UHLENBECK, cloud.radius, 0.0, T) * a


def wasserstein1(weights: Float[ndarray, " n"], cost: Float[ndarray, "n n"]) -> float:
    """W_1 between a weighting of n atoms and the uniform weighting, by linear program; cost: distances of the atoms."""
    return float(ot.emd2(weights / weights.sum(), np.full(len(weights), 1 / len(weights)), cost, numItermax=10_000_000))


def forgiven_table(found: Sequence[Forgiven]) -> Table:
    """One row per strength."""
    columns = (
        Column("strength", "g"),
        Column("ᾱ", ".3f"),
        Column("codebook, cell masses", ".2f"),
        Column("codebook, uniform", ".2f"),
        Column("noised latents, by chance", ".2f"),
        Column("Λ √ᾱ", ".0f"),
    )
    rows = [
        (at.strength, at.signal, *map(Mean.of, (at.after, at.uniform, at.floor)), float(at.bound.mean()))
        for at in found
    ]
    caption = "W₁ to the training latents after noising and the exact reverse process"
    n = len(found[0].after)
    note = f"In units of the codebook's own W₁, before it is noised. Mean over n = {n} classes and 95 % interval."
    return Table.of_rows(caption, columns, rows, (note,))
