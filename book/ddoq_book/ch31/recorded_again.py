"""Additions of the study `baselines` to the long run: rows recorded again, and all images of a reduced data set.

In: rows of both studies. Out: texts for the prose.
"""

from ddoq_core.results.records import Cell, Records
from ddoq_core.results.table import NOTHING, written

from ..recorded import ALL_IMAGES, rows_of
from ..studies.baselines import FOLDER

PARTS = {  # parts of the study, by the ends of their names
    "all-ipc001": "all rows at one image per class, with 1,000 steps instead of 100",
    "rded-own": "RDED's own protocol, with its 300 epochs",
    "sre2l-ipc010": "SRe²L at ten",
    "tesla-ipc010": "TESLA at ten",
    "small-stem-ipc010": "D⁴M and DDOQ at ten with a ResNet-18 whose stem is for small images",
}


def again_texts(rows: list[dict], dataset: str) -> dict[str, str]:
    """Texts: what was recorded again, by data set, and the row of all real images for the part and for the whole.

    Args:
        rows: rows of the long run from `long_run_rows`.
        dataset: a data set of which the long run uses a part.
    """
    again = []
    for name in dict.fromkeys(row["dataset"] for row in rows):
        there = [text for part, text in PARTS.items() if rows_of(FOLDER, f"{name}-{part}.jsonl")]
        again.append(f"{name}: {', '.join(there) or 'nothing yet'}")
    found = {
        "whole": rows_of(FOLDER, f"{dataset}-{ALL_IMAGES}.jsonl"),
        "cut": [row for row in rows if (row["dataset"], row["method"]) == (dataset, "full")],
    }
    texts = {"again": "; ".join(again) or NOTHING}
    for name, of_full in found.items():
        cell = Cell("full", None, of_full[0]["student"], "hard") if of_full else None
        texts[name] = written(Records.of(of_full).accuracy(cell) if cell else None, ".1f")
    return texts
