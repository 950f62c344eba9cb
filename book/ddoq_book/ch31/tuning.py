"""The hyper-parameters tried for each method, and the accuracy of its students on the validation images.

In: rows of `ddoq record tuning`. Out: validation accuracies, and a table of them. The rows also contain test scores,
like all rows, but this module does not read them.
"""

from dataclasses import dataclass

import numpy as np

from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import NOTHING, As, Column, Table, written

from ..recorded import rows_of
from ..studies.searches import SEARCHES, TUNED_WITH, Search

UNRECORDED = "–: not recorded yet, by ddoq record tuning."


@dataclass(frozen=True)
class TriedValue:
    """A value of one knob, and the validation accuracy of its students."""

    search: Search
    value: float | str
    taken: bool  # whether the profile or the study `baselines` uses it
    accuracies: dict[str, Mean | None]  # percent by labels, with the interval over students; None: not recorded


def tried_values(profile: Profile) -> list[TriedValue]:
    """Every value that was tried, with its recorded accuracies."""
    found = []
    for search in SEARCHES:
        for value in search.values:
            rows = rows_of("tuning", search.file(profile.dataset, value))
            accuracies = {labels: _accuracy(rows, labels) for labels in TUNED_WITH["targets"]}
            found.append(TriedValue(search, value, value == search.taken(profile), accuracies))
    return found


def _marked(value: float | str) -> As | str:
    return f"{value} (taken)" if isinstance(value, str) else As(value, "{:g} (taken)".format)


def _listed(beside: dict) -> str:
    return ", ".join(f"{knob} = {value}" for knob, value in beside.items())


def _accuracy(rows: list[dict], labels: str) -> Mean | None:
    scores = np.array([row["validation_top1"] for row in rows if row["labels"] == labels])
    return Mean.of(scores) if len(scores) else None


def spread_texts(found: list[TriedValue], rows: list[dict], labels: str = "soft") -> dict[str, str]:
    """Texts: TESLA's chosen value, by its one distillation in the search and by those of the long run.

    Args:
        found: the values tried.
        rows: rows of the long run on the same data.
    """
    tried = next(one for one in found if one.taken and one.search.method == "tesla")
    place = {"method": "tesla", "ipc": tried.search.ipc, "labels": labels}
    scores: dict[int, list[float]] = {}
    for row in rows:
        if all(row[name] == value for name, value in place.items()) and row["validation_top1"] is not None:
            scores.setdefault(row["distill_seed"], []).append(row["validation_top1"])
    means = sorted(float(np.mean(of_one)) for of_one in scores.values())
    return {
        "tuned_ipc": f"{tried.search.ipc}",
        "tuned": written(tried.accuracies[labels], ".1f"),
        "tuned_n": f"{len(means)}",
        "tuned_others": ", ".join(f"{mean:.1f}" for mean in means) or NOTHING,
    }


def tuning_table(found: list[TriedValue]) -> Table:
    """Validation accuracy of every value that was tried; the chosen value is marked."""
    n = sorted({mean.n for tried in found for mean in tried.accuracies.values() if mean})
    counted = (
        f"n = {'/'.join(map(str, n))} students of one distilled set each: the interval holds their variance. That "
        "between distillations is missing, and may be larger."
    )
    missing = any(not any(tried.accuracies.values()) for tried in found)
    return Table.of_groups(
        "Top-1 accuracy in percent on the validation images: mean ± half the 95 % interval over students",
        (
            "Method",
            "Knob",
            Column("Value", "g"),
            "IPC",
            Column("Beside", _listed),
            Column("Soft labels", ".1f"),
            Column("Hard labels", ".1f"),
        ),
        [
            (
                METHODS[tried.search.method].title,
                tried.search.knob,
                _marked(tried.value) if tried.taken else tried.value,
                tried.search.ipc,
                tried.search.beside,
                *(tried.accuracies[labels] for labels in ("soft", "hard")),
            )
            for tried in found
        ],
        [note for note, holds in ((counted, n), (UNRECORDED, missing)) if holds],
    )
