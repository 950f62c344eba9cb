"""When do weights matter? Two classes in the plane with sub-populations of masses set by hand, and a known teacher.

Each class is a mixture of Gaussians; the r-th has mass proportional to r^-s. Students are fitted to the K weighted
centroids of each class and differ only in the weights. They are scored on the true law, where the Bayes posterior is
known. The prediction of the theory does not use the points of the codebook. Weights w_i change the masses of the cells
C_i of mu. The same student is fitted to the re-weighted law, mu within each cell and w_i between cells. Its score
predicts the effect of the weights.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.results.intervals import Mean, half_width
from ddoq_core.results.table import Column, Table, written
from ddoq_core.threads import threads

from ..style import BLUE, INK, MUTED, VERMILION, figure_style, subplots
from .mixture import (
    SCHEMES,
    MixtureSetting,
    Sample,
    cell_weights,
    codebook_sample,
    fit_students,
    random_students,
    score_students,
    targets,
)

LABELS = ("soft", "hard")
METRICS = ("accuracy", "excess KL", "agreement")  # in the order of `score_students`
UNITS = {"accuracy": "points", "excess KL": "nats", "agreement": "points"}
GROUPS = 16  # data sets fitted together: as many as fit into the processor's cache


@dataclass(frozen=True)
class MixtureCell:
    """One cell of the study: METRICS by scheme and layout, for students of centroids and for students of the law."""

    exponent: float
    K: int
    width: int
    labels: str
    effective: float  # effective number of equal counts as a share of K, 1 / (K sum of squared masses), a mean
    measured: Float[ndarray, "metrics schemes n"]
    predicted: Float[ndarray, "metrics schemes n"]

    def gap(self, method: str, metric: str = "accuracy", *, predicted: bool = False) -> Float[ndarray, " n"]:
        """The method's metric minus D4M's, in each layout."""
        values = (self.predicted if predicted else self.measured)[METRICS.index(metric)]
        return values[list(SCHEMES).index(method)] - values[0]

    @property
    def student(self) -> str:
        """The student in words."""
        return f"width {self.width}" if self.width else "linear"


@threads(1)  # the arrays are small: more threads cost more time than they save
def study(
    exponents: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0), levels: Sequence[int] = (8, 32),
    widths: Sequence[int] = (0, 4, 32), *, n_replicates: int = 16, n_parts: int = 8, d: int = 2, scale: float = 0.3,
    temperature: float = 1.0, n_samples: int = 1000, n_law: int = 64, n_test: int = 200, n_steps: int = 600,
    seed: int = 0,
) -> list[MixtureCell]:  # fmt: skip
    """Every cell for both kinds of labels. A replicate has its own layout, codebooks and starts of students.

    Args:
        widths: widths of the hidden layer; 0 means a linear student.
        temperature: temperature of the soft labels and of the students that learn them.
        n_samples: samples of each class for the quantizer.
        n_law, n_test: draws of each part, for the prediction and for the score.
    """
    settings = [MixtureSetting(s, n_parts, d, scale, seed, r) for s in exponents for r in range(n_replicates)]
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
                    cells.append(MixtureCell(s, K, width, labels, effective[at].mean().item(), *both))
    return cells


def _scores(
    settings: list[MixtureSetting], samples: list[Sample], books: list, tests: list[Sample], width: int,
    temperature: float, n_steps: int,
) -> Float[ndarray, "metrics groups labels schemes"]:  # fmt: skip
    """Fit one student for every kind of label and scheme to the samples, and score it."""
    T, found = torch.tensor([temperature, 1.0]).repeat_interleave(len(SCHEMES)), []
    for first in range(0, len(settings), GROUPS):
        some, here = settings[first : first + GROUPS], samples[first : first + GROUPS]
        target = torch.stack([targets(*pair, temperature) for pair in zip(some, here, strict=True)])
        weight = torch.stack([cell_weights(*pair) for pair in zip(here, books[first : first + GROUPS], strict=True)])
        data = target.repeat_interleave(len(SCHEMES), 2), weight.repeat(1, 1, len(LABELS))
        x = torch.stack([sample.x for sample in here])
        students = random_students(some, data[0].shape[2], width)
        students = fit_students(students, x, *data, n_steps=n_steps, temperature=T)
        found.append(score_students(students, some, tests[first : first + GROUPS]))
    return np.concatenate(found, 1).reshape(len(METRICS), len(settings), len(LABELS), len(SCHEMES))


def mixture_table(cells: Sequence[MixtureCell], metric: str = "accuracy") -> Table:
    """Measured and predicted differences to D4M, with intervals over layouts."""
    students = list(dict.fromkeys((cell.student, cell.labels) for cell in cells))
    form, rows = (".4f" if metric == "excess KL" else ".2f"), []
    for cell in sorted(cells, key=lambda cell: students.index((cell.student, cell.labels))):
        gaps = (cell.gap(m, metric, predicted=p) for m in list(SCHEMES)[1:] for p in (False, True))
        base = cell.measured[METRICS.index(metric), 0].mean()
        lead = f"{cell.student}, {cell.labels} labels", cell.K, cell.exponent, cell.effective, base
        rows.append((*lead, *map(Mean.of, gaps)))
    columns = ("Student", "K", Column("s", "g"), Column("K effective / K", ".2f"), Column("D4M", form))
    names = "DDOQ − D4M", "predicted", "proportional − D4M", "predicted"
    note = f"n = {cells[0].measured.shape[-1]} layouts, 95 % intervals; predicted: the student of the re-weighted law."
    caption = f"The effect of weights: {metric}, {UNITS[metric]}"
    return Table.of_groups(caption, (*columns, *(Column(name, form) for name in names)), rows, (note,))


@dataclass(frozen=True)
class WorthOfWeights:
    """The gain of one weighting over D4M's for one kind of student, as means over layouts."""

    student: str
    labels: str
    method: str
    excess: Mean  # change of the excess KL, nats
    predicted: Mean  # the same, predicted
    points: Mean  # change of the accuracy


@dataclass(frozen=True)
class MixtureSummary:
    """The study at the largest K and s, and the accuracy of the predictions for the linear student."""

    K: int
    exponent: float
    n: int  # layouts
    effective: float  # effective number of equal counts as a share of K, mean over the students' cells
    worth: tuple[WorthOfWeights, ...]
    foretold: float  # correlation of measured and predicted over all layouts with unequal masses, linear, soft labels
    root_shares: tuple[float, ...]  # share of the proportional gain in KL that the square root attains, by cell


def mixture_summary(cells: Sequence[MixtureCell]) -> MixtureSummary:
    """Summary of the study."""
    last = [c for c in cells if (c.K, c.exponent) == (max(x.K for x in cells), max(x.exponent for x in cells))]
    methods = list(SCHEMES)[1:]
    linear = [c for c in cells if (c.width, c.labels) == (0, "soft") and c.exponent]
    both = [[c.gap(m, "excess KL", predicted=p) for c in linear for m in methods] for p in (False, True)]
    shares = [np.mean(c.gap("DDOQ", "excess KL")) / np.mean(c.gap("proportional", "excess KL")) for c in linear]
    return MixtureSummary(
        K=last[0].K,
        exponent=last[0].exponent,
        n=last[0].measured.shape[-1],
        effective=float(np.mean([c.effective for c in last])),
        worth=tuple(_worth(cell, method) for cell, method in itertools.product(last, methods)),
        foretold=float(np.corrcoef(*(np.concatenate(gaps) for gaps in both))[0, 1]),
        root_shares=tuple(map(float, shares)),
    )


def _worth(cell: MixtureCell, method: str) -> WorthOfWeights:
    excess, predicted = (Mean.of(cell.gap(method, "excess KL", predicted=p)) for p in (False, True))
    return WorthOfWeights(cell.student, cell.labels, method, excess, predicted, Mean.of(cell.gap(method, "accuracy")))


def mixture_texts(found: MixtureSummary) -> dict[str, str]:
    """The summary as texts for the prose."""
    texts = {
        "K": f"{found.K}",
        "s": f"{found.exponent:g}",
        "n": f"{found.n}",
        "effective": f"{found.effective:.2f}",
        "foretold": written(found.foretold, ".2f"),
        "root_share": f"{100 * min(found.root_shares):.0f} to {100 * max(found.root_shares):.0f}",
    }
    for worth in found.worth:
        name = f"{worth.student}_{worth.labels}_{worth.method}".replace(" ", "")
        texts[f"{name}_kl"] = written(worth.excess, ".4f")
        texts[f"{name}_predicted"] = written(worth.predicted, ".4f")
        texts[f"{name}_points"] = written(worth.points, ".2f")
    return texts


@figure_style()
def mixture_figure(cells: Sequence[MixtureCell], labels: str = "soft", metric: str = "accuracy") -> Figure:
    """Differences to D4M against s, with intervals; a row for every K and a column for every student."""
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


def _gap_lines(axes: Axes, cells: list[MixtureCell], method: str, metric: str, colour: str, marker: str) -> None:
    """One method's measured differences, and the predicted ones dashed."""
    s = [cell.exponent for cell in cells]
    gaps, predicted = (np.stack([cell.gap(method, metric, predicted=p) for cell in cells]) for p in (False, True))
    mean, half = gaps.mean(1), half_width(gaps)
    axes.fill_between(s, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    axes.plot(s, mean, color=colour, marker=marker, label=method)
    axes.plot(s, predicted.mean(1), color=colour, linestyle="--", linewidth=1.1, label=f"{method}, predicted")


@figure_style()
def prediction_figure(cells: Sequence[MixtureCell], labels: str = "soft", metric: str = "excess KL") -> Figure:
    """Measured against predicted difference to D4M, with a point for every layout, exponent, K and method."""
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
