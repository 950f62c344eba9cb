"""When do weights matter? Digits merged into super-classes whose sub-populations have masses set by hand.

The digits are merged in turn into two super-classes, even and odd. Within each, the r-th digit keeps a share r^-s of a
fixed number of images. A stratified codebook gives every digit the same number of points; the exponent s then sets the
spread of the cell masses. Lloyd's codebook gives heavy digits more points, and reduces much of this spread. Prior and
teacher are those of all images, the same for every s: only the distilled law differs.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ddoq_core.config.profile import Profile
from ddoq_core.data.imbalance import masses
from ddoq_core.data.loaders import load_dataset
from ddoq_core.results.records import Cell, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..paired import PairedDifference, paired_difference
from ..studies.images_seen import sub_populations
from ..studies.unequal_masses import SUPERCLASSES
from ..style import CYCLE, INK, WIDTH, figure_style, subplots

TEST_LAWS = ("training", "equal")  # laws of the test images: masses of the sub-populations, or equal masses


@dataclass(frozen=True)
class ImbalanceGap:
    """A paired difference of two weightings of the same images, and the distance between the laws they represent."""

    exponent: float
    paired: PairedDifference
    effective: float  # effective number of equal counts as a share of K; mean over classes and distillations
    tv: float  # total variation of the baseline's law of sub-populations; the same mean

    @property
    def ipc(self) -> int:
        """Images per super-class."""
        return self.paired.cell.ipc

    @property
    def student(self) -> str:
        """The network."""
        return self.paired.cell.student

    @property
    def labels(self) -> str:
        """Soft or hard."""
        return self.paired.cell.labels

    @property
    def difference(self) -> Estimate:
        """In points."""
        return self.paired.difference


def imbalance_gaps(
    rows: list[dict], profile: Profile, law: str, method: str = "ddoq", baseline: str = "d4m"
) -> list[ImbalanceGap]:
    """Every difference of the study.

    Args:
        law: law of the test images, one of TEST_LAWS; under `training` the weight of each image is the mass of its
            sub-population.
    """
    origin, dataset = sub_populations(profile), load_dataset(profile)
    digits = np.array([origin[i] for i in dataset.test.ids])
    found = []
    for exponent in sorted({exponent_of(row) for row in rows}):
        here = [row for row in rows if exponent_of(row) == exponent]
        mass = masses(1 + max(origin.values()), SUPERCLASSES, exponent, profile.seed)[digits]
        records = Records.of(here, masses=mass if law == "training" else None)
        for cell in (cell for cell in records.cells if cell.method == method):
            paired = paired_difference(records, cell, Cell(baseline, cell.ipc, cell.student, cell.labels))
            of_baseline = [here[i] for i in records.cells[paired.baseline]]
            effective, tv = (float(np.mean([row[name] for row in of_baseline])) for name in ("effective", "tv"))
            found.append(ImbalanceGap(exponent, paired, effective, tv))
    return found


def exponent_of(row: dict) -> float:
    """The exponent s of a row's run."""
    return row["parameters"].get("zipf", 0.0)


def imbalance_table(found: list[ImbalanceGap], title: str) -> Table:
    """All differences by labels and student."""
    blocks = list(dict.fromkeys((g.labels, g.student) for g in found))
    rows = [
        (
            f"{g.student}, {g.labels} labels", g.ipc, g.exponent, g.effective, g.tv, g.paired.accuracy, g.difference,
            g.paired.verdict,
        )
        for g in sorted(found, key=lambda g: (blocks.index((g.labels, g.student)), g.ipc, g.exponent))
    ]  # fmt: skip
    columns = ("Student", "IPC", Column("s", "g"), Column("K effective / K", ".2f"), Column("TV of the law", ".2f"))
    columns += (Column("Baseline", ".1f"), Column(title, "+.1f"), "It is")
    n = {(g.difference.n_runs, g.difference.n_test) for g in found}
    notes = [f"n = {runs} students of each weighting, {test:,} test images." for runs, test in sorted(n)]
    return Table.of_groups(f"{title}, in points: mean [95 % interval]", columns, rows, notes)


@dataclass(frozen=True)
class ImbalanceSummary:
    """Summary of the differences with one kind of labels."""

    n: int
    n_higher: int  # differences with an interval above 0
    n_lower: int
    rho: float  # rank correlation of the difference with the distance between the laws
    least_effective: float
    most_tv: float


def imbalance_summary(found: list[ImbalanceGap], labels: str) -> ImbalanceSummary:
    """The number of intervals that exclude 0, and whether the differences grow with the distance between the laws."""
    some = [g for g in found if g.labels == labels]
    verdicts = [g.paired.verdict for g in some]
    return ImbalanceSummary(
        n=len(some),
        n_higher=verdicts.count("higher"),
        n_lower=verdicts.count("lower"),
        rho=float(spearmanr([g.tv for g in some], [g.difference.mean for g in some]).statistic),
        least_effective=min(g.effective for g in some),
        most_tv=max(g.tv for g in some),
    )


def imbalance_texts(found: ImbalanceSummary) -> dict[str, str]:
    """The summary as texts for the prose."""
    return {
        "n": f"{found.n}",
        "higher": f"{found.n_higher}",
        "lower": f"{found.n_lower}",
        "rho": written(found.rho, ".2f"),
        "least_effective": f"{found.least_effective:.2f}",
        "most_tv": f"{found.most_tv:.2f}",
    }


@figure_style()
def law_figure(found: dict[str, list[ImbalanceGap]]) -> Figure:
    """The difference against the distance between the laws of the two weightings, with a panel per kind of labels.

    Args:
        found: differences by codebook; the first codebook has full markers.
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
