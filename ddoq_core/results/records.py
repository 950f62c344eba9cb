"""From rows of `results.jsonl` to accuracies with intervals, paired differences, and what a test set can resolve.

A row holds one student and, as bits, which test images it got right. The interval is a bootstrap over everything
that was drawn: test images, distillation seeds and student seeds. All rows share the draws of the test images, and
rows of equal seeds share the draws of the seeds, so that the difference of two methods is paired.
"""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ..errors import InputError
from ..randomness import numpy_rng

N_DRAWS = 2000  # of the bootstrap
DRAWS_AT_ONCE = 50  # of the bootstrap: 50 x 50,000 test images of ImageNet are 10 MB
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean in percent (or points, for a difference), its interval, of 95 % as a rule, and the n behind it.

    It is written as `mean [low, high]` by any format of a number; a plus sign in the format goes to the mean alone.
    """

    mean: float
    low: float
    high: float
    n_runs: int
    n_test: int

    def __format__(self, form: str) -> str:
        digits = form.removeprefix("+")
        mean, low, high = (format(value, f"z{digits}") for value in (self.mean, self.low, self.high))
        return f"{'+' if form != digits and float(mean) > 0 else ''}{mean} [{low}, {high}]"


@dataclass(frozen=True)
class Cell:
    """One cell of Table 1: the students that are averaged. `ipc` is None for all real images."""

    method: str
    ipc: int | None
    student: str
    labels: str


@dataclass(frozen=True)
class Records:
    """The rows of a run, grouped by cell, with the bootstrap that they share.

    Raises:
        InputError: no rows, rows of different test sets, or a cell whose seeds are not a full grid.
    """

    rows: tuple[dict, ...]
    seed: int = 0
    masses: Float[np.ndarray, " n_test"] | None = None  # of the test images, where they are not all alike

    @classmethod
    def of(cls, rows: Iterable[dict], seed: int = 0, masses: Float[np.ndarray, " n_test"] | None = None) -> "Records":
        """Records of rows as `Run.results()` returns them."""
        return cls(tuple(rows), seed, masses)

    @cached_property
    def cells(self) -> dict[Cell, list[int]]:
        """Numbers of the rows of each cell, ordered by distillation seed, then student seed."""
        found: dict[Cell, list[int]] = {}
        for i, row in enumerate(self.rows):
            found.setdefault(Cell(row["method"], row["ipc"], row["student"], row["labels"]), []).append(i)
        for cell, members in found.items():
            members.sort(key=lambda i: (self.rows[i]["distill_seed"], self.rows[i]["seed"]))
            n_distill, n_student = (len(seeds) for seeds in self._seeds(members))
            if len(members) != n_distill * n_student:
                raise InputError(f"results of {cell} lack or repeat a seed; finish the run with `ddoq run`")
        return found

    @cached_property
    def n_test(self) -> int:
        """Number of test images, the same for every row."""
        sizes = {(row["dataset"], row["n_test"]) for row in self.rows}
        if len(sizes) != 1:
            raise InputError(f"results of {len(sizes)} test sets, but one table compares rows of one; give one run")
        return sizes.pop()[1]

    @cached_property
    def hits(self) -> Bool[np.ndarray, "rows n_test"]:
        """Which test images each row's student got right."""
        return np.stack([unpack_hits(row["hits"], self.n_test) for row in self.rows])

    @cached_property
    def _mass(self) -> Float[np.ndarray, " n_test"]:
        return np.ones(self.n_test) if self.masses is None else self.masses / self.masses.mean()

    @cached_property
    def _by_images(self) -> Float[np.ndarray, "rows draws"]:
        """Accuracy of each row on each resampled test set."""
        mass = self._mass.astype(np.float32)
        right = self.hits * mass
        rng = numpy_rng(self.seed, "bootstrap", "images", self.n_test)
        parts = []
        for _ in range(N_DRAWS // DRAWS_AT_ONCE):
            drawn = rng.integers(self.n_test, size=(DRAWS_AT_ONCE, self.n_test))
            counts = np.stack([np.bincount(d, minlength=self.n_test) for d in drawn]).astype(np.float32)
            parts.append(right @ counts.T / (counts @ mass))
        return np.concatenate(parts, axis=1).astype(np.float64)

    @cached_property
    def _accuracies(self) -> Float[np.ndarray, " rows"]:
        return (self.hits * self._mass).mean(1)

    def accuracy(self, cell: Cell) -> Estimate:
        """Mean top-1 accuracy of a cell in percent, with its interval."""
        found = self._estimate([(1, cell)])
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))

    def difference(self, cell: Cell, baseline: Cell, level: float = LEVEL) -> Estimate:
        """Accuracy of `cell` minus that of `baseline` in points, paired over test images and equal seeds."""
        return self._estimate([(1, cell), (-1, baseline)], level)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.rows[0]["dataset"]

    @property
    def students(self) -> list[str]:
        """The networks, in the order of the rows."""
        return list(dict.fromkeys(cell.student for cell in self.cells))

    def _estimate(self, terms: list[tuple[int, Cell]], level: float = LEVEL) -> Estimate:
        """Signed sum of accuracies: mean +- t se, se from the bootstrap, t with Satterthwaite's degrees of freedom.

        Few seeds say little about their own variance; Student's t pays for that where the seeds' part of se is large.
        """
        groups = [(sign, self.cells[cell]) for sign, cell in terms]
        mean = sum(sign * (self.hits[members] * self._mass).mean() for sign, members in groups)
        draws = sum(sign * self._draws(members, self._by_images[members]) for sign, members in groups)
        variance, uncertain = draws.var(), 0.0
        fixed = self._accuracies[:, None]
        for factor in (0, 1):
            part = sum(sign * self._draws(members, fixed[members], only=factor) for sign, members in groups)
            degrees = min(max(len(self._seeds(members)[factor]) - 1, 1) for _, members in groups)
            uncertain += part.var() ** 2 / degrees
        half = 0.0
        if variance > 0:
            degrees = variance**2 / uncertain if uncertain > 0 else math.inf
            half = math.sqrt(variance) * float(stats.t.ppf((1 + level) / 2, degrees))
        n_runs = min(len(members) for _, members in groups)
        return Estimate(100 * float(mean), 100 * float(mean - half), 100 * float(mean + half), n_runs, self.n_test)

    def _draws(
        self, members: list[int], accuracy: Float[np.ndarray, "runs draws"], only: int | None = None
    ) -> Float[np.ndarray, " draws"]:
        """Bootstrap draws of the mean over runs; of `accuracy` per run; `only` one factor of the seeds resampled."""
        seeds = self._seeds(members)
        grid = accuracy.reshape(len(seeds[0]), len(seeds[1]), -1)
        shares = []
        for factor, name in enumerate(("distill", "student")):
            n = len(seeds[factor])
            kept = only in (None, factor)
            rng = numpy_rng(self.seed, "bootstrap", name, *seeds[factor])
            shares.append(_seed_shares(n, rng) if kept else np.full((N_DRAWS, n), 1 / n))
        return np.einsum("isb,bi,bs->b", np.broadcast_to(grid, (*grid.shape[:2], N_DRAWS)), *shares)

    def _seeds(self, members: list[int]) -> tuple[list[int], list[int]]:
        """Seeds of the two factors; where each distillation has one student, the student's is part of the first."""
        rows = [self.rows[i] for i in members]
        distill = sorted({r["distill_seed"] for r in rows})
        return distill, [0] if len(distill) == len(rows) else sorted({r["seed"] for r in rows})


def unpack_hits(text: str, n_test: int) -> Bool[np.ndarray, " n_test"]:
    """The bitset of a row as one truth value per test image."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=n_test).astype(bool)


def _seed_shares(n: int, rng: np.random.Generator) -> Float[np.ndarray, "draws n"]:
    """Shares of each of n seeds in a resample of n - 1 of them.

    n - 1, not n: the variance of the resampled mean is then that of the mean, also for few seeds (Rao & Wu 1988).
    A single seed always stands for itself, and its variance is not in the interval.
    """
    size = max(n - 1, 1)
    return rng.multinomial(size, np.full(n, 1 / n), size=N_DRAWS) / size
