"""Objects that pass for a kind and have only what a test needs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.store.artifacts import Artifact


class _StandIn(SimpleNamespace):
    __class__ = property(lambda self: self.kind)  # what isinstance asks for


def stand_in(kind: type, **has: Any) -> Any:
    """An object with these attributes, which isinstance takes for a `kind`: tests check types and shapes."""
    return _StandIn(kind=kind, **has)


def set_of_size(ipc: int, n_classes: int) -> DistilledDataset:
    """A distilled set of which nothing but the size is known."""
    known = {"ipc": ipc, "classes": [{}] * n_classes, "__len__": lambda self: ipc * n_classes}
    return type("OfSize", (DistilledDataset,), known)(Artifact(Path(), "", "", ""))
