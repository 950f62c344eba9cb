"""The book's records of long runs: JSON Lines under book/results, written by `ddoq record`."""

from operator import itemgetter
from pathlib import Path

from ddoq_core.results.ledger import read

RESULTS = Path(__file__).parents[1] / "results"
ALL_IMAGES = "all-images"  # part of the study `baselines` that uses the whole data set


def rows_of(folder: str, pattern: str = "*.jsonl") -> list[dict]:
    """All rows of the matching files in a folder of book/results.

    Raises:
        InputError: a line is not a record.
    """
    return [row for file in sorted((RESULTS / folder).glob(pattern)) for row in read(file)]


def long_run_rows(dataset: str) -> list[dict]:
    """Rows of the long run; rows of the study `baselines` replace the cells of Table 1 that it recorded again."""
    cell = itemgetter("method", "ipc", "student", "labels")
    again = [row for row in rows_of("baselines", f"{dataset}-*.jsonl") if row["ipc"] is not None]
    replaced = set(map(cell, again))
    return [row for row in rows_of("table", f"{dataset}-*.jsonl") if cell(row) not in replaced] + again
