"""Two classes with sub-populations of masses set by hand, a known teacher, and students fitted to weighted points.

In: an exponent of the masses. Out: samples and codebooks of both classes, re-weighted laws, students, scores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ddoq_core.quantization import Quantizer, assign, best_of_restarts, companion_weights
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.measures import GaussianMixture

SCHEMES = {"D4M": "uniform", "DDOQ": "sqrt", "proportional": "proportional"}
STEP_POINTS = 64  # points per step on a large sample
LEARNING_RATE = 0.03
RADIUS, GOLDEN = 2.0, math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Sample:
    """Points of both classes, with their masses under the law."""

    x: Float[Tensor, "n d"]
    classes: Int[Tensor, " n"]  # 0 or 1
    mass: Float[Tensor, " n"]  # summing to 1


@dataclass(frozen=True)
class MixtureSetting:
    """Two equally likely classes, each a mixture of `n_parts` Gaussians with masses that follow Zipf's law."""

    exponent: float  # s: the r-th part has mass proportional to r^-s
    n_parts: int = 8
    d: int = 2
    scale: float = 0.3  # standard deviation of every part; the means fill a disc of radius 2
    seed: int = 0
    replicate: int = 0  # number of the layout: the places of the parts and their masses

    @cached_property
    def masses(self) -> Float[Tensor, "2 parts"]:
        """Mass of each part in its class; the order of the parts is random."""
        zipf = np.arange(1, self.n_parts + 1) ** -float(self.exponent)
        return torch.from_numpy(np.stack([self.rng("masses", c).permutation(zipf / zipf.sum()) for c in (0, 1)]))

    @cached_property
    def means(self) -> Float[Tensor, "2 parts d"]:
        """Even places in a disc (Vogel's spiral), given to the classes at random; coordinates from the third are 0."""
        n = 2 * self.n_parts
        radius, angle = RADIUS * np.sqrt((np.arange(n) + 0.5) / n), GOLDEN * np.arange(n)
        places = np.zeros((n, self.d))
        places[:, :2] = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return torch.from_numpy(self.rng("means").permutation(places).reshape(2, self.n_parts, self.d))

    @cached_property
    def laws(self) -> tuple[GaussianMixture, GaussianMixture]:
        """The law of each class."""
        scales = torch.full((self.n_parts,), self.scale)
        return tuple(GaussianMixture(p, m, scales) for p, m in zip(self.masses, self.means, strict=True))

    def logit(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The exact log P(1 | x) / P(0 | x)."""
        return self.laws[1].log_density(x) - self.laws[0].log_density(x)

    def draws(self, m: int, name: str) -> Sample:
        """m draws of every part, weighted by its mass. Any 2 n_parts draws in a row contain one of each part."""
        noise = self.rng(name).standard_normal((m, 2, self.n_parts, self.d))
        x = self.means + self.scale * torch.from_numpy(noise)
        classes = torch.arange(2)[:, None].expand(m, 2, self.n_parts)
        return Sample(x.flatten(0, 2), classes.flatten(), self.masses.expand(m, -1, -1).flatten() / (2 * m))

    def codebooks(self, K: int, n_samples: int, n_restarts: int = 2) -> tuple[Quantizer, Quantizer]:
        """The quantizers of n_samples independent draws of each class."""
        X = (law.sample(n_samples, self.rng("samples", c)) for c, law in enumerate(self.laws))
        return tuple(best_of_restarts(x, K, n_restarts=n_restarts, rng=self.rng("lloyd", c)) for c, x in enumerate(X))

    def rng(self, *path: int | str) -> np.random.Generator:
        """Random numbers of this layout, the same for every exponent; this also pairs differences along s."""
        return numpy_rng(self.seed, "mixture", self.replicate, *path)


def codebook_sample(books: Sequence[Quantizer]) -> Sample:
    """The centroids of both classes, each with the mass of its cell."""
    classes = torch.arange(2).repeat_interleave(len(books[0].points))
    return Sample(torch.cat([b.points for b in books]), classes, torch.cat([b.weights for b in books]) / 2)


def cell_weights(sample: Sample, books: Sequence[Quantizer]) -> Float[Tensor, "n schemes"]:
    """Mass of every point after the mass of each cell is scaled to its weight under a scheme.

    For the centroids themselves it is the weights of the schemes, over 2 K.
    """
    counts = torch.stack([book.counts for book in books])
    ratio = torch.stack([companion_weights(counts, s) / companion_weights(counts, 1.0) for s in SCHEMES.values()], -1)
    cells = torch.stack([assign(sample.x, book.points) for book in books])
    own = cells.gather(0, sample.classes[None])[0]
    return sample.mass[:, None] * ratio[sample.classes, own]


def targets(setting: MixtureSetting, sample: Sample, temperature: float) -> Float[Tensor, "n labels"]:
    """P(1 | x) by the teacher at this temperature, and by the class from which x was drawn."""
    return torch.stack([torch.sigmoid(setting.logit(sample.x) / temperature), sample.classes.double()], 1)


@dataclass(frozen=True)
class Students:
    """`variants` networks with one hidden layer, or without one, for each of `groups` data sets, fitted together."""

    inner: Float[Tensor, "groups rows columns"]  # d + 1 rows, the last one the bias; variants * h columns
    outer: Float[Tensor, "groups variants terms"] | None  # h + 1 terms; None: the student is linear, h = 1

    def __call__(self, x: Float[Tensor, "groups n d"]) -> Float[Tensor, "groups n variants"]:
        z = torch.baddbmm(self.inner[:, -1:], x, self.inner[:, :-1])
        if self.outer is None:
            return z
        z = z.relu() * self.outer[..., :-1].flatten(1)[:, None]
        return z.unflatten(2, (self.outer.shape[1], -1)).sum(3) + self.outer[:, None, :, -1]


def random_students(settings: Sequence[MixtureSetting], variants: int, width: int) -> Students:
    """Random students, equal within one data set. A width of 0 is a linear student, which starts at 0."""
    if width == 0:
        return Students(torch.zeros(len(settings), settings[0].d + 1, variants), None)
    rngs = [setting.rng("start", width) for setting in settings]
    inner = torch.from_numpy(np.stack([rng.standard_normal((settings[0].d + 1, width)) for rng in rngs])).float()
    outer = torch.from_numpy(np.stack([rng.standard_normal((1, width + 1)) for rng in rngs])).float()
    return Students(inner.repeat(1, 1, variants), outer.repeat(1, variants, 1) / math.sqrt(width))


def fit_students(
    students: Students, x: Float[Tensor, "groups n d"], targets: Float[Tensor, "groups n variants"],
    weights: Float[Tensor, "groups n variants"], *, n_steps: int, temperature: float | Float[Tensor, " variants"] = 1.0,
) -> Students:  # fmt: skip
    """Minimise the weighted KL(target || student) at a temperature, by Adam on all points, or on STEP_POINTS in turn.

    Adam acts on each number separately, so the students do not affect each other.
    """
    parameters = [a.requires_grad_() for a in vars(students).values() if a is not None]
    adam = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, n_steps)
    shares = temperature**2 * weights / weights.sum(1, keepdim=True)
    data = (a.float().split(STEP_POINTS, 1) for a in (x, targets, shares))
    batches = list(zip(*data, strict=True))
    for step in range(n_steps):
        points, target, weight = batches[step % len(batches)]
        loss = binary_cross_entropy_with_logits(students(points) / temperature, target, weight, reduction="sum")
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
    return Students(*(None if a is None else a.detach() for a in vars(students).values()))


def score_students(
    students: Students, settings: Sequence[MixtureSetting], tests: Sequence[Sample]
) -> Float[ndarray, "metrics groups variants"]:
    """METRICS on the true law at temperature 1: the posterior integrates over labels; all students use one sample."""
    found = []
    for g, (setting, test) in enumerate(zip(settings, tests, strict=True)):
        logit = setting.logit(test.x)[:, None]
        p = torch.sigmoid(logit)
        one = Students(*(None if a is None else a[g : g + 1] for a in vars(students).values()))
        f = one(test.x.float()[None])[0].double()
        excess = softplus(f) - p * f - (softplus(logit) - p * logit)
        values = 100 * torch.where(f > 0, p, 1 - p), excess, 100 * ((f > 0) == (logit > 0)).double()
        found.append(torch.stack([test.mass @ value for value in values]))
    return torch.stack(found, 1).numpy()
