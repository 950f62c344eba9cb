"""How unequal the counts of each codebook are, from the files next to the records of `ddoq record weights`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ddoq_core.results.table import NOTHING, Column, Table

from .notebook import ROOT

FOLDER = "weights"  # of book/results
DATASETS = ("mnist5k", "fashion_mnist")
LEVELS = [5, 10, 50]  # images per class
NEARLY_EQUAL = 0.85  # effective share of K; above it the weights are too equal to be tested


def spreads_file(dataset: str) -> str:
    """Name of the file, next to the records, with the spread of the counts of every codebook."""
    return f"{dataset}-codebooks.json"


def kept_spreads(dataset: str, folder: str = FOLDER) -> list[dict]:
    """The rows of that file; empty if the file does not exist."""
    path = ROOT / "book" / "results" / folder / spreads_file(dataset)
    return json.loads(path.read_text()) if path.exists() else []


def spread_of(spreads: list[dict], codebook: str, ipc: int, counts: str = "cells") -> float:
    """Effective share of K of the counts of a codebook, mean over classes and distillations."""
    which = (codebook, ipc, counts)
    return float(
        np.mean([row["effective"] for row in spreads if (row["codebook"], row["ipc"], row["counts"]) == which])
    )


@dataclass(frozen=True)
class CodebookSpread:
    """How equal the counts of a codebook are."""

    dataset: str
    ipc: int
    codebook: str
    counts: str  # cells, or the quantizer's own
    effective: float  # effective number of equal counts, as a share of K
    ratio: float  # largest count over the smallest, median over distillations of the median over classes

    @property
    def can_test(self) -> bool:
        """Whether the weights differ enough for a test."""
        return self.effective <= NEARLY_EQUAL


def codebook_spreads(datasets: Iterable[str] = DATASETS, folder: str = FOLDER) -> list[CodebookSpread]:
    """The spread of every codebook that is recorded in a folder of book/results."""
    found = []
    for dataset in datasets:
        rows = kept_spreads(dataset, folder)
        kinds = dict.fromkeys((row["codebook"], row["counts"]) for row in rows)
        for ipc in sorted({row["ipc"] for row in rows}):
            for codebook, counts in kinds:
                which = (codebook, ipc, counts)
                ratios = [r["ratio"] for r in rows if (r["codebook"], r["ipc"], r["counts"]) == which]
                share = spread_of(rows, codebook, ipc, counts)
                found.append(CodebookSpread(dataset, ipc, codebook, counts, share, float(np.median(ratios))))
    return found


def codebooks_table(found: list[CodebookSpread]) -> Table:
    """How equal the counts are, with a block for each data set."""
    rows = [
        (
            c.dataset,
            c.ipc,
            c.codebook,
            "exact cells" if c.counts == "cells" else "its own",
            c.effective,
            c.ratio,
            "" if c.counts == "own" else "yes" if c.can_test else "no",
        )
        for c in found
    ]
    columns = ("Data", "K", "Codebook", "Counts", Column("K effective / K", ".2f"), Column("Largest / smallest", ".0f"))
    notes = (
        "Means over 12 distillations and the classes; the ratio is a median. The weights of a codebook are tested "
        f"if its effective number of counts is at most {NEARLY_EQUAL:g} K.",
    )
    return Table.of_groups("How unequal the counts of each codebook are", (*columns, "Tests the weights"), rows, notes)


def worth_text(found: list[CodebookSpread], ipc: int) -> str:
    """Effective number of cells at this many images per class, from the least to the most over all codebooks."""
    worth = [ipc * spread.effective for spread in found if spread.ipc == ipc and spread.counts == "cells"]
    return f"{min(worth):.1f} to {max(worth):.1f}" if worth else NOTHING
