"""Declarations in the files of this package, read without running them: methods, data sets, priors and their knobs.

A file that defines METHOD is a row of Table 1, one with SIZES is a data set, and one with PIPELINE is a prior. So a
profile knows their names without importing torch, which takes seconds. A new file needs no registration.
"""

import ast
import dataclasses
import functools
from pathlib import Path
from types import GenericAlias, UnionType

from .knobs import NETWORK, knob

PACKAGE = Path(__file__).parents[1]
METHODS, DATA_SETS, PRIORS = PACKAGE / "methods", PACKAGE / "data" / "sets", PACKAGE / "priors"


@functools.cache
def declared(folder: Path, name: str) -> dict[str, ast.expr]:
    """Files of a folder that define `name`, sorted, each with its definition."""
    found = {path.stem: _assigned(_body(path)).get(name) for path in sorted(folder.glob("[a-z]*.py"))}
    return {stem: value for stem, value in found.items() if value is not None}


def method_names() -> tuple[str, ...]:
    """Rows of Table 1 in its order: those listed in `methods/__init__.py`, then any other file with a METHOD."""
    listed = ast.literal_eval(_assigned(_body(METHODS / "__init__.py"))["ORDER"])
    return (*listed, *(name for name in declared(METHODS, "METHOD") if name not in listed))


def data_sets() -> dict[str, tuple[int, int, int, int] | None]:
    """Data sets by name: training images, classes, channels and bytes of an image; None if the folder decides."""
    return {name: ast.literal_eval(value) for name, value in declared(DATA_SETS, "SIZES").items()}


def priors() -> dict[str, str]:
    """Priors that are read from a folder, by their names in profiles: the class of the pipeline in the folder."""
    return {stem.replace("_", "-"): ast.literal_eval(value) for stem, value in declared(PRIORS, "PIPELINE").items()}


def method_knobs() -> type:
    """A dataclass of the knobs in the `Knobs` classes of methods; ValueError if two of them declare the same name."""
    fields: dict[str, tuple[str, type | GenericAlias | UnionType, dataclasses.Field]] = {}
    for name in method_names():
        for field in _knobs_of(name):
            if field[0] in fields:
                raise ValueError(f"methods/{name}.py declares the knob {field[0]}, which another method already has")
            fields[field[0]] = field
    return dataclasses.make_dataclass("MethodKnobs", fields.values(), frozen=True)


def _knobs_of(method: str) -> list[tuple]:
    """Name, type and field of the knobs of a method; without `methods`, a knob shapes only this row."""
    body = _body(METHODS / f"{method}.py")
    found: list[ast.stmt] = [node for node in body if isinstance(node, ast.ClassDef) and node.name == "Knobs"]
    if not found:
        return []
    scope = {name: ast.literal_eval(value) for name, value in _assigned(body).items() if _is_literal(value)}
    scope |= {"knob": functools.partial(knob, methods=(method,)), "NETWORK": NETWORK, "__name__": __name__}
    exec(compile(ast.Module(found, []), f"{method}.py", "exec"), scope)
    kinds = scope["Knobs"].__annotations__
    return [(name, kind, getattr(scope["Knobs"], name)) for name, kind in kinds.items()]


@functools.cache
def _body(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text()).body


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names of a file with their definitions."""
    assignments = ((node.targets[0], node.value) for node in body if isinstance(node, ast.Assign))
    return {target.id: value for target, value in assignments if isinstance(target, ast.Name)}


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True
