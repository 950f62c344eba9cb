"""The declared study of unequal masses: pooled comparisons of weightings, with the distillation as the unit.

In: rows of `ddoq record controlled`. Out: the comparisons that the protocol declares, as numbers, tables and texts. A
comparison is a signed mean of accuracies over exponents and networks, taken for each image and distillation. Its
interval therefore needs no assumption on the dependence of its parts.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.config.profile import Profile
from ddoq_core.data.imbalance import masses
from ddoq_core.data.loaders import load_dataset
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..paired import verdict
from ..studies.images_seen import sub_populations
from ..studies.unequal_masses import BLOCKS, STUDENTS, SUPERCLASSES, UNEQUAL
from ..style import CYCLE, INK, WIDTH, figure_style, subplots
from .imbalance import exponent_of

MARGIN = 0.5  # points: a difference within this margin is called no effect
PAIRS = [(method, "d4m") for method in ("ddoq", "ddoq_proportional", "ddoq_permuted")]
PAIRS += [("ddoq", "ddoq_permuted"), ("ddoq", "ddoq_proportional")]
TITLES = {"d4m": "D⁴M", "ddoq": "DDOQ", "ddoq_proportional": "proportional", "ddoq_permuted": "permuted"}


@dataclass(frozen=True)
class Comparison:
    """Two weightings of the same images, compared over exponents and networks, in points."""

    method: str
    baseline: str
    ipc: int
    labels: str
    estimate: Estimate | None  # None: a part is not recorded
    of_each: Float[ndarray, " distillations"]  # the same, of every distillation
    slope: bool = False  # whether it is the growth per unit of the exponent

    @property
    def title(self) -> str:
        """Its name in tables."""
        name = f"{TITLES[self.method]} − {TITLES[self.baseline]}"
        return f"slope of {name} in s" if self.slope else name

    @property
    def n_positive(self) -> int:
        """Number of distillations in which it is above 0."""
        return int((self.of_each > 0).sum())

    @property
    def verdict(self) -> str:
        """Higher, lower, not told apart, or no effect (within the margin by two one-sided tests)."""
        if self.estimate is None:
            return "not recorded"
        return verdict(self.estimate, 0.0 if self.slope else MARGIN)


def image_masses(profile: Profile, exponents: Sequence[float]) -> dict[float, Float[ndarray, " n_test"]]:
    """Mass of every test image's sub-population, for each exponent of the training law."""
    origin, dataset = sub_populations(profile), load_dataset(profile)
    digits = np.array([origin[i] for i in dataset.test.ids])
    return {s: masses(1 + max(origin.values()), SUPERCLASSES, s, profile.seed)[digits] for s in exponents}


@dataclass(frozen=True)
class Controlled:
    """The records of the study, by exponent, under one law of the test images."""

    by_exponent: dict[float, Records]

    @classmethod
    def of(cls, rows: list[dict], profile: Profile, law: str = "training") -> "Controlled":
        """The study from its rows.

        Args:
            law: law of the test images: `training` weights each by the mass of its sub-population, `equal` equally.
        """
        exponents = sorted({exponent_of(row) for row in rows})
        mass = image_masses(profile, exponents) if law == "training" else {}
        of = {s: [row for row in rows if exponent_of(row) == s] for s in exponents}
        return cls({s: Records.of(here, masses=mass.get(s)) for s, here in of.items()})

    def compare(
        self, method: str, baseline: str, ipc: int, labels: str, *, exponents: Sequence[float] = UNEQUAL,
        students: Sequence[str] = tuple(STUDENTS), slope: bool = False, level: float = LEVEL,
    ) -> Comparison:  # fmt: skip
        """`method` minus `baseline`, as a mean over exponents and networks, or its slope."""
        cells = [(s, student) for s in exponents for student in students]
        pairs = [[(s, Cell(m, ipc, student, labels)) for m in (method, baseline)] for s, student in cells]
        if not all(s in self.by_exponent and cell in self.by_exponent[s].cells for pair in pairs for s, cell in pair):
            return Comparison(method, baseline, ipc, labels, None, np.empty(0), slope)
        away = np.array([s for s, _ in cells]) - np.mean(exponents)
        factors = away / (away @ away) if slope else np.full(len(cells), 1 / len(cells))
        grids = [self._grid(*mine) - self._grid(*other) for mine, other in pairs]
        y = functools.reduce(np.add, (f * grid for f, grid in zip(factors, grids, strict=True)))
        n_runs = len(cells) * len(self.by_exponent[exponents[0]].cells[pairs[0][0][1]])
        estimate = Estimate.of(y, n_runs, level)
        return Comparison(method, baseline, ipc, labels, estimate, 100 * y.mean((1, 2)), slope)

    def _grid(self, exponent: float, cell: Cell) -> Float[ndarray, "D S n_test"]:
        return self.by_exponent[exponent].grid(cell)


def primary_comparisons(study: Controlled) -> list[Comparison]:
    """The five declared comparisons; their intervals hold together at 95 %."""
    level = 1 - (1 - LEVEL) / 5
    ours = functools.partial(study.compare, "ddoq", level=level)
    found = [ours("d4m", *BLOCKS[0]), ours("d4m", *BLOCKS[0], slope=True), ours("ddoq_permuted", *BLOCKS[0])]
    return [*found, *(ours("d4m", *block) for block in (BLOCKS[2], BLOCKS[1]))]


def secondary_comparisons(study: Controlled) -> list[Comparison]:
    """All weightings against equal weights, and DDOQ against the other weightings, in every block; 95 % each."""
    return [study.compare(*pair, *block) for block in BLOCKS for pair in PAIRS]


def comparisons_table(found: list[Comparison], caption: str) -> Table:
    """Comparisons, with a block for each number of images and kind of labels."""
    rows = []
    for c in found:
        numbers = (None,) * 5
        if c.estimate:
            e = c.estimate
            numbers = e, f"{c.n_positive} of {len(c.of_each)}", c.verdict, e.detectable, e.n_runs
        rows.append((f"{c.ipc} images per super-class, {c.labels} labels", c.title, *numbers))
    columns = ("K", "Comparison", Column("Points", "+.2f"), "Distillations above 0", "It is")
    columns += (Column("Found at 80 %", ".2f"), Column("n students", ","))
    known = [c.estimate for c in found if c.estimate]
    notes = [
        f"Intervals of level {100 * e.level:g} %; {e.n_test:,} test images. Found at 80 %: the smallest true effect "
        f"found with a power of 80 %. No effect: two one-sided tests at 5 % place it within ±{MARGIN:g} points."
        for e in known[:1]
    ]
    if len(known) < len(found):
        notes.append("–: not recorded yet, by ddoq record controlled.")
    return Table.of_groups(caption, columns, rows, notes)


def single_comparisons(study: Controlled, method: str = "ddoq", baseline: str = "d4m") -> dict[tuple, Comparison]:
    """The comparison for every single exponent and network, by (ipc, labels, student, s)."""
    found = {
        (*block, student, s): study.compare(method, baseline, *block, exponents=[s], students=[student])
        for block in BLOCKS
        for student in STUDENTS
        for s in UNEQUAL
    }
    return {place: one for place, one in found.items() if one.estimate}


@figure_style()
def controlled_figure(found: dict[tuple, Comparison], title: str) -> Figure:
    """A comparison against the exponent, with a panel for each block and a line for each network."""
    figure, axes = subplots(1, len(BLOCKS), width=WIDTH, height=2.8, sharey=True, squeeze=False)
    for ax, block in zip(axes[0], BLOCKS, strict=True):
        ax.axhline(0, color=INK, linewidth=0.8)
        for shift, student, colour, marker in zip((-0.04, 0, 0.04), STUDENTS, CYCLE, "osD", strict=False):
            line = [(s, found[*block, student, s].estimate) for s in UNEQUAL if (*block, student, s) in found]
            error = [[e.mean - e.low for _, e in line], [e.high - e.mean for _, e in line]]
            x = [s + shift for s, _ in line]
            ax.errorbar(
                x, [e.mean for _, e in line], yerr=error, fmt=f"-{marker}", color=colour, linewidth=1, label=student
            )
        ax.set(title=f"K = {block[0]}, {block[1]} labels", xlabel="exponent $s$ of the masses", xticks=UNEQUAL)
    axes[0, 0].set_ylabel("points")
    figure.suptitle(title, x=0.02, ha="left", fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)
    return figure


def controlled_texts(study: Controlled) -> dict[str, str]:
    """Texts of every comparison: points, verdict and distillations above 0, by the names of its parts."""
    texts = {}
    for block, pair, slope in itertools.product(BLOCKS, PAIRS, (False, True)):
        found = study.compare(*pair, *block, slope=slope)
        name = "_".join([*pair, *map(str, block), *["slope"] * slope])
        texts |= {
            name: written(found.estimate, "+.2f") if found.estimate else "(not recorded yet)",
            f"{name}_verdict": found.verdict,
            f"{name}_positive": f"{found.n_positive} of {len(found.of_each)}",
        }
    return texts
