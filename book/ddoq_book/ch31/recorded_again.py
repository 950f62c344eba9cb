"""What the study `baselines` adds to the long run: more steps at one image per class, and all images of a cut data set.

In: rows of both studies. Out: texts for the prose.
"""

from ddoq_core.results.records import Cell, Records
from ddoq_core.results.table import NOTHING, written

from ..recorded import ALL_IMAGES, rows_of
from ..studies.baselines import FOLDER


def again_texts(rows: list[dict], dataset: str) -> dict[str, str]:
    """The epochs at one image per class, of one step each, and the row of all real images with and without the cut.

    Args:
        rows: of the long run, as `long_run_rows` gives them.
        dataset: one of which the long run has a part.
    """
    few = sorted({row["epochs"] for row in rows if row["ipc"] == 1 and row["labels"] != "own"})
    found = {
        "whole": rows_of(FOLDER, f"{dataset}-{ALL_IMAGES}.jsonl"),
        "cut": [row for row in rows if (row["dataset"], row["method"]) == (dataset, "full")],
    }
    texts = {"epochs_of_one": " or ".join(f"{n:,}" for n in few) or NOTHING}
    for name, of_full in found.items():
        cell = Cell("full", None, of_full[0]["student"], "hard") if of_full else None
        texts[name] = written(Records.of(of_full).accuracy(cell) if cell else None, ".1f")
    return texts
