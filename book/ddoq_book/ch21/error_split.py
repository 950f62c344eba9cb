"""The error of the distilled images in two parts: that of quantization after re-noising, and that of real latents.

A training latent and the centroid of its cell get the same noise and go through the same sampler with the same
guidance. The difference at the end is due to quantization. The error of the real latent is not due to the codebook.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.quantization import assign
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.bounds import renoised_total_variation
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import atoms
from ddoq_core.threads import threads

from ..style import BLUE, GREEN, VERMILION, figure_style, label, subplots
from .class_cloud import ClassCloud, distance
from .score_error import signal_at
from .theory_gap import DENOISE_BATCH, GapSetting

DRAWS = 200  # draws of the noised latents of a class
PARTS = {"run": "centroids, as run", "quantization": "their difference", "real": "real latents, as run"}


@dataclass(frozen=True, eq=False)
class ErrorSplit:
    """Errors in expectation of 1-Lipschitz functions: mean squares over W_1^2 of the codebook, class by class."""

    strength: float
    signal: float  # alpha_bar
    squares: dict[str, Float[ndarray, " C"]]  # by PARTS, and `held out` without a sampler; unbiased
    tv: Float[ndarray, " C"]  # from noised codebook to noised training latents; no sampler increases it
    bound: Float[ndarray, " C"]  # phi(1) (a^2/v) G

    def root(self, name: str) -> Mean:
        """Root mean square over functions and classes; the interval, over classes, comes from that of the square."""
        square = Mean.of(self.squares[name])
        root = math.sqrt(max(square.value, 0.0))
        return Mean(root, square.half / (2 * root) if root else math.sqrt(square.half), square.n)


def error_splits(found: GapSetting, strengths: Sequence[float], n_pairs: int) -> list[ErrorSplit]:
    """Splits at the given strengths and at the profile's own, from n pairs of each class."""
    profile, made = found.run.profile, []
    real = torch.stack([_some_latents(cloud, n_pairs, profile.seed) for cloud in found.clouds])
    run = torch.stack([c.points[assign(X, c.points)] for c, X in zip(found.clouds, real, strict=True)])
    for strength in sorted({*strengths, profile.strength}):
        ends = _denoised_pairs(found, torch.stack([run, real]), profile.replace(strength=strength))
        a, parts = signal_at(found.prior, strength, profile.n_steps), zip(found.clouds, real, *ends, strict=True)
        rows = [_of_class(*part) | _at_T(part[0], a, profile.seed) for part in parts]
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        made.append(ErrorSplit(strength, a, values, values.pop("tv"), values.pop("bound")))
    return made


def _some_latents(cloud: ClassCloud, n: int, seed: int) -> Float[Tensor, "n d"]:
    rng = numpy_rng(seed, "gaps", "split", cloud.row)
    return cloud.latents[torch.from_numpy(rng.permutation(len(cloud.latents))[:n])]


def _denoised_pairs(found: GapSetting, z: Float[Tensor, "2 C n d"], p: Profile) -> Float[Tensor, "2 C n d"]:
    """U_t(z) by the run's own sampler and guidance; both members of a pair have the same noise."""
    _, C, n, d = z.shape
    labels, flat, made = torch.tensor([cloud.row for cloud in found.clouds]), z.float().reshape(-1, d), []
    with threads(p.threads):
        for part in torch.arange(len(flat)).split(DENOISE_BATCH):
            of_class = part // n % C
            places = zip(labels[of_class].tolist(), (part % n).tolist(), strict=True)
            start = flat[part].reshape(-1, *found.prior.latent_shape).to(found.prior.device)
            made.append(
                found.prior.denoise(
                    start, labels[of_class], strength=p.strength, guidance=p.guidance_scale, steps=p.n_steps,
                    noise=[torch_rng(p.seed, "gaps", "split", *place) for place in places], sampler=p.sampler,
                ).cpu()
            )  # fmt: skip
    return torch.cat(made).double().reshape(z.shape)


def _of_class(
    cloud: ClassCloud, X: Float[Tensor, "n d"], run: Float[Tensor, "n d"], real: Float[Tensor, "n d"]
) -> dict[str, float]:
    """Squared errors of one class; half of the held-out latents define the test functions."""
    half = len(cloud.held_out) // 2
    held_out, places = cloud.held_out[:half], cloud.held_out[half:]
    clean, of_real, of_run = (_functions(cloud, z, places) for z in (X, real, run))
    beside = _functions(cloud, held_out, places) - _functions(cloud, cloud.latents, places).mean(1, keepdim=True)
    apart = {"run": of_run - clean, "quantization": of_run - of_real, "real": of_real - clean, "held out": beside}
    return {name: freed_square(values) / cloud.codebook_errors[0] ** 2 for name, values in apart.items()}


def freed_square(values: Float[Tensor, "m n"]) -> float:
    """Unbiased mean over m rows of (E x)^2: the square of the mean of n draws, minus its variance."""
    return (values.mean(1).square() - values.var(1) / values.shape[1]).mean().item()


def _functions(cloud: ClassCloud, y: Float[Tensor, "n d"], places: Float[Tensor, "m d"]) -> Float[Tensor, "m+1 n"]:
    """1-Lipschitz functions of n latents: the distances to each of m places, and to the codebook."""
    return torch.stack([distance(y, goal) for goal in (*places[:, None], cloud.points)])


def _at_T(cloud: ClassCloud, signal: float, seed: int) -> dict[str, float]:
    """Total variation E[(1 - nu_T / mu_T)_+] from draws of mu_T, and its bound."""
    G = cloud.codebook_errors[1] ** 2
    if signal == 1:  # without noise the codebook and the latents are mutually singular
        return {"tv": 1.0, "bound": math.inf}
    T, rng = -math.log(signal), numpy_rng(seed, "gaps", "split at T", cloud.row)
    mu_T, nu_T = (m.noised(ORNSTEIN_UHLENBECK, T) for m in (atoms(cloud.latents), atoms(cloud.points, cloud.masses)))
    y = mu_T.sample(DRAWS, rng)
    tv = (1 - (nu_T.log_density(y) - mu_T.log_density(y)).exp()).clamp_min(0).mean().item()
    return {"tv": tv, "bound": renoised_total_variation(signal / (1 - signal)) * G}


def error_split_table(found: Sequence[ErrorSplit], n_pairs: int) -> Table:
    """One row per strength."""
    form = (Column(name, ".3f") for name in (*PARTS.values(), "held-out latents"))
    columns = ("strength", Column("ᾱ", ".3f"), *form, Column("TV at T", ".2f"), Column("its bound", ".2f"))
    rows = []
    for at in found:
        roots = [at.root(name) for name in (*PARTS, "held out")]
        rows.append((f"{at.strength:g}", at.signal, *roots, Mean.of(at.tv), float(at.bound.mean())))
    notes = (
        "Errors in expectation: unbiased root mean square over 1-Lipschitz functions, in units of the codebook's own "
        "W₁. Their difference: between a centroid and a real latent of its cell, with the same noise.",
        f"n = {len(found[0].tv)} classes, {n_pairs} pairs of each, 95 % interval over classes.",
    )
    return Table.of_rows("The error of the distilled images in two parts", columns, rows, notes)


@figure_style()
def error_split_figure(found: Sequence[ErrorSplit]) -> Figure:
    """The two parts and their sum against strength."""
    figure, axes = subplots()
    strengths = [at.strength for at in found]
    for (key, name), colour, marker in zip(PARTS.items(), (BLUE, GREEN, VERMILION), "os^", strict=True):
        roots = [at.root(key) for at in found]
        mean, half = np.array([root.value for root in roots]), np.array([root.half for root in roots])
        axes.plot(strengths, mean, marker=marker, color=colour)
        axes.fill_between(strengths, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        label(axes, strengths[-1], mean[-1], name, colour, xytext=(6, -7 if key == "real" else 5))
    axes.set(xlabel="strength of the noise", ylabel="error, over W₁ of the codebook")
    axes.set_xticks(strengths)
    axes.set_ylim(bottom=0)
    axes.set_xlim(right=strengths[-1] + 0.35 * (strengths[-1] - strengths[0] + 0.1))
    return figure
