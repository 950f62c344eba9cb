"""Two cells of a table side by side: their paired difference, and whether the test set can resolve it."""

import math
from dataclasses import dataclass

from ddoq_core.results.records import LEVEL, Cell, Estimate, Records


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy of a cell minus that of a baseline, paired over test images and seeds."""

    cell: Cell
    baseline: Cell
    difference: Estimate
    accuracy: float  # of the baseline, percent

    @property
    def resolved(self) -> float:
        """What the test set resolves at the baseline's accuracy, in points."""
        return resolution(self.accuracy, self.difference.n_test)

    @property
    def verdict(self) -> str:
        """The difference in words."""
        return verdict(self.difference, self.accuracy)


def paired_difference(records: Records, cell: Cell, baseline: Cell, level: float = LEVEL) -> PairedDifference:
    """The difference of two cells, with the accuracy at which it is judged."""
    return PairedDifference(cell, baseline, records.difference(cell, baseline, level), records.accuracy(baseline).mean)


def resolution(accuracy: float, n_test: int) -> float:
    """What n test images can resolve, in points: the standard error sqrt(p (1 - p) / n) of one accuracy p.

    At 97 % and 1,000 images it is half a point: a smaller difference is called so, whatever its interval.

    Args:
        accuracy: p in percent.
    """
    p = accuracy / 100
    return 100 * math.sqrt(p * (1 - p) / n_test)


def verdict(difference: Estimate, accuracy: float) -> str:
    """A difference in words: equal, not told apart from zero, below what the test set resolves, higher or lower."""
    if difference.low == difference.high == 0:
        return "equal"
    if difference.low <= 0 <= difference.high:
        return "not told apart"
    if abs(difference.mean) < resolution(accuracy, difference.n_test):
        return "below the resolution"
    return "higher" if difference.mean > 0 else "lower"
