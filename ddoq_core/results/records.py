"""Accuracies with intervals, and paired differences, from rows of `results.jsonl`.

A row holds one student and, as bits, which test images it got right. Test images, distillation seeds and student seeds
are all random, and an interval is for the mean of their crossed design. A difference is taken for each image and seed
first, so it is paired.
"""

import base64
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import stats

from ..errors import InputError
from .crossed import grand_mean

LEVEL = 0.95
DECIMALS = re.compile(r"\.(\d+)f")
POWER = 0.8  # of the test that defines the smallest detectable effect


@dataclass(frozen=True)
class Estimate:
    """A mean in percent (or a difference in points), its interval (usually 95 %), and the n behind it.

    Number formats write it as `mean [low, high]`; a plus sign in the format applies only to the mean. If the ends of
    the interval would look equal, it gets more digits.
    """

    mean: float
    low: float
    high: float
    n_runs: int
    n_test: int
    error: float = math.nan  # standard error
    degrees: float = math.inf  # of Student's t
    level: float = LEVEL  # of the interval

    @classmethod
    def of(cls, y: Float[ndarray, "D S n_test"], n_runs: int, level: float = LEVEL) -> "Estimate":
        """The mean of shares, or of differences of shares, over distillations, student seeds and test images."""
        found = grand_mean(y)
        mean, half, error = 100 * found.value, 100 * found.half(level), 100 * found.error
        return cls(mean, mean - half, mean + half, n_runs, y.shape[2], error, found.degrees, level)

    @classmethod
    def of_accuracy(cls, y: Float[ndarray, "D S n_test"], n_runs: int) -> "Estimate":
        """The mean of shares of right answers; its interval is computed for the logit, so it is between 0 and 100.

        If no image or every image is right, it is the exact interval (Clopper and Pearson) for this number of images.
        """
        found = cls.of(y, n_runs)
        p, far = found.mean / 100, 100 * ((1 - LEVEL) / 2) ** (1 / found.n_test)
        if not 0 < p < 1:
            return replace(found, low=far if p else 0.0, high=100.0 if p else 100 - far)
        logit, half = math.log(p / (1 - p)), (found.high - found.mean) / 100 / (p * (1 - p))
        low, high = (50 * (1 + math.tanh((logit + sign * half) / 2)) for sign in (-1, 1))
        return replace(found, low=low, high=high)

    @property
    def detectable(self) -> float:
        """The smallest true difference that this design detects with a power of 80 %, given its standard error."""
        return self._times_error((1 + self.level) / 2) + self._times_error(POWER)

    def within(self, margin: float) -> bool:
        """Whether two one-sided tests at 5 % place the true difference between -margin and +margin."""
        return abs(self.mean) + self._times_error(LEVEL) < margin

    def _times_error(self, probability: float) -> float:
        return self.error * float(stats.t.ppf(probability, self.degrees)) if self.error else 0.0

    def __format__(self, form: str) -> str:
        digits = form.removeprefix("+")
        mean, low, high = (format(value, f"z{digits}") for value in (self.mean, self.low, self.high))
        if low == high and self.low < self.high and (places := DECIMALS.fullmatch(digits)):
            return format(self, form.replace(places[0], f".{int(places[1]) + 1}f"))
        return f"{'+' if form != digits and float(mean) > 0 else ''}{mean} [{low}, {high}]"


@dataclass(frozen=True)
class Cell:
    """One cell of Table 1: the students to average. `ipc` is None for all real images."""

    method: str
    ipc: int | None
    student: str
    labels: str


@dataclass(frozen=True)
class Records:
    """The rows of a run, grouped by cell.

    Raises:
        InputError: no rows, rows with different test sets, or a cell whose seeds are not a full grid.
    """

    rows: tuple[dict, ...]
    masses: Float[ndarray, " n_test"] | None = None  # of the test images, if they differ

    @classmethod
    def of(cls, rows: Iterable[dict], masses: Float[ndarray, " n_test"] | None = None) -> "Records":
        """Records from the rows that `Run.results()` returns."""
        return cls(tuple(rows), masses)

    @cached_property
    def cells(self) -> dict[Cell, list[int]]:
        """Row numbers of each cell, ordered by distillation seed, then student seed."""
        found: dict[Cell, list[int]] = {}
        for i, row in enumerate(self.rows):
            found.setdefault(Cell(row["method"], row["ipc"], row["student"], row["labels"]), []).append(i)
        for cell, members in found.items():
            members.sort(key=self._seeds)
            seeds = [self._seeds(i) for i in members]
            of_each = {i: [s for d, s in seeds if d == i] for i, _ in seeds}
            if len({*seeds}) != len(seeds) or len({len(s) for s in of_each.values()}) != 1:
                raise InputError(f"results of {cell} lack or repeat a seed; finish the run with `ddoq run`")
        return found

    @cached_property
    def n_test(self) -> int:
        """Number of test images, the same for every row."""
        sizes = {(row["dataset"], row["n_test"]) for row in self.rows}
        if len(sizes) != 1:
            raise InputError(f"the rows are of {len(sizes)} test sets, but a table compares rows of one; give one run")
        return sizes.pop()[1]

    @cached_property
    def hits(self) -> Bool[ndarray, "rows n_test"]:
        """Which test images each row's student got right."""
        return np.stack([unpack_hits(row["hits"], self.n_test) for row in self.rows])

    def grid(self, cell: Cell) -> Float[ndarray, "D S n_test"]:
        """Hits by distillation, student seed and image; their mean is the accuracy.

        If no two distillations share a student seed, students are averaged within their distillation, S = 1. With
        masses of the images, an entry is what the image adds to the weighted mean, to first order.

        Raises:
            InputError: some distillations share student seeds, and others do not.
        """
        members = self.cells[cell]
        distill, students = zip(*map(self._seeds, members), strict=True)
        hits = self.hits[members].reshape(len({*distill}), -1, self.n_test).astype(float)
        if len({*students}) == len(members):  # no two distillations share a student seed
            hits = hits.mean(1, keepdims=True) if len({*distill}) > 1 else hits
        elif len({*students}) != hits.shape[1]:
            raise InputError(f"results of {cell} lack or repeat a seed; finish the run with `ddoq run`")
        if self.masses is None:
            return hits
        mass = self.masses / self.masses.mean()
        mean = (mass * hits).mean()
        return mean + mass * (hits - mean)

    def accuracy(self, cell: Cell) -> Estimate:
        """Mean top-1 accuracy of a cell in percent."""
        return Estimate.of_accuracy(self.grid(cell), len(self.cells[cell]))

    def difference(self, cell: Cell, baseline: Cell, level: float = LEVEL) -> Estimate:
        """Accuracy of `cell` minus that of `baseline` in points, paired over test images and equal seeds.

        Raises:
            InputError: the two cells have different seeds.
        """
        seeds, others = ([self._seeds(i) for i in self.cells[c]] for c in (cell, baseline))
        if seeds != others:
            raise InputError(f"{cell} and {baseline} have different seeds; record the missing ones")
        return Estimate.of(self.grid(cell) - self.grid(baseline), len(seeds), level)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.rows[0]["dataset"]

    @property
    def students(self) -> list[str]:
        """The networks, in the order of the rows."""
        return list(dict.fromkeys(cell.student for cell in self.cells))

    def _seeds(self, number: int) -> tuple[int, int]:
        row = self.rows[number]
        return row["distill_seed"], row["seed"]


def unpack_hits(text: str, n_test: int) -> Bool[ndarray, " n_test"]:
    """The bit set of a row as one truth value per test image."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=n_test).astype(bool)
