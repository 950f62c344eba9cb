"""When do weights matter? Two classes in the plane whose sub-populations have masses set by hand, and a known teacher.

Each class is a mixture of Gaussians, the r-th of mass proportional to r^-s. Students are fitted to the K weighted
centroids of each class, under weights that differ in nothing else, and are scored on the true law, where the Bayes
posterior is known. The theory's part needs no codebook's points: weights w_i give the cells C_i of mu other masses, and
the same student fitted to that law, mu within each cell and w_i among them, foretells what the weights are worth.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ..keys import numpy_rng
from ..pipeline.plan import threads
from ..quantization import Quantizer, assign, best_of_restarts, companion_weights
from ..theory.measures import GaussianMixture
from .intervals import half_width, interval
from .style import BLUE, INK, MUTED, VERMILION, figure_style, subplots
from .table import Table

SCHEMES = {"D4M": "uniform", "DDOQ": "sqrt", "proportional": "proportional"}
LABELS = ("soft", "hard")
METRICS = ("accuracy", "excess KL", "agreement")
UNITS = {"accuracy": "points", "excess KL": "nats", "agreement": "points"}
BATCH = 64  # points of a step on a large sample
GROUPS = 16  # data sets fitted at once: as many as stay near the processor
LEARNING_RATE = 0.03
RADIUS, GOLDEN = 2.0, math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Sample:
    """Points of both classes, with the mass that each has under the law."""

    x: Float[Tensor, "n d"]
    classes: Int[Tensor, " n"]  # 0 or 1
    mass: Float[Tensor, " n"]  # summing to 1


@dataclass(frozen=True)
class Setting:
    """Two equally likely classes, each a mixture of `n_parts` Gaussians, the masses of which follow Zipf's law."""

    exponent: float  # s: the r-th part has mass proportional to r^-s
    n_parts: int = 8
    d: int = 2
    scale: float = 0.3  # standard deviation of every part, where the means fill a disc of radius 2
    seed: int = 0
    replicate: int = 0  # of the layout: which place is whose, and how heavy

    @cached_property
    def masses(self) -> Float[Tensor, "2 parts"]:
        """Mass of each part in its class; which part is the r-th is drawn."""
        zipf = np.arange(1, self.n_parts + 1) ** -float(self.exponent)
        return torch.from_numpy(np.stack([self.rng("masses", c).permutation(zipf / zipf.sum()) for c in (0, 1)]))

    @cached_property
    def means(self) -> Float[Tensor, "2 parts d"]:
        """Even places in a disc (Vogel's spiral), dealt to the classes at random; coordinates past the second are 0."""
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
        """log P(1 | x) / P(0 | x), exactly."""
        return self.laws[1].log_density(x) - self.laws[0].log_density(x)

    def draws(self, m: int, name: str) -> Sample:
        """m draws of every part, which then count for its mass. Any 2 n_parts in a row hold one of each."""
        noise = self.rng(name).standard_normal((m, 2, self.n_parts, self.d))
        x = self.means + self.scale * torch.from_numpy(noise)
        classes = torch.arange(2)[:, None].expand(m, 2, self.n_parts)
        return Sample(x.flatten(0, 2), classes.flatten(), self.masses.expand(m, -1, -1).flatten() / (2 * m))

    def codebooks(self, K: int, n_samples: int, n_restarts: int = 2) -> tuple[Quantizer, Quantizer]:
        """The quantizer of n_samples independent draws of each class."""
        X = (law.sample(n_samples, self.rng("samples", c)) for c, law in enumerate(self.laws))
        return tuple(best_of_restarts(x, K, n_restarts=n_restarts, rng=self.rng("lloyd", c)) for c, x in enumerate(X))

    def rng(self, *path: int | str) -> np.random.Generator:
        """Draws of this layout, the same for every exponent, so that differences along s are paired too."""
        return numpy_rng(self.seed, "mixture", self.replicate, *path)


def codebook_sample(books: Sequence[Quantizer]) -> Sample:
    """The centroids of both classes, each with the mass of its cell."""
    classes = torch.arange(2).repeat_interleave(len(books[0].points))
    return Sample(torch.cat([b.points for b in books]), classes, torch.cat([b.weights for b in books]) / 2)


def cell_weights(sample: Sample, books: Sequence[Quantizer]) -> Float[Tensor, "n schemes"]:
    """Mass of every point when each cell's mass is scaled to the weight that a scheme gives it.

    Of the centroids themselves it is the weights of the schemes, over 2 K.
    """
    counts = torch.stack([book.counts for book in books])
    ratio = torch.stack([companion_weights(counts, s) / companion_weights(counts, 1.0) for s in SCHEMES.values()], -1)
    cells = torch.stack([assign(sample.x, book.points) for book in books])
    own = cells.gather(0, sample.classes[None])[0]
    return sample.mass[:, None] * ratio[sample.classes, own]


def targets(setting: Setting, sample: Sample, temperature: float) -> Float[Tensor, "n labels"]:
    """P(1 | x): of the teacher at this temperature, and of the class that x was drawn from."""
    return torch.stack([torch.sigmoid(setting.logit(sample.x) / temperature), sample.classes.double()], 1)


@dataclass(frozen=True)
class Students:
    """`variants` networks with one hidden layer, or none, for each of `groups` data sets, fitted at once."""

    inner: Float[Tensor, "groups d+1 variants*h"]  # the last row is the bias
    outer: Float[Tensor, "groups variants h+1"] | None  # None: the student is linear, h = 1

    def __call__(self, x: Float[Tensor, "groups n d"]) -> Float[Tensor, "groups n variants"]:
        z = torch.baddbmm(self.inner[:, -1:], x, self.inner[:, :-1])
        if self.outer is None:
            return z
        z = z.relu() * self.outer[..., :-1].flatten(1)[:, None]
        return z.unflatten(2, (self.outer.shape[1], -1)).sum(3) + self.outer[:, None, :, -1]


def start(settings: Sequence[Setting], variants: int, width: int) -> Students:
    """Random students; those of one data set start alike. A width of 0 is a linear student, which starts at 0."""
    if width == 0:
        return Students(torch.zeros(len(settings), settings[0].d + 1, variants), None)
    rngs = [setting.rng("start", width) for setting in settings]
    inner = torch.from_numpy(np.stack([rng.standard_normal((settings[0].d + 1, width)) for rng in rngs])).float()
    outer = torch.from_numpy(np.stack([rng.standard_normal((1, width + 1)) for rng in rngs])).float()
    return Students(inner.repeat(1, 1, variants), outer.repeat(1, variants, 1) / math.sqrt(width))


def fit(
    students: Students, x: Float[Tensor, "groups n d"], targets: Float[Tensor, "groups n variants"],
    weights: Float[Tensor, "groups n variants"], *, n_steps: int, temperature: float | Float[Tensor, " variants"] = 1.0,
) -> Students:  # fmt: skip
    """Minimise the weighted KL(target || student) at a temperature, by Adam on all points, or on BATCH in turn.

    Adam acts on each number alone, so no student feels another.
    """
    parameters = [a.requires_grad_() for a in vars(students).values() if a is not None]
    adam = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, n_steps)
    data = (a.float().split(BATCH, 1) for a in (x, targets, temperature**2 * weights / weights.sum(1, keepdim=True)))
    batches = list(zip(*data, strict=True))
    for step in range(n_steps):
        points, target, weight = batches[step % len(batches)]
        loss = binary_cross_entropy_with_logits(students(points) / temperature, target, weight, reduction="sum")
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
    return Students(*(None if a is None else a.detach() for a in vars(students).values()))


def score(
    students: Students, settings: Sequence[Setting], tests: Sequence[Sample]
) -> Float[ndarray, "metrics groups variants"]:
    """METRICS on the true law, at temperature 1: the labels are integrated by the posterior; all see one sample."""
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


@dataclass(frozen=True)
class Cell:
    """One cell of the study: METRICS of each scheme and layout, of students of centroids and of students of the law."""

    exponent: float
    K: int
    width: int
    labels: str
    effective: float  # share of K that the counts are worth as equal ones: 1 / (K sum of squared masses), a mean
    measured: Float[ndarray, "metrics schemes n"]
    predicted: Float[ndarray, "metrics schemes n"]

    def gap(self, method: str, metric: str = "accuracy", *, predicted: bool = False) -> Float[ndarray, " n"]:
        """What the method's weights are worth over D4M's, in each layout."""
        values = (self.predicted if predicted else self.measured)[METRICS.index(metric)]
        return values[list(SCHEMES).index(method)] - values[0]

    @property
    def student(self) -> str:
        """The student in words."""
        return f"width {self.width}" if self.width else "linear"


@threads(1)  # the arrays are small: more threads cost more than they bring
def study(
    exponents: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0), levels: Sequence[int] = (8, 32),
    widths: Sequence[int] = (0, 4, 32), *, n_replicates: int = 16, n_parts: int = 8, d: int = 2, scale: float = 0.3,
    temperature: float = 1.0, n_samples: int = 1000, n_law: int = 64, n_test: int = 200, n_steps: int = 600,
    seed: int = 0,
) -> list[Cell]:  # fmt: skip
    """Every cell, for both kinds of labels. A replicate has its own layout, codebooks and starts of students.

    Args:
        widths: of the hidden layer; 0 is a linear student.
        temperature: of the soft labels, and of the students that learn them.
        n_samples: of each class, quantized.
        n_law, n_test: draws of each part, for the prediction and for the score.
    """
    settings = [Setting(s, n_parts, d, scale, seed, r) for s in exponents for r in range(n_replicates)]
    laws, tests = ([setting.draws(m, name) for setting in settings] for m, name in ((n_law, "law"), (n_test, "test")))
    cells = []
    for K in levels:
        books = [setting.codebooks(K, n_samples) for setting in settings]
        effective = np.array([np.mean([1 / (K * b.weights.square().sum().item()) for b in pair]) for pair in books])
        for width in widths:
            found = [
                _scores(settings, samples, books, tests, width, temperature, n_steps)
                for samples in ([codebook_sample(pair) for pair in books], laws)
            ]
            for i, s in enumerate(exponents):
                at = slice(i * n_replicates, (i + 1) * n_replicates)
                for j, labels in enumerate(LABELS):
                    both = (np.swapaxes(a[:, at, j], 1, 2) for a in found)
                    cells.append(Cell(s, K, width, labels, effective[at].mean().item(), *both))
    return cells


def _scores(
    settings: list[Setting], samples: list[Sample], books: list, tests: list[Sample], width: int, temperature: float,
    n_steps: int,
) -> Float[ndarray, "metrics groups labels schemes"]:  # fmt: skip
    """Fit students of every kind of label and scheme to the samples, one each, and score them."""
    T, found = torch.tensor([temperature, 1.0]).repeat_interleave(len(SCHEMES)), []
    for first in range(0, len(settings), GROUPS):
        some, here = settings[first : first + GROUPS], samples[first : first + GROUPS]
        target = torch.stack([targets(*pair, temperature) for pair in zip(some, here, strict=True)])
        weight = torch.stack([cell_weights(*pair) for pair in zip(here, books[first : first + GROUPS], strict=True)])
        data = target.repeat_interleave(len(SCHEMES), 2), weight.repeat(1, 1, len(LABELS))
        x = torch.stack([sample.x for sample in here])
        students = fit(start(some, data[0].shape[2], width), x, *data, n_steps=n_steps, temperature=T)
        found.append(score(students, some, tests[first : first + GROUPS]))
    return np.concatenate(found, 1).reshape(len(METRICS), len(settings), len(LABELS), len(SCHEMES))


def gap_table(cells: Sequence[Cell], metric: str = "accuracy") -> Table:
    """Measured and predicted differences to D4M, with intervals over layouts."""
    digits, blocks = (4 if metric == "excess KL" else 2), {}
    for cell in cells:
        gaps = (cell.gap(m, metric, predicted=p) for m in list(SCHEMES)[1:] for p in (False, True))
        base = cell.measured[METRICS.index(metric), 0].mean()
        lead = str(cell.K), f"{cell.exponent:g}", f"{cell.effective:.2f}", f"{base:.{digits}f}"
        rows = blocks.setdefault(f"{cell.student}, {cell.labels} labels", [])
        rows.append((*lead, *(interval(gap, digits) for gap in gaps)))
    columns = ("Student", "K", "s", "K effective / K", "D4M")
    columns += ("DDOQ − D4M", "predicted", "proportional − D4M", "predicted")
    note = f"n = {cells[0].measured.shape[-1]} layouts, 95 % intervals; predicted: the student of the re-weighted law."
    caption = f"What weights are worth: {metric}, {UNITS[metric]}"
    return Table(caption, columns, tuple((name, tuple(rows)) for name, rows in blocks.items()), (note,))


def claims(cells: Sequence[Cell]) -> dict[str, str]:
    """What the prose says, as glue texts: differences to D4M at the largest K and s, by student, labels and metric, and
    how well the linear student's were foretold over all layouts with unequal masses."""
    last = [c for c in cells if (c.K, c.exponent) == (max(x.K for x in cells), max(x.exponent for x in cells))]
    texts = {"K": str(last[0].K), "s": f"{last[0].exponent:g}", "n": str(last[0].measured.shape[-1])}
    for cell, method in itertools.product(last, list(SCHEMES)[1:]):
        name = f"{cell.student}_{cell.labels}_{method}".replace(" ", "")
        texts[f"{name}_kl"] = interval(cell.gap(method, "excess KL"), 4)
        texts[f"{name}_predicted"] = interval(cell.gap(method, "excess KL", predicted=True), 4)
        texts[f"{name}_points"] = interval(cell.gap(method, "accuracy"), 2)
    texts["effective"] = f"{np.mean([c.effective for c in last]):.2f}"
    linear = [c for c in cells if (c.width, c.labels) == (0, "soft") and c.exponent]
    both = [[c.gap(m, "excess KL", predicted=p) for c in linear for m in list(SCHEMES)[1:]] for p in (False, True)]
    measured, predicted = (np.concatenate(gaps) for gaps in both)
    texts["foretold"] = f"{np.corrcoef(measured, predicted)[0, 1]:.2f}"
    shares = [np.mean(c.gap("DDOQ", "excess KL")) / np.mean(c.gap("proportional", "excess KL")) for c in linear]
    return texts | {"root_share": f"{100 * min(shares):.0f} to {100 * max(shares):.0f}"}


@figure_style()
def gap_figure(cells: Sequence[Cell], labels: str = "soft", metric: str = "accuracy") -> Figure:
    """Differences to D4M against s, with intervals, a row for every K and a column for every student."""
    some = [cell for cell in cells if cell.labels == labels]
    levels, students = ([*dict.fromkeys(getattr(cell, name) for cell in some)] for name in ("K", "student"))
    size = {"height": 2.3 * len(levels) + 0.3, "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = subplots(len(levels), len(students), **size)
    for (i, K), (j, student) in itertools.product(enumerate(levels), enumerate(students)):
        here = [cell for cell in some if (cell.K, cell.student) == (K, student)]
        axes[i, j].axhline(0, color=MUTED, linewidth=0.8)
        for method, colour, marker in (("DDOQ", BLUE, "o"), ("proportional", VERMILION, "s")):
            _gap_lines(axes[i, j], here, method, metric, colour, marker)
        axes[i, j].set_title(f"{student}, K = {K}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    figure.supxlabel("s: the r-th part of a class has mass ∝ $r^{-s}$", fontsize=10)
    figure.supylabel(f"{metric}: difference to D4M, {UNITS[metric]}", fontsize=10)
    return figure


def _gap_lines(axes: Axes, cells: list[Cell], method: str, metric: str, colour: str, marker: str) -> None:
    """One method's measured differences, and the theory's dashed."""
    s = [cell.exponent for cell in cells]
    gaps, predicted = (np.stack([cell.gap(method, metric, predicted=p) for cell in cells]) for p in (False, True))
    mean, half = gaps.mean(1), half_width(gaps)
    axes.fill_between(s, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    axes.plot(s, mean, color=colour, marker=marker, label=method)
    axes.plot(s, predicted.mean(1), color=colour, linestyle="--", linewidth=1.1, label=f"{method}, predicted")


@figure_style()
def prediction_figure(cells: Sequence[Cell], labels: str = "soft", metric: str = "excess KL") -> Figure:
    """Measured against predicted difference to D4M, a point for every layout, exponent, K and method."""
    students = list(dict.fromkeys(cell.student for cell in cells))
    figure, axes = subplots(1, len(students), height=2.7, squeeze=False)
    for ax, student in zip(axes[0], students, strict=True):
        for cell, (method, colour) in itertools.product(cells, (("DDOQ", BLUE), ("proportional", VERMILION))):
            if (cell.student, cell.labels) == (student, labels):
                x, y = (cell.gap(method, metric, predicted=p) for p in (True, False))
                ax.plot(x, y, ".", color=colour, markersize=3, alpha=0.5)
        ax.axline((0, 0), slope=1, color=INK, linestyle="--", linewidth=1.0)
        ax.set_title(student)
        ax.locator_params(nbins=4)
    figure.supxlabel(f"predicted difference to D4M, {UNITS[metric]}", fontsize=10)
    figure.supylabel("measured", fontsize=10)
    return figure
