"""The column of Table 1 that says what the soft labels of a set take on the disk."""

from collections.abc import Iterable

from ddoq_core.config.declared import data_sets
from ddoq_core.config.profile import Profile
from ddoq_core.cost.tables import bytes_form
from ddoq_core.runs.jobs import bytes_of_labels, task_of

ONLINE = "0 B: the teacher is asked while training"


def label_storage(rows: Iterable[dict]) -> int | None:
    """Bytes of the soft labels of one distilled set, by the first row with such labels; None without one.

    Rows of the first records have no such number: it follows from what they say of their profile.
    """
    for row in rows:
        if row["labels"] == "soft":
            return row["label_bytes"] if "label_bytes" in row else _of_record(row)
    return None


def _of_record(row: dict) -> int | None:
    sizes = data_sets().get(row["dataset"])
    if sizes is None:
        return None
    profile = Profile.of({"epochs": row["epochs"]} | row.get("parameters", {}))
    return bytes_of_labels(profile, task_of(row), sizes[1])


def storage_form(size: int) -> str:
    """Bytes as a cell of a table says them."""
    return bytes_form(size) if size else ONLINE
