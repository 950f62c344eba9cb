"""Two cells of a table compared: their paired difference, the power of the design, and the headroom."""

from dataclasses import dataclass, replace

from ddoq_core.methods import METHODS
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records

TOLD, NO_EFFECT = ("higher", "lower"), "no effect"  # verdicts of a difference from zero
FOUND_NOTE = (
    "Found at 80 %: the smallest true difference that this design would find with a power of 80 %, in points. "
    "Headroom: points from the second method to all real images."
)


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy of a cell minus that of a baseline, paired over test images and seeds."""

    cell: Cell
    baseline: Cell
    difference: Estimate
    accuracy: float  # of the baseline, percent
    headroom: float | None  # points from the baseline to all real images; None: all real images were not run

    @property
    def verdict(self) -> str:
        """The difference in words."""
        return verdict(self.difference)


def paired_difference(records: Records, cell: Cell, baseline: Cell, level: float = LEVEL) -> PairedDifference:
    """The difference of two cells, and the headroom above the baseline."""
    full = Cell("full", None, baseline.student, "hard")
    accuracy = records.accuracy(baseline).mean
    headroom = records.accuracy(full).mean - accuracy if full in records.cells else None
    return PairedDifference(cell, baseline, records.difference(cell, baseline, level), accuracy, headroom)


def verdict(difference: Estimate, margin: float = 0.0) -> str:
    """A difference in words: equal (the same hits), higher, lower, no effect or not told apart from zero.

    Args:
        margin: in points; there is no effect if two one-sided tests at 5 % place the difference within the margin.
    """
    if difference.low <= 0 <= difference.high and difference.within(margin):
        return NO_EFFECT
    if difference.low == difference.high == 0:
        return "equal"
    if difference.low <= 0 <= difference.high:
        return "not told apart"
    return "higher" if difference.mean > 0 else "lower"


def is_copy(records: Records, cell: Cell) -> bool:
    """Whether an earlier row has the same students: at one image per class all weightings are the same."""
    if cell.ipc != 1:
        return False
    of_images = [m for m in METHODS if METHODS[m].images == METHODS[cell.method].images]
    earlier = of_images[: of_images.index(cell.method)]
    return any(replace(cell, method=method) in records.cells for method in earlier)
