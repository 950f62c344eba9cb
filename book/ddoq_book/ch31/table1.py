"""Table 1: accuracy of students trained on distilled images, by images per class, method and student.

In: the records of a run. Out: the accuracies as in the paper, with the baselines of this book, the paired differences
of two methods, and the paper's statements on its table, checked on this one. One function computes each result, and
another shows it as a table.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from ddoq_core.methods import METHODS
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records
from ddoq_core.results.table import As, Column, Table, written

from ..data_named import data_title
from ..paired import FOUND_NOTE, PairedDifference, is_copy, paired_difference
from .label_column import label_storage, storage_form

FURTHER = {"hard": "hard labels", "own": "own protocol"}
CLAIM = ("full", "random_real", "random_generated", "d4m", "ddoq", "ddoq_proportional")


@dataclass(frozen=True)
class Table1Row:
    """One row of Table 1: a method at one number of images per class; None means all real images."""

    ipc: int | None
    method: str
    accuracies: tuple[Estimate | None, ...]  # one for each column; None: not run
    label_bytes: int | None = None  # bytes of the soft labels of one set; None: there are none

    @property
    def n_runs(self) -> tuple[int, ...]:
        """The different numbers of students behind its means, in increasing order."""
        return tuple(sorted({found.n_runs for found in self.accuracies if found}))


@dataclass(frozen=True)
class Table1:
    """The accuracies of a run: rows by IPC and method, a column for each student and kind of labels."""

    dataset: str  # with the number of images kept
    n_test: int
    columns: tuple[tuple[str, str], ...]  # student and labels; all soft ones first
    rows: tuple[Table1Row, ...]
    one_student_each: bool  # each distillation has one student, with first weights of its own
    own: tuple[str, ...] = ()  # methods with students of their own protocol
    at_chance: tuple[Cell, ...] = ()  # no student of these is better than guessing


def table1(records: Records) -> Table1:
    """Table 1 of this run by IPC; one column per student, soft labels first, then hard, then own labels.

    All real images have hard labels. That accuracy is the baseline in every column of a student.
    """
    there = {(c.student, c.labels) for c in records.cells if c.ipc is not None}
    columns = [(s, "soft") for s in records.students]
    columns += [(s, labels) for labels in FURTHER for s in records.students if (s, labels) in there]
    rows = []
    for ipc in sorted({c.ipc for c in records.cells}, key=lambda ipc: ipc or 0):
        for method in _methods(records, ipc):
            cells = [Cell(method, ipc, s, "hard" if ipc is None else labels) for s, labels in columns]
            of_set = [row for row in records.rows if (row["method"], row["ipc"]) == (method, ipc)]
            accuracies = tuple(_accuracy(records, cell) for cell in cells)
            rows.append(Table1Row(ipc, method, accuracies, label_storage(of_set)))
    drawn = {(row["distill_seed"], row["seed"]) for row in records.rows if row["ipc"] is not None}
    one_each = len(drawn) == len({i for i, _ in drawn}) > 1
    return Table1(
        data_title(records.rows),
        records.n_test,
        tuple(columns),
        tuple(rows),
        one_each,
        own=tuple(m for m in METHODS if any((c.method, c.labels) == (m, "own") for c in records.cells)),
        at_chance=tuple(untrained(records)),
    )


def table1_table(found: Table1) -> Table:
    """Table 1 with blocks by IPC, one column per student and labels, then n."""
    names = [s if labels == "soft" else f"{s}, {FURTHER[labels]}" for s, labels in found.columns]
    notes = ["Bytes of labels: the soft labels of one distilled set on the disk, for all epochs."]
    notes += ["n: students behind each mean. Interval: test images, distillations and student seeds are drawn."]
    if any(labels == "own" for _, labels in found.columns):
        own = ", ".join(METHODS[m].title for m in found.own)
        notes.append(
            f"Own protocol ({own}): the method's published labels and training, except for the choices in the table of "
            "departures. –: none was run."
        )
    if found.one_student_each:
        notes.append("Each distillation has one student with first weights of its own: the interval holds both.")
    if found.at_chance:
        cells = "; ".join(f"{METHODS[c.method].title}, IPC {c.ipc}, {c.labels} labels" for c in found.at_chance)
        notes.append(f"Not trained: no student is better than guessing, which is no result on the method: {cells}.")
    return Table.of_groups(
        f"Top-1 accuracy in percent on the {found.n_test:,} test images of {found.dataset}: mean [95 % interval]",
        (
            "IPC",
            "Method",
            *(Column(name, ".1f") for name in names),
            Column("n", lambda n: "/".join(map(str, n))),
            Column("Bytes of labels", storage_form),
        ),
        [
            (row.ipc or "all", METHODS[row.method].title, *row.accuracies, row.n_runs, row.label_bytes)
            for row in found.rows
        ],
        notes,
    )


def untrained(records: Records) -> list[Cell]:
    """Cells without a student that is right more often than guessing is in 95 of 100 cases.

    The number of classes is the number of class-by-class values in a row.
    """
    n_classes = max((len(row.get("effective", ())) for row in records.rows), default=0)
    if n_classes < 2:
        return []
    most = stats.binom.ppf(LEVEL, records.n_test, 1 / n_classes)
    return [cell for cell, members in records.cells.items() if records.hits[members].sum(1).max() <= most]


@dataclass(frozen=True)
class MethodDifferences:
    """One method minus another, for all cells with both."""

    dataset: str  # with the number of images kept
    method: str
    baseline: str
    rows: tuple[PairedDifference, ...]  # by IPC


def differences(records: Records, method: str, baseline: str) -> MethodDifferences:
    """Accuracy of `method` minus `baseline`, paired over test images and seeds, for all cells with both."""
    pairs = sorted(_pairs(records, method, baseline), key=lambda pair: pair[0].ipc or 0)
    return MethodDifferences(
        data_title(records.rows), method, baseline, tuple(paired_difference(records, *pair) for pair in pairs)
    )


def differences_table(found: MethodDifferences) -> Table:
    """The differences of two methods, blocks by IPC."""
    title, other = METHODS[found.method].title, METHODS[found.baseline].title
    return Table.of_groups(
        f"{title} minus {other} on {found.dataset}, in points: mean [95 % interval]",
        (
            *("IPC", "Student", "Labels", Column("Difference", "+.1f"), f"{title} is"),
            *(Column("Found at 80 %", ".1f"), Column("Headroom", ".1f")),
        ),
        [
            (d.cell.ipc, d.cell.student, d.cell.labels, d.difference, d.verdict, d.difference.detectable, d.headroom)
            for d in found.rows
        ],
        (FOUND_NOTE if found.rows else "This run does not have both.",),
    )


@dataclass(frozen=True)
class VerdictCounts:
    """Counts of the verdicts on one method against another."""

    method: str
    baseline: str
    counts: Counter[str]

    def __format__(self, form: str) -> str:
        kinds = dict.fromkeys(("higher", "lower", *sorted(self.counts)))
        shown = ", ".join(f"{self.counts[kind]} {kind}" for kind in kinds)
        return f"of {self.counts.total()} comparisons: {shown}"


@dataclass(frozen=True)
class PaperStatements:
    """The paper's statements on its Table 1 in this run, with soft labels; None if a row was not run."""

    better: VerdictCounts | None  # DDOQ against D4M
    gains: tuple[PairedDifference, ...]  # gains of the first student, at the lowest and the highest IPC above 1
    square_root: VerdictCounts | None  # DDOQ against proportional weights
    against_real: tuple[VerdictCounts, ...]  # D4M and DDOQ, not in the paper


def paper_statements(records: Records) -> PaperStatements:
    """The result of this run on each of the paper's statements."""
    pairs = [(c, o) for c, o in _pairs(records, "ddoq", "d4m", "soft") if c.student == records.students[0]]
    pairs = [pair for pair in pairs if pair[0].ipc > 1]  # for K = 1 all weights are 1
    pairs.sort(key=lambda pair: pair[0].ipc)
    ends = (pairs[0], pairs[-1]) if len(pairs) > 1 else ()
    of_real = (_counts(records, method, "random_real") for method in ("d4m", "ddoq"))
    return PaperStatements(
        _counts(records, "ddoq", "d4m") if pairs else None,
        tuple(paired_difference(records, *pair) for pair in ends),
        _counts(records, "ddoq", "ddoq_proportional"),
        tuple(counts for counts in of_real if counts),
    )


def statements_table(found: PaperStatements) -> Table:
    """The paper's statements on its Table 1, and how often this run agrees."""
    rows = [
        ("DDOQ is uniformly better than D⁴M", found.better),
        ("The gain is largest at low IPC", As(found.gains, _gain_words) if found.gains else None),
        ("The square root of eq. 33 helps (its stated reason, not measured in the paper)", found.square_root),
    ]
    for counts in found.against_real:
        rows.append((f"Not in the paper: {METHODS[counts.method].title} against as many random real images", counts))
    return Table.of_groups(
        "The paper's statements and this run",
        ("Labels", "Statement", "This run"),
        [("soft", *row) for row in rows if row[1]],
    )


def _gain_words(gains: Sequence[PairedDifference]) -> str:
    ends = "; ".join(f"IPC {gain.cell.ipc}: {gain.difference:+.1f}" for gain in gains)
    return f"{gains[0].cell.student}, {ends}"


@dataclass(frozen=True)
class CentralClaim:
    """The accuracies of the largest IPC, first student, soft labels."""

    ipc: int | None  # None: the run has no soft labels
    student: str
    n_test: int
    accuracies: dict[str, Estimate | None]  # by method; None: not run

    @property
    def n_runs(self) -> int:
        """Least number of students behind a mean."""
        return min((found.n_runs for found in self.accuracies.values() if found), default=0)


def central_claim(records: Records) -> CentralClaim:
    """The rows on which the paper's claim rests, at the largest IPC."""
    student = records.students[0]
    ipc = max((c.ipc for c in records.cells if c.ipc is not None and c.labels == "soft"), default=None)
    cells = {method: Cell(method, ipc, student, "soft") for method in CLAIM}
    cells["full"] = Cell("full", None, student, "hard")
    accuracies = {method: _accuracy(records, cell) for method, cell in cells.items()}
    return CentralClaim(ipc, student, records.n_test, accuracies)


def claim_texts(found: CentralClaim) -> dict[str, str]:
    """Texts of the claim for the prose."""
    return {
        "claim_ipc": written(found.ipc),
        "claim_n_test": f"{found.n_test:,}",
        "claim_student": found.student,
        "claim_n_runs": f"{found.n_runs}",
    } | {f"claim_{method}": written(accuracy, ".1f") for method, accuracy in found.accuracies.items()}


def _accuracy(records: Records, cell: Cell) -> Estimate | None:
    return records.accuracy(cell) if cell in records.cells else None


def _pairs(records: Records, method: str, baseline: str, labels: str | None = None) -> list[tuple[Cell, Cell]]:
    found = [(c, Cell(baseline, c.ipc, c.student, c.labels)) for c in records.cells if c.method == method]
    return [(c, o) for c, o in found if o in records.cells and labels in (None, c.labels)]


def _counts(records: Records, method: str, baseline: str) -> VerdictCounts | None:
    pairs = [pair for pair in _pairs(records, method, baseline, "soft") if not is_copy(records, pair[0])]
    return (
        VerdictCounts(method, baseline, Counter(paired_difference(records, *pair).verdict for pair in pairs))
        if pairs
        else None
    )


def _methods(records: Records, ipc: int | None) -> Sequence[str]:
    return [m for m in METHODS if any(c.method == m and c.ipc == ipc for c in records.cells)]
