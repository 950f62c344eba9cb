"""The comparisons that the protocol declares, with the intervals that it prescribes (book/protocol.md).

In: the records of each data set. Out: the primary comparisons with Bonferroni's intervals, the secondary comparisons
with intervals of 95 % each, and each method against random real images from the latter. Each is a result with numbers,
and a table.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ddoq_core.methods import METHODS
from ddoq_core.results.records import LEVEL, Cell, Records
from ddoq_core.results.table import NOTHING, Column, Table, written

from ..data_named import data_title
from ..paired import FOUND_NOTE, TOLD, PairedDifference, is_copy, paired_difference
from .quoted import QuotedGain

PRIMARY = ("ddoq", "d4m", "soft")
PRIMARY_LEVELS = (10, 50)
REAL = "random_real"
SECONDARY = [("ddoq_proportional", "d4m"), ("d4m", REAL), ("d4m", "random_generated")]
SECONDARY += [(m, REAL) for m in METHODS if METHODS[m].distill and m not in (REAL, "d4m")]


@dataclass(frozen=True)
class PrimaryComparison:
    """DDOQ minus D4M on one data set at one level; None if it was not recorded."""

    dataset: str  # with the number of images kept
    ipc: int
    found: PairedDifference | None


@dataclass(frozen=True)
class PrimaryComparisons:
    """The family of primary comparisons with simultaneous intervals."""

    student: str
    level: float  # of each interval, so that all are right with probability LEVEL
    rows: tuple[PrimaryComparison, ...]

    @property
    def n_told(self) -> int:
        """Number of comparisons that tell DDOQ from D4M."""
        return sum(row.found is not None and row.found.verdict in TOLD for row in self.rows)

    @property
    def recorded(self) -> list[PairedDifference]:
        """The recorded comparisons."""
        return [row.found for row in self.rows if row.found is not None]


def primary(records: list[Records]) -> PrimaryComparisons:
    """DDOQ minus D4M, soft labels, first student: simultaneous intervals over all data sets and levels."""
    student, level = records[0].students[0], 1 - (1 - LEVEL) / (len(records) * len(PRIMARY_LEVELS))
    method, baseline, labels = PRIMARY
    rows = []
    for one in records:
        for ipc in PRIMARY_LEVELS:
            cells = [Cell(m, ipc, student, labels) for m in (method, baseline)]
            found = paired_difference(one, *cells, level) if one.cells.keys() >= {*cells} else None
            rows.append(PrimaryComparison(data_title(one.rows), ipc, found))
    return PrimaryComparisons(student, level, tuple(rows))


def primary_table(found: PrimaryComparisons) -> Table:
    """The primary comparisons, with a block for each data set."""
    rows = []
    for row in found.rows:
        paired, sizes = _paired_cells(row.found), (0, None)
        if row.found is not None:
            sizes = row.found.difference.n_runs, row.found.difference.n_test
        rows.append((row.dataset, row.ipc, *paired, *sizes))
    return Table.of_groups(
        f"Primary comparisons: DDOQ minus D⁴M, {found.student}, soft labels, in points",
        ("Data", "IPC", *_paired_columns("DDOQ is"), "n students", Column("n test", ",")),
        rows,
        (
            f"Intervals of level {100 * found.level:.2f} % each; all {len(found.rows)} hold together at "
            f"{100 * LEVEL:.0f} %.",
            FOUND_NOTE,
        ),
    )


@dataclass(frozen=True)
class SecondaryComparisons:
    """The secondary comparisons of one data set, each with its own interval, without correction."""

    dataset: str  # with the number of images kept
    student: str
    rows: tuple[PairedDifference, ...]

    @property
    def n_apart(self) -> int:
        """Number of intervals that exclude 0."""
        return sum(row.verdict in TOLD for row in self.rows)

    @property
    def of_sets(self) -> list[PairedDifference]:
        """One comparison for each two different sets of images; other weightings of the same images are left out."""
        found = {}
        for row in self.rows:
            images, others = METHODS[row.cell.method].images, METHODS[row.baseline.method].images
            if images != others:
                found.setdefault((images, others, row.cell.ipc, row.cell.labels), row)
        return [*found.values()]

    @property
    def n_by_chance(self) -> float:
        """Expected number of intervals that would exclude 0 if no two methods differed."""
        return (1 - LEVEL) * len(self.rows)


def secondary(records: Records) -> SecondaryComparisons:
    """The secondary comparisons of one data set, first student, soft and hard labels; 95 % each."""
    student = records.students[0]
    pairs = [pair for declared in SECONDARY for pair in _pairs(records, *declared, student)]
    return SecondaryComparisons(
        data_title(records.rows), student, tuple(paired_difference(records, *pair) for pair in pairs)
    )


def secondary_table(found: SecondaryComparisons) -> Table:
    """The secondary comparisons, with a block for each pair of methods."""
    sets = found.of_sets
    told = sum(row.verdict in TOLD for row in sets)
    return Table.of_groups(
        f"Secondary comparisons on {found.dataset}, {found.student}, in points: mean [95 % interval]",
        ("Comparison", "IPC", "Labels", *_paired_columns("The first is")),
        [(_minus(row), row.cell.ipc, row.cell.labels, *_paired_cells(row)) for row in found.rows],
        (
            f"{len(found.rows)} comparisons, none corrected: {found.n_apart} exclude 0, and {found.n_by_chance:.1f} "
            f"would by chance if no two methods differed. They share images: of {len(sets)} pairs of different sets of "
            f"images, {told} exclude 0.",
            FOUND_NOTE,
        ),
    )


@dataclass(frozen=True)
class AgainstReal:
    """The declared comparisons of methods with as many random real images."""

    student: str
    rows: tuple[tuple[str, PairedDifference], ...]  # data set with the number of images kept, difference

    def verdicts(self, labels: str, above_ipc: int = 1) -> Counter[str]:
        """Counts of the verdicts with one kind of labels, at more than `above_ipc` images per class.

        A set of images counts once, with the weights of its first row in the table.
        """
        found = {}
        for dataset, row in sorted(self.rows, key=lambda row: list(METHODS).index(row[1].cell.method)):
            if row.cell.labels == labels and row.cell.ipc > above_ipc:
                found.setdefault((dataset, METHODS[row.cell.method].images, row.cell.ipc), row.verdict)
        return Counter(found.values())

    def of(self, methods: Sequence[str], labels: str) -> list[PairedDifference]:
        """The differences of some methods at the largest number of images per class."""
        most = max((row.cell.ipc for _, row in self.rows), default=0)
        return [
            row for _, row in self.rows
            if row.cell.method in methods and row.cell.labels == labels and row.cell.ipc == most
        ]  # fmt: skip


def against_real(records: list[Records]) -> AgainstReal:
    """Every declared method compared with as many random real images, first student."""
    student = records[0].students[0]
    rows = []
    for one in records:
        pairs = [pair for m, baseline in SECONDARY if baseline == REAL for pair in _pairs(one, m, REAL, student)]
        rows += [(data_title(one.rows), paired_difference(one, *pair)) for pair in pairs]
    return AgainstReal(student, tuple(rows))


def against_real_table(found: AgainstReal) -> Table:
    """Each method's verdict against as many random real images, in one word."""
    groups: dict[tuple, dict[str, list[str]]] = {}
    for dataset, row in sorted(found.rows, key=lambda row: list(METHODS).index(row[1].cell.method)):
        words = groups.setdefault((dataset, row.cell.labels != "soft", row.cell.ipc), {})
        kind = row.verdict if row.verdict in TOLD else ""
        words.setdefault(kind, []).append(METHODS[row.cell.method].title)
    datasets = [dataset for dataset, _ in found.rows]
    rows = []
    for dataset, hard, ipc in sorted(groups, key=lambda group: (datasets.index(group[0]), group)):
        words = groups[dataset, hard, ipc]
        shown = ("; ".join(words[kind]) if kind in words else None for kind in (*TOLD, ""))
        rows.append((dataset, "hard" if hard else "soft", ipc, *shown))
    return Table.of_groups(
        f"Against as many random real images, {found.student}",
        ("Data", "Labels", "IPC", "Higher", "Lower", "Not told apart"),
        rows,
        (
            "Intervals of 95 % each, none corrected. At one image per class all weightings of the same images are the "
            "same students, and count once.",
        ),
    )


def declared_texts(primaries: PrimaryComparisons, real: AgainstReal) -> dict[str, str]:
    """Texts: counts of the primary verdicts, and of those against random real images at more than one image."""
    texts = {"primary_n": f"{len(primaries.rows)}", "primary_told": f"{primaries.n_told}"}
    for labels in ("soft", "hard"):
        verdicts = real.verdicts(labels)
        texts |= {f"{labels}_n": f"{verdicts.total()}"} | {f"{labels}_{kind}": f"{verdicts[kind]}" for kind in TOLD}
    return texts


def power_texts(primaries: PrimaryComparisons, gains: Sequence[QuotedGain]) -> dict[str, str]:
    """Texts: effects that the primary comparisons could find, the headroom, and the paper's share of it.

    Args:
        gains: gains in the paper; their share of the headroom at the same IPC is taken as an effect.
    """
    measured = [row for row in primaries.recorded if row.headroom is not None]
    found = [row.difference.detectable for row in measured]
    share = {gain.ipc: gain.share for gain in reversed(gains)}  # the first network is the paper's teacher
    expected = [share[row.cell.ipc] * row.headroom for row in measured]
    return {
        "found": _range(found),
        "headroom": _range([row.headroom for row in measured]),
        "expected": _range(expected, ".2f"),
        "n_seen": f"{sum(e >= d for e, d in zip(expected, found, strict=True))}",
    }


def inverted_texts(real: AgainstReal, methods: Sequence[str] = ("sre2l", "cda")) -> dict[str, str]:
    """Texts: loss of inverted images against random real images at the largest IPC, with soft and with hard labels."""
    texts = {}
    for labels in ("soft", "hard"):
        rows = real.of(methods, labels)
        texts[f"inverted_{labels}"] = _range([row.difference.mean for row in rows])
        texts[f"inverted_{labels}_n"] = f"{len(rows)}"
        texts[f"inverted_{labels}_told"] = f"{sum(row.verdict == 'lower' for row in rows)}"
        texts["inverted_ipc"] = written(rows[0].cell.ipc if rows else None)
    return texts


def _range(values: Sequence[float], form: str = ".1f") -> str:
    """The smallest and the largest value, as a text."""
    if not values:
        return NOTHING
    ends = dict.fromkeys(written(value, form) for value in (min(values), max(values)))
    return " to ".join(ends)


def _minus(row: PairedDifference) -> str:
    return f"{METHODS[row.cell.method].title} minus {METHODS[row.baseline.method].title}"


def _paired_columns(verdict: str) -> tuple[Column | str, ...]:
    return Column("Difference", "+.1f"), verdict, Column("Found at 80 %", ".1f"), Column("Headroom", ".1f")


def _paired_cells(row: PairedDifference | None) -> tuple:
    return (None,) * 4 if row is None else (row.difference, row.verdict, row.difference.detectable, row.headroom)


def _pairs(records: Records, method: str, baseline: str, student: str) -> Iterator[tuple[Cell, Cell]]:
    """Cells of both methods at equal levels and labels, levels rising; copies of other rows are left out."""
    mine = sorted((c for c in records.cells if c.method == method), key=lambda c: (c.labels != "soft", c.ipc or 0))
    for cell in mine:
        other = Cell(baseline, cell.ipc, student, cell.labels)
        if cell.student == student and other in records.cells and not is_copy(records, cell):
            yield cell, other
