"""What was tried of each method's hyper-parameters, and how its students did on the validation images.

In: rows of `ddoq record tuning`. Out: a table of validation accuracies; test scores are in the rows, as in all, and not
looked at here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..methods import METHODS
from ..pipeline.run import Run
from ..profile import Profile
from .book_records import rows_of
from .intervals import interval
from .table import Table

UNRECORDED = "–: not recorded yet, by `ddoq record tuning`."
FEW = {"n_seeds": 1, "targets": ["soft", "hard"]}  # one distillation, the students of the long run


@dataclass(frozen=True)
class Search:
    """Values of one knob that were tried for one method, at one number of images per class."""

    method: str
    knob: str
    values: tuple[float, ...]
    ipc: int = 10


SEARCHES = (
    Search("random_real", "learning_rate", (1e-3, 2e-3, 3e-3, 5e-3)),
    Search("sre2l", "inversion_statistics", (0.01, 0.1, 1.0)),
    Search("cda", "inversion_statistics", (0.1, 1.0)),
    Search("rded", "rded_images", (100, 300)),
    Search("tesla", "tesla_rate", (3.0, 10.0, 30.0), ipc=1),
)


def runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every value."""
    for s in SEARCHES:
        for value in s.values:
            shared = {"methods": [s.method], "ipc": [s.ipc], "hard_ipc": [s.ipc], "students": profile.students[:1]}
            run = Run(profile.but(**FEW, **shared, tesla_ipc=[s.ipc], **{s.knob: value}))
            yield f"{profile.dataset}-{s.method}-{s.knob}-{value:g}.jsonl", run


def table(profile: Profile) -> Table:
    """Validation accuracy of every value that was tried; the one that the profile has is marked."""
    blocks, n, missing = [], set(), False
    for s in SEARCHES:
        lines = []
        for value in s.values:
            rows = rows_of("tuning", f"{profile.dataset}-{s.method}-{s.knob}-{value:g}.jsonl")
            scores = [_scores(rows, labels) for labels in FEW["targets"]]
            n |= {len(v) for v in scores if len(v)}
            missing |= not rows
            chosen = " (taken)" if value == getattr(profile, s.knob) else ""
            lines.append(
                (s.knob, f"{value:g}{chosen}", str(s.ipc), *(interval(v, 1) if len(v) else "–" for v in scores))
            )
        blocks.append((METHODS[s.method].title, tuple(lines)))
    counted = f"n = {'/'.join(map(str, sorted(n)))} students of one distilled set each."
    return Table(
        "Top-1 accuracy in percent on the validation images: mean ± half the 95 % interval over students",
        ("Method", "Knob", "Value", "IPC", "Soft labels", "Hard labels"),
        tuple(blocks),
        tuple(note for note, holds in ((counted, n), (UNRECORDED, missing)) if holds),
    )


def _scores(rows: list[dict], labels: str) -> np.ndarray:
    return np.array([row["validation_top1"] for row in rows if row["labels"] == labels])
