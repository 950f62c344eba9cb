"""The effect of weights on photographs: the comparisons that the protocol declares.

In: rows of `ddoq record photographs`. Out: the primary and the secondary comparisons, and accuracies, as tables.
"""

import functools
import json
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.methods import METHODS
from ddoq_core.results.ledger import read
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..ch31.weightings import WeightComparison, compared, weights_table
from ..recorded import RESULTS
from ..studies.photographs import CLEAN_FILE, FURTHER, NAME, PHOTOGRAPH_BLOCKS, PhotographBlock

LOCAL, OTHER_OPTIMISER, FIFTY, LLOYD = (
    next(b for b in PHOTOGRAPH_BLOCKS if (b.pictures, b.codebook, b.optimiser, b.ipc) == ("local", *which))
    for which in (("one pass", "B", 10), ("one pass", "A", 10), ("one pass", "B", 50), ("Lloyd", "B", 50))
)
PRIMARIES, CONTROL = ("P1", "P2", "P3", "P4"), "ddoq_permuted"  # names in the protocol, and the row of the control


@dataclass(frozen=True)
class PhotographArm:
    """Students of one block and row."""

    block: PhotographBlock
    method: str
    dataset: str = NAME

    @property
    def images(self) -> str:
        """Codebook, pictures, optimiser and labels, as in tables."""
        b = self.block
        student = "" if b.student == LOCAL.student else f", {b.student}"
        return f"{b.codebook}, {b.pictures}, {b.optimiser}, {b.lessons}{student}"

    @property
    def grid(self) -> Float[ndarray, "D 1 n_test"] | None:
        """Hits of its students by distillation and image; None if they are not recorded."""
        records = photograph_records(self.block)
        cells = {cell.method: cell for cell in records.cells} if records else {}
        return records.grid(cells[self.method]) if self.method in cells else None


@functools.cache
def photograph_records(block: PhotographBlock) -> Records | None:
    """The records of a block; None if there are none."""
    rows = read(RESULTS / NAME / f"{NAME}-{block.name}.jsonl")
    return Records.of(rows) if rows else None


def primary_photographs() -> list[WeightComparison]:
    """P1 to P4; their intervals hold together at 95 %."""
    pairs = [
        (PhotographArm(LOCAL, "ddoq"), PhotographArm(LOCAL, "d4m")),
        (PhotographArm(FIFTY, "ddoq"), PhotographArm(FIFTY, "d4m")),
        (PhotographArm(LOCAL, "d4m"), PhotographArm(OTHER_OPTIMISER, "d4m")),
        (PhotographArm(LLOYD, "ddoq"), PhotographArm(LLOYD, "d4m")),
    ]
    return [compared(*pair, level=1 - (1 - LEVEL) / len(pairs)) for pair in pairs]


def secondary_photographs() -> list[WeightComparison]:
    """The recorded comparisons, 95 % each: every row against weights 1 of its block, eq. 33 against its permutation,
    and at weights 1 other pictures and codebooks against those of the local score."""
    found = []
    for block in PHOTOGRAPH_BLOCKS:
        if block.methods == FURTHER:
            continue
        first, *others = block.methods
        found += [(PhotographArm(block, m), PhotographArm(block, first)) for m in others]
        found += [
            (PhotographArm(block, "ddoq" + kind), PhotographArm(block, "ddoq" + kind + "_permuted"))
            for kind in ("", "_medoid")
            if "ddoq" + kind + "_permuted" in others
        ]
        of_local = {name: getattr(LOCAL, name) for name in ("codebook", "pictures", "methods", "students")}
        if block is not LOCAL and replace(block, **of_local) == LOCAL:
            found.append((PhotographArm(block, first), PhotographArm(LOCAL, "d4m")))
    return [one for one in (compared(*pair) for pair in found) if one.estimate]


def accuracies_table() -> Table:
    """Top-1 accuracy of every row of every block, on all test images and on those outside ImageNet's training part."""
    rows, file = [], RESULTS / NAME / CLEAN_FILE
    clean = np.array(json.loads(file.read_text())) if file.exists() else np.empty(0, int)
    for block in PHOTOGRAPH_BLOCKS:
        records = photograph_records(block)
        for cell in records.cells if records else ():
            images = PhotographArm(block, cell.method).images if block.methods != FURTHER else f"none, {block.labels}"
            rows.append((images, block.ipc, *_accuracies(records, cell, clean)))
    whole = read(RESULTS / NAME / f"{NAME}-all.jsonl")
    for cell in (records := Records.of(whole)).cells if whole else ():
        rows.append(("all real images", None, *_accuracies(records, cell, clean)))
    columns = ("Codebook, pictures, optimiser, labels", "K", "Row", Column("Top-1, %", ".1f"))
    columns += (Column(f"On {len(clean)} clean images", ".1f"), "n students")
    notes = ("Intervals of 95 %. Clean: of ImageNet's own validation part, which the teacher has not seen.",)
    return Table.of_groups("Accuracy on ImageNette's test photographs", columns, rows, notes)


def _accuracies(records: Records, cell: Cell, clean: ndarray) -> tuple[str, Estimate, Estimate | None, int]:
    """Name of the row, accuracy, accuracy on the clean images, number of students."""
    grid, n = records.grid(cell), len(records.cells[cell])
    on_clean = Estimate.of_accuracy(grid[..., clean], n) if len(clean) else None
    return METHODS[cell.method].title, records.accuracy(cell), on_clean, n


def main_tables() -> list[Table]:
    """The primary comparisons and the accuracies; none if no student is recorded."""
    if not (accuracies := accuracies_table()).rows:
        return []
    return [weights_table(primary_photographs(), "Declared comparisons on photographs", PRIMARIES), accuracies]


def secondary_tables() -> list[Table]:
    """The secondary comparisons; none if none is recorded."""
    found = secondary_photographs()
    return [weights_table(found, "Secondary comparisons on photographs")] if found else []


def photographs_text() -> str:
    """The recorded comparisons in sentences: the primary ones, the paper's own contrast, and what is due to the spread
    of the weights and what to their law."""
    parts = [
        f"{name} is {written(c.estimate, '+.2f')} points ({c.verdict}), above 0 in {c.n_positive} of {len(c.of_each)} "
        "distillations."
        for name, c in zip(PRIMARIES, primary_photographs(), strict=True)
        if c.estimate
    ]
    both = compared(PhotographArm(LOCAL, "ddoq"), PhotographArm(OTHER_OPTIMISER, "d4m"))
    if both.estimate:
        parts.append(f"Both changes together, the paper's own contrast, are {written(both.estimate, '+.2f')} (95 %).")
    if law := _by_codebook("ddoq", CONTROL):
        parts.append(
            "The same weights in random order against equal ones, the price of uneven weights: "
            f"{_by_codebook(CONTROL, 'd4m')}. Eq. 33 against random order, the worth of its law: {law}, all at 95 %."
        )
    return " ".join(parts) or (
        "No student of this study is recorded yet; `ddoq record photographs --profile imagenette_cpu` does it."
    )


def primary_texts() -> dict[str, str]:
    """P1 to P4 as numbers with their intervals."""
    found = zip(PRIMARIES, primary_photographs(), strict=True)
    return {name: written(c.estimate, "+.2f") if c.estimate else "(not recorded yet)" for name, c in found}


def _by_codebook(method: str, other: str) -> str:
    """One row minus another, for each codebook with a permuted row that is recorded."""
    blocks = {"one pass, K = 10": LOCAL, "one pass, K = 50": FIFTY, "Lloyd, K = 50": LLOYD}
    found = {title: compared(PhotographArm(b, method), PhotographArm(b, other)) for title, b in blocks.items()}
    return ", ".join(f"{written(c.estimate, '+.2f')} ({title})" for title, c in found.items() if c.estimate)
