"""Records of long runs as the book keeps them: JSON Lines under book/results, written by `ddoq record`."""

from pathlib import Path

from ddoq_core.results.ledger import read

RESULTS = Path(__file__).parents[1] / "results"


def rows_of(folder: str, pattern: str = "*.jsonl") -> list[dict]:
    """All rows in the files of a folder of book/results whose names match.

    Raises:
        InputError: a line that is no record.
    """
    return [row for file in sorted((RESULTS / folder).glob(pattern)) for row in read(file)]
