"""The distance between Algorithm 4 as run and the law that it quantizes, by sampler, guidance, score and draws.

In: a run with its prior and codebooks. Out: distances and shares, class by class, for each way to denoise the
centroids. mu is the uniform law on the training latents of a class. Validation latents are the reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.priors.latent_diffusion import SAMPLERS, LatentDiffusion
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table, written
from ddoq_core.runs.run import Run
from ddoq_core.threads import threads

from ..image_rows import image_rows
from ..style import figure_style
from .class_cloud import ClassCloud, quantities
from .score_error import ExactScore

DENOISE_BATCH = 100  # latents denoised together; part of the plan
LEARNED, EXACT, BESIDE = "learned score", "exact score of training latents", "for comparison"
SHRINKAGE = 0.8  # of the distance to the mean, to show the effect of shrinkage on W_2
SAME = 0.01  # of the size of a latent: draws within it are the same; two training latents are farther apart
# quantities only of draws that start from centroids
AT_CENTROIDS = ("uniform W2", "uniform error", "uniform variance", "within")
DISTANCES = {"W2": "W₂", "uniform W2": "W₂, uniform", "W2 of one": "W₂, one draw each", "error": "error"}
DISTANCES |= {"uniform error": "error, uniform", "worst": "worst error"}
MOMENTS = {"variance": "variance", "within": "within a centroid", "mean": "error of the mean"}
MOMENTS |= {"one draw": "added by one draw", "nearest": "distance to training", "recognised": "recognised"}
FORM_OF_DISTANCES, FORM_OF_MOMENTS = ".2f", ".1f"


@dataclass(frozen=True, eq=False)
class GapSetting:
    """The parts of a run that are compared, and the classes."""

    run: Run
    prior: LatentDiffusion
    clouds: list[ClassCloud]


def gap_setting(run: Run, ipc: int, n_classes: int) -> GapSetting:
    """The first classes of a run, with their latents and codebooks.

    Raises:
        InputError: the run has no validation images.
    """
    part = run.dataset.validation
    if not len(part):
        raise InputError("the gaps need validation images, but there are none; set validation_fraction=0.125")
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    points, counts = load_prototypes(run.prototypes(), ipc)
    rows, clouds = prior.embed(run.dataset.classes).tolist(), []
    for c in range(min(n_classes, run.dataset.n_classes)):
        kept, _ = run.class_latents(c)
        held_out = prior.encode(part.images(part.of_class(c))).cpu()
        latents, held_out, codebook = (x.flatten(1).double() for x in (kept, held_out, points[c]))
        clouds.append(ClassCloud(rows[c], latents, held_out, codebook, counts[c].double() / counts[c].sum()))
    return GapSetting(run, prior, clouds)


@dataclass(frozen=True, eq=False)
class Draws:
    """A measure that replaces mu for every class: R draws from each of K places, and the weights of the places."""

    key: str  # codebook, real, or score/sampler/guidance with score one of learned, exact, noise
    block: str
    name: str
    latents: Float[Tensor, "C K R d"]
    weights: Float[Tensor, "C K"]


def own_sampler(prior: LatentDiffusion) -> str:
    """The sampler in the checkpoint's folder: `ddim`, `ddpm`, or `checkpoint` for any other."""
    return next((name for name, kind in SAMPLERS.items() if kind is prior.scheduler_class), "checkpoint")


def key_as_run(found: GapSetting, score: str = "learned", sampler: str = "", guidance: float | None = None) -> str:
    """Key of the draws of the profile; the given parts replace those of the profile."""
    p = found.run.profile
    sampler = sampler or (own_sampler(found.prior) if p.sampler == "checkpoint" else p.sampler)
    return f"{score}/{sampler}/{p.guidance_scale if guidance is None else guidance:g}"


def all_draws(found: GapSetting, n_draws: int) -> dict[str, Draws]:
    """Draws of each sampler from the centroids, without and with guidance, by the learned and by the exact score.

    If the checkpoint's own sampler is DDIM or DDPM, it does not run twice.
    """
    exact, made = replace(found.prior, transformer=ExactScore(found.prior, found.clouds)), []
    masses = torch.stack([cloud.masses for cloud in found.clouds])
    for score, block, prior in (("learned", LEARNED, found.prior), ("exact", EXACT, exact)):
        for sampler in dict.fromkeys((own_sampler(prior), *SAMPLERS)):
            title = sampler.upper() if sampler in SAMPLERS else "the checkpoint's own"
            for g in _scales(found):
                latents = denoised(found, prior, sampler, g, n_draws)
                made.append(Draws(f"{score}/{sampler}/{g:g}", block, f"{title}, guidance {g:g}", latents, masses))
    return {draws.key: draws for draws in (*made, *_beside(found, masses, n_draws))}


def _beside(found: GapSetting, masses: Float[Tensor, "C K"], n_draws: int) -> Iterator[Draws]:
    """Draws to compare with the denoised centroids: denoised pure noise, the codebook, and as many real latents."""
    for g in _scales(found):
        latents = denoised(found, found.prior, found.run.profile.sampler, g, n_draws, from_noise=True)
        key, uniform = key_as_run(found, "noise", guidance=g), torch.full_like(masses, 1 / masses.shape[1])
        yield Draws(key, BESIDE, f"learned score from pure noise, guidance {g:g}", latents, uniform)
    centroids = torch.stack([cloud.points for cloud in found.clouds])[:, :, None]
    yield Draws("codebook", BESIDE, "codebook, not denoised", centroids, masses)
    n = n_places(found.clouds, n_draws)
    real = torch.stack([cloud.held_out[: n * n_draws].reshape(n, n_draws, -1) for cloud in found.clouds])
    alike = masses.new_full((len(real), n), 1 / n)
    yield Draws("real", BESIDE, f"{n * n_draws} validation latents", real, alike)
    middle = torch.stack([cloud.mean for cloud in found.clouds])[:, None, None]
    shrunk = middle + SHRINKAGE * (real - middle)
    yield Draws("shrunk", BESIDE, f"the same, shrunk by {1 - SHRINKAGE:.0%} to the mean", shrunk, alike)


def _scales(found: GapSetting) -> list[float]:
    """Guidance scales: off, and that of the profile."""
    return sorted({1.0, found.run.profile.guidance_scale})


def denoised(
    found: GapSetting, prior: LatentDiffusion, sampler: str, guidance: float, n_draws: int, *, from_noise: bool = False
) -> Float[Tensor, "C K R d"]:
    """R draws of U_t(z_k) for every centroid of every class; a draw has the same noise under every sampler."""
    p, centroids = found.run.profile, torch.stack([cloud.points for cloud in found.clouds])
    C, K, d = centroids.shape
    points = centroids.float().repeat_interleave(n_draws, 1).reshape(-1, *prior.latent_shape)
    labels, made = torch.tensor([cloud.row for cloud in found.clouds]).repeat_interleave(K * n_draws), []
    with threads(p.threads):
        for part in torch.arange(len(points)).split(DENOISE_BATCH):
            places = [(i // (K * n_draws), i // n_draws % K, i % n_draws) for i in part.tolist()]
            noise = [torch_rng(p.seed, "gaps", "draw", *place) for place in places]
            start, conditioning = None if from_noise else points[part].to(prior.device), labels[part]
            made.append(
                prior.denoise(
                    start, conditioning, strength=p.strength, guidance=guidance, steps=p.n_steps, noise=noise,
                    sampler=sampler,
                ).cpu()
            )  # fmt: skip
    return torch.cat(made).double().reshape(C, K, n_draws, d)


def same_ends(a: Draws, b: Draws) -> Float[ndarray, " C"]:
    """Percentage of the draws of each class that two samplers take to the same place."""
    apart, size = (a.latents - b.latents).norm(dim=-1), a.latents.norm(dim=-1)
    return 100 * (apart < SAME * size).double().mean((1, 2)).numpy()


def draws_that_last(clouds: list[ClassCloud], wanted: int) -> int:
    """Number of draws from each centroid: the wanted number, or fewer if some class has too few held-out latents."""
    return max(1, min(wanted, min(len(cloud.held_out) for cloud in clouds) - 1))


def n_places(clouds: list[ClassCloud], n_draws: int) -> int:
    """Number of places, each with R draws, for the held-out latents as a reference: K, or fewer if there are too few.

    Raises:
        InputError: there are too few for one place.
    """
    least = min(len(cloud.held_out) for cloud in clouds)
    if least <= n_draws:
        raise InputError(f"gap_draws = {n_draws}, but a class has {least} validation images; set gap_draws={least - 1}")
    return min(len(clouds[0].points), (least - 1) // n_draws)


@dataclass(frozen=True, eq=False)
class TheoryGap:
    """One measure compared with mu: values by quantity, one per class."""

    block: str
    name: str
    values: dict[str, Float[ndarray, " C"]]

    def mean(self, name: str) -> Mean:
        """Mean over classes and 95 % interval of one quantity."""
        return Mean.of(self.values[name])

    def minus(self, other: "TheoryGap") -> "TheoryGap":
        """Differences to another measure, paired by class."""
        both = [name for name in self.values if name in other.values]
        return TheoryGap(self.block, self.name, {name: self.values[name] - other.values[name] for name in both})

    def uniform_minus_masses(self, name: str) -> Mean:
        """The change from cell masses to uniform weights, with its 95 % interval."""
        return Mean.of(self.values[f"uniform {name}"] - self.values[name])


def in_prose(name: str, mean: Mean) -> str:
    """The mean of a quantity, with as many digits as in its table."""
    return written(mean, FORM_OF_DISTANCES if name in DISTANCES else FORM_OF_MOMENTS)


def measure(found: GapSetting, draws: dict[str, Draws]) -> dict[str, TheoryGap]:
    """Every quantity of every measure. Test functions are distances to held-out latents that are not draws."""
    gaps, used = {}, draws["real"].latents[0, :, :, 0].numel()
    for key, made in draws.items():
        parts = zip(found.clouds, made.latents, made.weights, strict=True)
        rows = [quantities(cloud, y, w, cloud.held_out[used:]) for cloud, y, w in parts]
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        if made.block == BESIDE and key != "codebook":
            values = {name: v for name, v in values.items() if name not in AT_CENTROIDS}
        gaps[key] = TheoryGap(made.block, made.name, values | {"recognised": recognised(found, made)})
    return gaps


@torch.no_grad()
def recognised(found: GapSetting, draws: Draws) -> Float[ndarray, " C"]:
    """Percentage of each class's mass with decoded images that the teacher recognises as the class."""
    run, teacher, shares = found.run, load_teacher(found.run.teacher, found.run.profile.device), []
    with threads(run.profile.threads):
        for c, (y, w) in enumerate(zip(draws.latents, draws.weights, strict=True)):
            images = decoded(found, y.flatten(0, 1)).to(run.profile.device)
            right = teacher(run.dataset.normalise(images)).argmax(1).cpu() == c
            shares.append(100 * (w @ right.reshape(y.shape[:2]).double().mean(1)).item())
    return np.array(shares)


def decoded(found: GapSetting, latents: Float[Tensor, "n d"]) -> Float[Tensor, "n C H W"]:
    """Images of flat latents."""
    parts = latents.float().reshape(-1, *found.prior.latent_shape).split(DENOISE_BATCH)
    return torch.cat([found.prior.decode(part).cpu() for part in parts])


def distances_table(gaps: dict[str, TheoryGap]) -> Table:
    """W_2 and errors in expectation of every measure."""
    note = (
        "W₂ in units of the codebook's own, G^(1/2); errors in units of the codebook's own W₁. Error: mean over "
        "1-Lipschitz functions, the distances to other validation latents and to the codebook; worst: the largest."
    )
    return _table("How far from the training latents of the class", DISTANCES, FORM_OF_DISTANCES, gaps, note)


def moments_table(gaps: dict[str, TheoryGap]) -> Table:
    """Moments of every measure in percent of the class's variance, and the share that the teacher recognises."""
    note = (
        "All in percent. Variance, squared error of the mean, and its increase by one draw per place: of the variance "
        "of the training latents. Within a centroid: share of the variance of the draws that is due to the noise. "
        "Distance to the nearest training latent: of that of validation latents."
    )
    return _table("Moments, copies, and what the teacher recognises", MOMENTS, FORM_OF_MOMENTS, gaps, note)


def _table(caption: str, names: dict[str, str], form: str, gaps: dict[str, TheoryGap], note: str) -> Table:
    """One row per measure, with a block for each score; a dash means that a measure lacks the quantity."""
    blocks = tuple(
        (block, tuple((gap.name, *(gap.mean(name) if name in gap.values else None for name in names)) for gap in rows))
        for block, rows in groupby(gaps.values(), key=lambda gap: gap.block)
    )
    columns = ("Score", "Sampler", *(Column(title, form) for title in names.values()))
    n = next(iter(gaps.values())).mean("W2").n
    return Table(caption, columns, blocks, (note, f"Mean over n = {n} classes and 95 % interval."))


@figure_style()
def samplers_figure(found: GapSetting, draws: dict[str, Draws], class_index: int) -> Figure:
    """First draw from each centroid of a class, heaviest first: by the learned score, and by the exact score."""
    at = min(class_index, len(found.clouds) - 1)
    order = torch.argsort(found.clouds[at].masses, descending=True, stable=True)
    exact = key_as_run(found, "exact", guidance=1.0)
    keys = ["codebook", *(key for key in draws if key.startswith("learned")), exact]
    names = [draws[key].name.replace(", ", ",\n") for key in keys[:-1]] + ["exact score"]
    return image_rows([(n, decoded(found, draws[k].latents[at, order, 0])) for n, k in zip(names, keys, strict=True)])[
        0
    ]
