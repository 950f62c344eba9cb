"""When do weights matter? Digits merged into super-classes whose sub-populations have masses set by hand.

The digits are merged in turn into two super-classes, even and odd; within each the r-th digit keeps a share r^-s of a
fixed number of images. A stratified codebook gives every digit the same number of points, so that the exponent s sets
the spread of the cell masses; Lloyd's gives heavy digits more points, and takes much of it back. Prior and teacher are
those of all images, the same for every s: nothing differs but the law that is distilled.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ddoq_core.pipeline.datasets import load_dataset
from ddoq_core.pipeline.population import masses
from ddoq_core.profile import Profile
from ddoq_core.results.images_seen import sub_populations
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records, verdict
from ddoq_core.results.studies import SUPERCLASSES
from ddoq_core.results.table import Table

from ..ch31.table1 import signed
from ..style import CYCLE, INK, WIDTH, figure_style, subplots

LAWS = ("training", "equal")  # of the test images: the sub-populations' masses, or all alike


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
