"""The comparisons that the protocol declares, with the intervals that it asks for (book/protocol.md).

In: the records of each data set. Out: a table of the primary comparisons, with Bonferroni's intervals, one of the
secondary ones, with intervals of 95 % each, and what the latter say of each method against random real images.
"""

from collections.abc import Iterator

from ddoq_core.methods import METHODS
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records, resolution, verdict
from ddoq_core.results.table import NOTHING, Table

from .table1 import signed

PRIMARY = ("ddoq", "d4m", "soft")
PRIMARY_LEVELS = (10, 50)
REAL = "random_real"
SECONDARY = [("ddoq_proportional", "d4m"), ("d4m", REAL), ("d4m", "random_generated")]
SECONDARY += [(m, REAL) for m in METHODS if METHODS[m].distill and m not in (REAL, "d4m")]


def primary(records: list[Records]) -> Table:
    """DDOQ minus D4M, soft labels, first student: simultaneous intervals over all data sets and levels."""
    student, family = _first_student(records), len(records) * len(PRIMARY_LEVELS)
    level = 1 - (1 - LEVEL) / family
    method, baseline, labels = PRIMARY
    blocks = []
    for one in records:
        rows = []
        for ipc in PRIMARY_LEVELS:
            cell, other = (Cell(m, ipc, student, labels) for m in (method, baseline))
            if {cell, other} <= one.cells.keys():
                gap = one.difference(cell, other, level)
                rows.append((str(ipc), *_described(gap, one, other), f"{gap.n_runs}", f"{gap.n_test:,}"))
            else:
                rows.append((str(ipc), *[NOTHING] * 3, "0", NOTHING))
        blocks.append((one.rows[0]["dataset"], tuple(rows)))
    return Table(
        f"Primary comparisons: DDOQ minus D⁴M, {student}, soft labels, in points",
        ("Data", "IPC", "Difference", "Test set resolves", "DDOQ is", "n students", "n test"),
        tuple(blocks),
        (f"Intervals of level {100 * level:.2f} % each: {100 * LEVEL:.0f} % that all {family} are right.",),
    )


def secondary(records: Records) -> Table:
    """The declared further comparisons of one data set, first student, soft and hard labels; 95 % each."""
    student, blocks, words = _first_student([records]), [], []
    for method, baseline in SECONDARY:
        rows = []
        for cell, other in _pairs(records, method, baseline, student):
            gap = records.difference(cell, other)
            rows.append((str(cell.ipc), cell.labels, *_described(gap, records, other)))
            words.append(rows[-1][-1])
        if rows:
            blocks.append((f"{METHODS[method].title} minus {METHODS[baseline].title}", tuple(rows)))
    told = sum(word in ("higher", "lower", "below the resolution") for word in words)
    return Table(
        f"Secondary comparisons on {records.rows[0]['dataset']}, {student}, in points: mean [95 % interval]",
        ("Comparison", "IPC", "Labels", "Difference", "Test set resolves", "The first is"),
        tuple(blocks),
        (
            f"{len(words)} comparisons, none corrected: {told} exclude 0, and {(1 - LEVEL) * len(words):.1f} would by "
            "chance if no two methods differed.",
        ),
    )


def against_real(records: list[Records]) -> Table:
    """In one word each: which methods the declared comparisons tell from as many random real images."""
    blocks = []
    for one in records:
        found: dict[tuple[str, str], dict[str, list[str]]] = {}
        for cell, word in sorted(_against_real(one, _first_student(records)), key=_row_of_table1):
            words = found.setdefault((cell.labels, str(cell.ipc)), {})
            words.setdefault(word if word in ("higher", "lower") else "", []).append(METHODS[cell.method].title)
        rows = [
            (*cell, *("; ".join(words.get(kind, ())) or NOTHING for kind in ("higher", "lower", "")))
            for cell, words in sorted(found.items(), key=lambda item: (item[0][0] != "soft", int(item[0][1])))
        ]
        blocks.append((one.rows[0]["dataset"], tuple(rows)))
    return Table(
        f"Against as many random real images, {_first_student(records)}",
        ("Data", "Labels", "IPC", "Higher", "Lower", "Not told apart, or below the resolution"),
        tuple(blocks),
    )


def claims(records: list[Records]) -> dict[str, str]:
    """Counts of the primary verdicts, and of those against random real images at more than one image, as glue texts."""
    of_weights = [line[4] for line in primary(records).rows]
    texts = {"primary_n": str(len(of_weights)), "primary_told": str(sum(w in ("higher", "lower") for w in of_weights))}
    for labels in ("soft", "hard"):
        found = [_against_real(one, _first_student(records)) for one in records]
        words = [word for one in found for cell, word in one if cell.labels == labels and cell.ipc > 1]
        counts = {"n": len(words)} | {kind: words.count(kind) for kind in ("higher", "lower")}
        texts |= {f"{labels}_{kind}": str(count) for kind, count in counts.items()}
    return texts


def _against_real(records: Records, student: str) -> Iterator[tuple[Cell, str]]:
    """Cells of the methods that are declared to be compared with random real images, each with the verdict."""
    for method, baseline in SECONDARY:
        for cell, other in _pairs(records, method, baseline, student) if baseline == REAL else ():
            yield cell, _described(records.difference(cell, other), records, other)[-1]


def _row_of_table1(found: tuple[Cell, str]) -> int:
    return list(METHODS).index(found[0].method)


def _described(gap: Estimate, records: Records, other: Cell) -> tuple[str, str, str]:
    level = records.accuracy(other).mean
    return signed(gap), f"{resolution(level, records.n_test):.2f}", verdict(gap, level)


def _pairs(records: Records, method: str, baseline: str, student: str) -> Iterator[tuple[Cell, Cell]]:
    """Cells of both methods at equal levels and labels, levels rising; at K = 1 two weightings are no comparison."""
    mine = sorted((c for c in records.cells if c.method == method), key=lambda c: (c.labels != "soft", c.ipc or 0))
    for cell in mine:
        other = Cell(baseline, cell.ipc, student, cell.labels)
        same_images = METHODS[method].distill is METHODS[baseline].distill
        if cell.student == student and other in records.cells and not (same_images and cell.ipc == 1):
            yield cell, other


def _first_student(records: list[Records]) -> str:
    return next(iter(records[0].cells)).student
