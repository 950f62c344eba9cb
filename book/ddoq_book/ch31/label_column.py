"""The column of Table 1 with the bytes of a set's soft labels on the disk."""

from collections.abc import Iterable

from ddoq_core.config.declared import data_sets
from ddoq_core.config.profile import Profile
from ddoq_core.cost.tables import bytes_form
from ddoq_core.runs.jobs import bytes_of_labels, task_of

ONLINE = "0 B: the teacher is asked while training"


def label_storage(rows: Iterable[dict]) -> int | None:
    """Bytes of the soft labels of one distilled set, from the first row with such labels; None if there is none.

    Rows of the first records do not have this number; it is computed from the profile in the row.
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
    """Bytes as text for a cell of a table."""
    return bytes_form(size) if size else ONLINE
