"""What was tried of each method's hyper-parameters, and how its students did on the validation images.

In: rows of `ddoq record tuning`. Out: a table of validation accuracies; test scores are in the rows, as in all, and not
looked at here.
"""

import numpy as np

from ddoq_core.methods import METHODS
from ddoq_core.profile import Profile
from ddoq_core.results.intervals import interval
from ddoq_core.results.studies import SEARCHES, TUNED_WITH
from ddoq_core.results.table import Table

from ..recorded import rows_of

UNRECORDED = "–: not recorded yet, by `ddoq record tuning`."


def table(profile: Profile) -> Table:
    """Validation accuracy of every value that was tried; the one that the profile has is marked."""
    blocks, n, missing = [], set(), False
    for s in SEARCHES:
        lines = []
        for value in s.values:
            rows = rows_of("tuning", f"{profile.dataset}-{s.method}-{s.knob}-{value:g}.jsonl")
            scores = [_scores(rows, labels) for labels in TUNED_WITH["targets"]]
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
