"""A knob: a parameter with its type, its meaning and its allowed values, and the errors for other values."""

import dataclasses
import difflib
import os
import re
import sys
import types
import typing
from collections.abc import Iterable
from dataclasses import field
from typing import Any

import yaml

from ..errors import InputError

NETWORK = r"convnet-\d+(-bn)?|[a-z]+\w*(-small)?"  # names of classifiers


def knob(
    default: Any, meaning: str, *, of: tuple = (), like: str = "", low: float | None = None, high: float | None = None,
    methods: tuple[str, ...] = (), since: str = "", path: bool = False,
) -> Any:  # fmt: skip
    """A field with its meaning and its allowed values.

    A value is one `of` a few names, or a text `like` a pattern, or a number from `low` to `high`, or a `path`, in which
    `~` is the home folder.

    Args:
        methods: rows of Table 1 that it shapes, if not all of them.
        since: version that introduced it, if later than the first records (0.1). Its default must keep the behaviour of
            earlier versions, since keys leave it out at its default (`Profile.keyed`).
    """
    allowed = {"of": of, "like": like, "low": low, "high": high, "path": path}
    metadata = {"meaning": meaning, **allowed, "methods": methods, "since": since}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def unknown_name(name: str, known: Iterable[str], where: str) -> InputError:
    """The error for an undeclared name, with the most similar declared name."""
    return InputError(f"unknown parameter '{name}' in {where}{suggestion(str(name), known)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """A suggestion, if a known name is similar."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def checked_value(knob: dataclasses.Field, value: Any) -> Any:
    """The value in the knob's type, checked; InputError if its type or range is wrong.

    Text is read according to the knob's type ("1e-3", "[10, 50]"), and a single value becomes a list of one.
    """
    value = _typed(knob.name, knob.type, value)
    m = knob.metadata
    if m["path"]:
        return os.path.expanduser(value)
    items = value if isinstance(value, list) else [value]
    for item in items:
        if items.count(item) > 1:
            raise InputError(f"{knob.name} = {value}, but it has {item} twice; give it once")
        if m["of"] and item not in m["of"]:
            raise InputError(
                f"{knob.name} = {item!r}, but it must be one of {', '.join(m['of'])}{suggestion(str(item), m['of'])}"
            )
        if m["like"] and isinstance(item, str) and not re.fullmatch(m["like"], item):
            raise InputError(f"{knob.name} = {item!r} is not valid; meaning: {knob.metadata['meaning']}")
        is_number = not isinstance(item, str)
        if is_number and m["low"] is not None and not item >= m["low"]:
            raise InputError(f"{knob.name} = {item}, but it must be at least {m['low']}")
        if is_number and m["high"] is not None and not item <= m["high"]:
            raise InputError(f"{knob.name} = {item}, but it must be at most {m['high']}")
    return value


def _typed(name: str, kind: Any, value: Any) -> Any:
    wrong = InputError(f"{name} = {value!r:.80}, but it must be {_type_name(kind)}")
    if isinstance(value, str) and kind is not str:
        value = _read(value)
    if isinstance(kind, types.GenericAlias):
        items = value if isinstance(value, list) else [value]
        if not items:
            raise wrong
        return [_typed(name, typing.get_args(kind)[0], v) for v in items]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and not abs(value) <= sys.float_info.max:  # a whole number may be too large for a float
        shown = value if isinstance(value, float) else "a number of more than 308 digits"
        raise InputError(f"{name} = {shown}, but it must be a finite number")
    if isinstance(kind, types.UnionType):
        return _typed(name, float if is_number else str, value)
    if kind is float and is_number:
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise wrong


def _read(text: str) -> Any:
    """The text as YAML; as a number if YAML reads a number as text, such as 1e-3."""
    try:
        value = yaml.safe_load(text)
        return float(value) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return text


def _type_name(kind: Any) -> str:
    if isinstance(kind, types.GenericAlias):
        return f"a list of {typing.get_args(kind)[0].__name__}, not empty"
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(kind, str(kind))
