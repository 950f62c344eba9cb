"""When do weights matter? Digits merged into super-classes whose sub-populations have masses set by hand.

The digits are merged in turn into two super-classes, even and odd; within each the r-th digit keeps a share r^-s of a
fixed number of images. A stratified codebook gives every digit the same number of points, so that the exponent s sets
the spread of the cell masses; Lloyd's gives heavy digits more points, and takes much of it back. Prior and teacher are
those of all images, the same for every s: nothing differs but the law that is distilled.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import spearmanr

from ..methods import METHODS
from ..pipeline.cluster import load_prototypes
from ..pipeline.datasets import load_dataset
from ..pipeline.population import masses
from ..pipeline.run import Run
from ..pipeline.students import Student
from ..profile import Profile
from ..quantization.voronoi import assign
from ..quantization.weights import companion_weights
from .images_seen import images_seen
from .records import LEVEL, Cell, Estimate, Records, verdict
from .style import CYCLE, INK, WIDTH, figure_style, subplots
from .table import Table
from .table1 import signed

CODEBOOKS = ("stratified", "lloyd")
EXPONENTS = (0.0, 1.0, 2.0, 0.5, 1.5)  # the ends first: a run that is broken off shows them
SUPERCLASSES = 2
STUDENTS = ["convnet-2", "convnet-8", "convnet-32"]  # capacity, from hardly any to that of the teacher
LEVELS = [5, 20]  # as many points as sub-populations, and four times as many
TRAIN_SIZE = 1000
STRENGTH = 0.3  # of the noise: at the pipeline's 0.7 a centroid may come back as another digit of its super-class
LAWS = ("training", "equal")  # of the test images: the sub-populations' masses, or all alike


def runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every codebook and exponent, with the prior and the teacher of all images."""
    base = Run(profile.but(superclasses=SUPERCLASSES))
    for codebook, exponent in itertools.product(CODEBOOKS, EXPONENTS):
        run = Run(
            base.profile.but(
                train_size=TRAIN_SIZE, zipf=exponent, strength=STRENGTH, ipc=LEVELS, hard_ipc=LEVELS, students=STUDENTS,
                targets=["soft", "hard"], methods=["d4m", "ddoq", "ddoq_proportional"], quantizer=codebook,
                prior="dit", prior_path=str(base.prior.path),
                teacher_path=str(base.teacher.path / "model.safetensors"),
            )
        )  # fmt: skip
        yield f"{profile.dataset}-{codebook}-s{exponent:g}.jsonl", run


def sub_populations(profile: Profile) -> dict[str, int]:
    """The class that every image had before classes were merged, by the image's identity."""
    whole = load_dataset(profile.but(superclasses=0, train_size=0, zipf=0.0))
    parts = (whole.train, whole.validation, whole.test)
    return dict(itertools.chain.from_iterable(zip(p.ids, p.labels.tolist(), strict=True) for p in parts))


@functools.cache
def _cells(run: Run, ipc: int, distill_seed: int) -> tuple[ndarray, ndarray]:
    """Counts [class, K] of all cells, and [class, K, part] of their images by sub-population."""
    points, counts = load_prototypes(run.prototypes(distill_seed), ipc)
    origin = sub_populations(run.profile)
    n_parts = 1 + max(origin.values())
    parts = np.zeros((*counts.shape, n_parts))
    for c in range(len(points)):
        latents, index = run.class_latents(c)
        part = np.array([origin[run.dataset.train.ids[i]] for i in index.tolist()])
        if run.profile.quantizer == "stratified":  # the points of each part in turn, and cells within it
            each = ipc // len(np.unique(part))
            parts[c, np.arange(ipc), np.repeat(np.unique(part), each)] = counts[c]
            continue
        cell = assign(latents.flatten(1), points[c].flatten(1)).numpy()
        np.add.at(parts[c], (cell, part), 1)
    return counts.numpy(), parts


def law_seen(run: Run, task: Student) -> dict:
    """What `images_seen` tells, and `tv`: the total variation distance, class by class, between the masses of the
    sub-populations and those that the student's weights give to them, each image counted for the images of its cell."""
    counts, parts = _cells(run, task.ipc, task.distill_seed)
    weights = companion_weights(torch.from_numpy(counts), METHODS[task.method].weights_of(run.profile)).numpy()
    given = np.einsum("ck,ckp->cp", weights / weights.sum(1, keepdims=True), parts / counts[..., None])
    true = parts.sum(1) / parts.sum((1, 2))[:, None]
    return images_seen(run, task) | {"tv": (np.abs(given - true).sum(1) / 2).round(4).tolist()}


@dataclass(frozen=True)
class Gap:
    """A paired difference of two weightings of the same images, and how far apart the laws are that they show."""

    exponent: float
    ipc: int
    student: str
    labels: str
    accuracy: float  # of the baseline, percent
    difference: Estimate
    effective: float  # share of K that the counts are worth as equal ones; mean over classes and distillations
    tv: float  # of the baseline's law of sub-populations; likewise


def gaps(rows: list[dict], profile: Profile, law: str, method: str = "ddoq", baseline: str = "d4m") -> list[Gap]:
    """Every difference of the study.

    Args:
        law: of the test images, one of LAWS; under `training` each image counts for the mass of its sub-population.
    """
    origin, dataset = sub_populations(profile), load_dataset(profile)
    digits = np.array([origin[i] for i in dataset.test.ids])
    found = []
    for exponent in sorted({exponent_of(row) for row in rows}):
        here = [row for row in rows if exponent_of(row) == exponent]
        mass = masses(1 + max(origin.values()), SUPERCLASSES, exponent, profile.seed)[digits]
        records = Records.of(here, masses=mass if law == "training" else None)
        for cell in records.cells:
            if cell.method != method:
                continue
            other = Cell(baseline, cell.ipc, cell.student, cell.labels)
            of_baseline = [here[i] for i in records.cells[other]]
            effective, tv = (float(np.mean([row[name] for row in of_baseline])) for name in ("effective", "tv"))
            gap = records.difference(cell, other)
            accuracy = records.accuracy(other).mean
            found.append(Gap(exponent, cell.ipc, cell.student, cell.labels, accuracy, gap, effective, tv))
    return found


def exponent_of(row: dict) -> float:
    """The exponent s of a row's run."""
    return row["parameters"].get("zipf", 0.0)


def gap_table(found: list[Gap], title: str) -> Table:
    """All differences, by labels and student."""
    blocks = []
    for labels, student in dict.fromkeys((g.labels, g.student) for g in found):
        some = [g for g in found if (g.labels, g.student) == (labels, student)]
        rows = [
            (
                str(g.ipc), f"{g.exponent:g}", f"{g.effective:.2f}", f"{g.tv:.2f}", f"{g.accuracy:.1f}",
                signed(g.difference), verdict(g.difference, g.accuracy),
            )
            for g in sorted(some, key=lambda g: (g.ipc, g.exponent))
        ]  # fmt: skip
        blocks.append((f"{student}, {labels} labels", tuple(rows)))
    columns = ("Student", "IPC", "s", "K effective / K", "TV of the law", "Baseline", title, "It is")
    n = {(g.difference.n_runs, g.difference.n_test) for g in found}
    notes = tuple(f"n = {runs} students of each weighting, {test:,} test images." for runs, test in sorted(n))
    return Table(f"{title}, in points: mean [95 % interval]", columns, tuple(blocks), notes)


def claims(found: list[Gap], labels: str) -> dict[str, str]:
    """What the differences with one kind of labels come to, as glue texts: how many are told from 0, the largest and
    the smallest, how wide the intervals are, and whether they grow with the distance between the laws."""
    some = [g for g in found if g.labels == labels]
    words = [verdict(g.difference, g.accuracy) for g in some]
    ranked = sorted(some, key=lambda g: g.difference.mean)
    half = np.median([g.difference.high - g.difference.low for g in some]) / 2
    rho = spearmanr([g.tv for g in some], [g.difference.mean for g in some])
    texts = {
        "n": str(len(some)),
        "higher": str(sum(w == "higher" for w in words)),
        "lower": str(sum(w == "lower" for w in words)),
        "chance": f"{(1 - LEVEL) / 2 * len(some):.1f}",
        **{
            name: f"{signed(g.difference)} (s = {g.exponent:g}, IPC {g.ipc}, {g.student})"
            for name, g in (("largest", ranked[-1]), ("smallest", ranked[0]))
        },
        "half": f"{half:.1f}",
        "rho": f"{rho.statistic:.2f}".replace("-", "−"),
        "least_effective": f"{min(g.effective for g in some):.2f}",
        "most_tv": f"{max(g.tv for g in some):.2f}",
    }
    return {f"{labels}_{name}": text for name, text in texts.items()}


@figure_style()
def gap_figure(found: list[Gap], title: str) -> Figure:
    """The difference against the exponent: a column of panels per kind of labels, a row per student, a line per IPC."""
    students, kinds = (list(dict.fromkeys(getattr(g, name) for g in found)) for name in ("student", "labels"))
    shape = {"width": WIDTH, "height": 0.8 + 1.7 * len(students), "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = subplots(len(students), len(kinds), **shape)
    for (i, student), (j, labels) in itertools.product(enumerate(students), enumerate(kinds)):
        ax = axes[i, j]
        ax.axhline(0, color=INK, linewidth=0.8)
        some = [g for g in found if (g.student, g.labels) == (student, labels)]
        for ipc, colour, marker in zip(sorted({g.ipc for g in found}), CYCLE, "osD^", strict=False):
            line = sorted((g for g in some if g.ipc == ipc), key=lambda g: g.exponent)
            if not line:
                continue
            x = [g.exponent for g in line]
            ax.plot(x, [g.difference.mean for g in line], color=colour, marker=marker, label=f"IPC {ipc}")
            ax.fill_between(
                x, [g.difference.low for g in line], [g.difference.high for g in line], color=colour, alpha=0.2, lw=0
            )
        ax.set_title(f"{student}, {labels} labels")
    for ax in axes[-1]:
        ax.set_xlabel("exponent $s$ of the masses")
    for ax in axes[:, 0]:
        ax.set_ylabel("points")
    figure.suptitle(title, x=0.02, ha="left", fontsize=10)
    named = {name: line for ax in axes.flat for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside upper right", ncols=len(named), fontsize=8)
    return figure


@figure_style()
def law_figure(found: dict[str, list[Gap]]) -> Figure:
    """The difference against the distance between the laws of the two weightings, a panel per kind of labels.

    Args:
        found: of each codebook; full markers are those of the first.
    """
    every = [g for gaps in found.values() for g in gaps]
    kinds, students = (list(dict.fromkeys(getattr(g, name) for g in every)) for name in ("labels", "student"))
    figure, axes = subplots(1, len(kinds), width=WIDTH, height=3.0, sharey=True, squeeze=False)
    looks = list(zip(students, CYCLE, "osD^", strict=False))
    for (ax, labels), (codebook, gaps) in itertools.product(zip(axes[0], kinds, strict=True), found.items()):
        for student, colour, marker in looks:
            some = [g.difference for g in gaps if (g.student, g.labels) == (student, labels)]
            x = [g.tv for g in gaps if (g.student, g.labels) == (student, labels)]
            error = [[d.mean - d.low for d in some], [d.high - d.mean for d in some]]
            face = colour if codebook == next(iter(found)) else "none"
            named = {"label": f"{student}, {codebook}", "markerfacecolor": face}
            ax.errorbar(x, [d.mean for d in some], yerr=error, fmt=marker, color=colour, linewidth=0.8, **named)
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.set_title(f"{labels} labels")
    axes[0, 0].set_ylabel("difference, points")
    figure.supxlabel("TV between D⁴M's law of sub-populations and the true one", fontsize="medium")
    figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=7)
    return figure
