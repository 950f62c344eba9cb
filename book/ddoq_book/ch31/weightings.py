"""The effect of weights with the paper's codebook and optimiser: the comparisons that the protocol declares.

In: rows of `ddoq record weights`. Out: the primary and the secondary comparisons, as numbers and as tables.
"""

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.results.ledger import read
from ddoq_core.results.records import LEVEL, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..codebooks import DATASETS, FOLDER
from ..paired import NO_EFFECT, verdict
from ..recorded import RESULTS
from ..studies.weightings import BLOCKS, Block

MARGINS = {  # points: differences within the margin are called no effect; by data set and images per class
    "mnist5k": {5: 0.3, 10: 0.3, 50: 0.2},
    "fashion_mnist": {5: 0.9, 10: 0.9, 50: 0.2},
    "photographs": {10: 1.0, 50: 0.5},
}
ROWS = {"d4m": "1", "ddoq": "eq. 33", "ddoq_proportional": "proportional", "ddoq_permuted": "eq. 33 permuted"}
ROWS |= {"ddoq_companion": "eq. 33 of its own counts", "d4m_medoid": "1", "ddoq_medoid": "eq. 33"}
ROWS |= {"ddoq_medoid_permuted": "eq. 33 permuted"}


@runtime_checkable
class Compared(Protocol):
    """Students of one block and row of a study; the unit is the distillation."""

    dataset: str  # key of the margins
    block: Any  # with `ipc` and `students`
    method: str
    images: str
    grid: Float[ndarray, "D 1 n_test"] | None


@dataclass(frozen=True)
class Arm:
    """Students of one data set, block and row."""

    dataset: str
    block: Block
    method: str

    @property
    def images(self) -> str:
        """Codebook, pictures and optimiser, as in tables."""
        return f"{self.block.codebook}, {'medoids' if 'medoid' in self.method else 'decoded'}, {self.block.optimiser}"

    @property
    def grid(self) -> Float[ndarray, "D 1 n_test"] | None:
        """Hits of its students by distillation and image; None if they are not recorded."""
        return _grids(self.dataset, self.block).get(self.method)


@functools.cache
def _grids(dataset: str, block: Block) -> dict[str, Float[ndarray, "D 1 n_test"]]:
    rows = read(RESULTS / FOLDER / f"{dataset}-{block.name}.jsonl")
    if not rows:
        return {}
    records = Records.of(rows)
    return {cell.method: records.grid(cell) for cell in records.cells}


@dataclass(frozen=True)
class WeightComparison:
    """One arm minus another, in points; the estimate is None if one of them is not recorded."""

    arm: Compared
    baseline: Compared
    estimate: Estimate | None
    of_each: Float[ndarray, " distillations"]  # the same, of every distillation

    @property
    def title(self) -> str:
        """Its name in tables."""
        rows = ROWS[self.arm.method], ROWS[self.baseline.method]
        if self.arm.block == self.baseline.block:
            return f"{self.arm.images}: {rows[0]} − {rows[1]}"
        return f"weights {rows[0]}: ({self.arm.images}) − ({self.baseline.images})"

    @property
    def margin(self) -> float:
        """Points: a difference within this margin is called no effect."""
        return MARGINS[self.arm.dataset][self.arm.block.ipc]

    @property
    def n_positive(self) -> int:
        """Number of distillations in which it is above 0."""
        return int((self.of_each > 0).sum())

    @property
    def verdict(self) -> str | None:
        """Higher, lower, not told apart, or no effect (within the margin by two one-sided tests)."""
        if self.estimate is None:
            return None
        return verdict(self.estimate, self.margin)


def compared(arm: Compared, baseline: Compared, level: float = LEVEL) -> WeightComparison:
    """The difference of two arms with the same seeds of students, paired by distillation and image."""
    grids = arm.grid, baseline.grid
    if any(grid is None for grid in grids):
        return WeightComparison(arm, baseline, None, np.empty(0))
    y = grids[0] - grids[1]
    estimate = Estimate.of(y, len(y) * arm.block.students, level)
    return WeightComparison(arm, baseline, estimate, 100 * y.mean((1, 2)))


def _block(codebook: str, optimiser: str, ipc: int, method: str = "d4m") -> Block:
    (found,) = (
        b for b in BLOCKS if (b.codebook, b.optimiser, b.ipc) == (codebook, optimiser, ipc) and method in b.methods
    )
    return found


def primary_weights() -> list[WeightComparison]:
    """The six declared comparisons; their intervals hold together at 95 %."""
    found = []
    for dataset in DATASETS:
        arms = {o: functools.partial(Arm, dataset, _block("one pass", o, 10)) for o in ("A", "B")}
        fifty = functools.partial(Arm, dataset, _block("one pass", "B", 50))
        found += [
            (arms["B"]("ddoq"), arms["B"]("d4m")),
            (fifty("ddoq"), fifty("d4m")),
            (arms["B"]("d4m"), arms["A"]("d4m")),
        ]
    return [compared(*pair, level=1 - (1 - LEVEL) / len(found)) for pair in found]


def secondary_weights() -> list[WeightComparison]:
    """Every row against weights 1 of its block, DDOQ against its control, and at weights 1 codebooks, images and
    optimisers against each other; 95 % each."""
    found = []
    for dataset in DATASETS:
        for block in BLOCKS:
            first, *others = block.methods
            found += [(Arm(dataset, block, m), Arm(dataset, block, first)) for m in others]
            if "ddoq_permuted" in others:
                found.append((Arm(dataset, block, "ddoq"), Arm(dataset, block, "ddoq_permuted")))
        for ipc in (5, 10):
            one_pass = Arm(dataset, _block("one pass", "B", ipc), "d4m")
            found.append((Arm(dataset, _block("Lloyd", "B", ipc), "d4m"), one_pass))
            found.append((Arm(dataset, _block("one pass", "B", ipc, "d4m_medoid"), "d4m_medoid"), one_pass))
            found.append((one_pass, Arm(dataset, _block("one pass", "A", ipc), "d4m")))
    return [one for one in (compared(*pair) for pair in found) if one.estimate]


def weights_table(found: list[WeightComparison], caption: str, names: Iterable[str] = ()) -> Table:
    """Comparisons, with a block for each data set; the first ones may have names."""
    rows = [
        (
            c.arm.dataset,
            c.arm.block.ipc,
            f"{name}: {c.title}" if name else c.title,
            c.estimate,
            c.n_positive if c.estimate else None,
            c.verdict,
            c.estimate and c.estimate.detectable,
            c.margin,
        )
        for c, name in itertools.zip_longest(found, names)
    ]
    columns = ("Data", "K", "Comparison", Column("Points", "+.2f"), "Distillations above 0", "It is")
    columns += (Column("Found at 80 %", ".2f"), Column("Margin", ".1f"))
    levels = {100 * c.estimate.level for c in found if c.estimate}
    notes = [f"Intervals of level {level:.4g} %; B is Table 3's optimiser, A is D⁴M's." for level in levels]
    if any(c.verdict == NO_EFFECT for c in found):
        notes.append("No effect: two one-sided tests at 5 % place the difference within ± the margin.")
    if any(c.estimate is None for c in found):
        notes.append("–: not recorded yet.")
    return Table.of_groups(caption, columns, rows, notes)


def control_texts(ipc: int = 10) -> dict[str, str]:
    """Texts: the effect of permuted weights, and the further effect of their order, by data set; 95 % each."""
    texts = {}
    for dataset in DATASETS:
        arm = functools.partial(Arm, dataset, _block("one pass", "B", ipc))
        spread = compared(arm("ddoq_permuted"), arm("d4m"))
        law = compared(arm("ddoq"), arm("ddoq_permuted"))
        texts |= {
            f"{dataset}_spread": written(spread.estimate, "+.2f"),
            f"{dataset}_law": written(law.estimate, "+.2f"),
        }
    return texts
