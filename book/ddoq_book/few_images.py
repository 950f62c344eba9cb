"""How many images a prior needs if it is fitted during the run, from the record of the study `few_images`."""

import json
from dataclasses import dataclass

from scipy.stats import binomtest

from ddoq_core.results.table import Column, Table

from .recorded import RESULTS
from .studies.few_images import FILE, FOLDER, TIMES

ROWS = (  # prior, epochs over the usual number, method, and the name of the row
    ("pretrain", 1, "random_generated", "`prior=pretrain`, from pure noise"),
    ("pretrain", 1, "d4m", "`prior=pretrain`, from centroids"),
    ("pretrain", TIMES, "d4m", f"the same, fitted for {TIMES} times as many epochs"),
    ("exact", 1, "d4m", "`prior=exact`, from centroids, with a good autoencoder"),
    ("pretrain", 1, "d4m_medoid", "medoids: the real image nearest to each centroid"),
    ("pretrain", 1, "rded", "RDED: crops of real images"),
)


@dataclass(frozen=True)
class RecognisedShare:
    """Recognised pictures among n. Formats write `percent [low, high]`, the exact 95 % interval."""

    recognised: int
    n: int

    @property
    def percent(self) -> float:
        return 100 * self.recognised / self.n

    def __format__(self, form: str) -> str:
        ends = binomtest(self.recognised, self.n).proportion_ci()
        return f"{self.percent:{form}} [{100 * ends.low:{form}}, {100 * ends.high:{form}}]"


def recognised_share(prior: str, times: int, method: str, training: int) -> RecognisedShare | None:
    """Pictures that the judging teacher recognises; None if there is no record."""
    rows = [row for row in _rows() if row["training"] == training]
    kept = [row for row in rows if (row["prior"], row["times"], row["method"]) == (prior, times, method)]
    return RecognisedShare(sum(r["recognised"] for r in kept), sum(r["n"] for r in kept)) if kept else None


def training_sizes() -> list[int]:
    """Numbers of training images in the record, in increasing order."""
    return sorted({row["training"] for row in _rows()})


def few_images_table() -> Table:
    """A row for each way of making pictures, a column for each number of training images."""
    sizes = training_sizes()
    rows = [(words, *(recognised_share(*key, size) for size in sizes)) for *key, words in ROWS]
    return Table.of_rows(
        "Pictures that a teacher of all images recognises, in percent with 95 % intervals, by the number of training "
        "images (digits, ten classes; 200 pictures each, of two distillations)",
        ("Pictures", *(Column(f"{size:,}", ".0f") for size in sizes)),
        rows,
    )


def _rows() -> list[dict]:
    file = RESULTS / FOLDER / FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
