"""A notebook must run again when something that its page depends on has changed. This module computes the key for it.

In: a notebook and the values it gets. Out: a key, which is stored in the metadata of the executed copy.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from ddoq_core.config.profile import Profile
from ddoq_core.store.source import PACKAGES, file_of, imported, source_key

ROOT = Path(__file__).resolve().parents[2]
DRIVER = (Path(__file__), Path(__file__).with_name("execute.py"))
# packages that load their modules by name: one module stands for all; packages that import others come first
BY_NAME = ("ddoq_core.methods", "ddoq_core.priors", "ddoq_core.data")
READS_RECORDS = ("rows_of(", "book/results")
SHOWN = "ddoq_core.quantization.reference"  # a page that imports it shows its text, with comments and docstrings


def freshness_key(source: Path, parameters: dict) -> str:
    """SHA-256 of all that an executed notebook depends on: its text, its values, the code that it imports, the lock,
    the driver, and the records of long runs if it reads any.

    Comments and docstrings do not count, unless the page shows them. The folder of the artifacts does not count either.
    A run has all knobs, also those that its profile does not set.
    """
    files = [source, ROOT / "constraints.txt", *DRIVER]
    if any(words in source.read_text() for words in READS_RECORDS):
        files += sorted((ROOT / "book" / "results").rglob("*.jsonl"))
    modules = modules_of(jupytext.read(source))
    files += [file_of(SHOWN)] if SHOWN in modules else []
    knobs = {name: value for name, value in parameters.items() if name in Profile.knobs()}
    shaping = parameters | (asdict(Profile.of(knobs)) if "profile" in parameters else {})
    shaping.pop("artifacts", None)
    code = source_key(tuple(sorted(modules)))
    digest = hashlib.sha256(json.dumps([shaping, code], sort_keys=True).encode())
    for file in files:
        digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def modules_of(notebook: NotebookNode) -> set[str]:
    """Modules of this repository that a notebook imports, directly or not."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    found = imported(name for cell in cells for name in _asked_for(ast.parse(cell)))
    for package in BY_NAME:
        if any(f"{name}.".startswith(f"{package}.") for name in found):
            found |= imported(_members(package))
    return found


def _asked_for(tree: ast.Module) -> Iterable[str]:
    """Modules of this repository that a cell names; a name from a package's `__init__` means the whole package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            ours = f"{node.module}".partition(".")[0] in PACKAGES
            names = [name if ours and file_of(name) else node.module for name in inner]
        else:
            continue
        for name in names:
            if name.partition(".")[0] in PACKAGES:
                yield from _members(name) if name in PACKAGES else [name]


def _members(package: str) -> set[str]:
    """Names of all modules of a package."""
    folder = file_of(package).parent
    names = (".".join([package, *path.relative_to(folder).with_suffix("").parts]) for path in folder.rglob("*.py"))
    return {name.removesuffix(".__init__") for name in names}


def stored_key(executed: Path) -> str | None:
    """Key in an executed notebook, or None if it has no key that can be read."""
    try:
        return json.loads(executed.read_text())["metadata"]["ddoq"]["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
