"""Objects that pass for a kind and have only what a test needs."""

from types import SimpleNamespace
from typing import Any


class _StandIn(SimpleNamespace):
    __class__ = property(lambda self: self.kind)  # what isinstance asks for


def stand_in(kind: type, **has: Any) -> Any:
    """An object with these attributes, which isinstance takes for a `kind`: tests check types and shapes."""
    return _StandIn(kind=kind, **has)
