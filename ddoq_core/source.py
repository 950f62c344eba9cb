"""The source that makes an artifact: part of its key, so that a change of code is never served an old result."""

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

# they carry results from step to step and shape none
PLUMBING = {f"ddoq_core.{name}" for name in ("store", "locks", "processes", "source", "errors", "profile")}


@functools.cache
def source_key(modules: tuple[str, ...]) -> str:
    """SHA-256 of the code, without comments and docstrings, of modules and all they import from this package."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name in PLUMBING:
            continue
        seen.add(name)
        waiting += _imports(name)
    text = "\n".join(f"{name}\n{_code(name)}" for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _tree(module: str) -> tuple[ast.Module, bool]:
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin)
    return ast.parse(path.read_text()), path.name == "__init__.py"


def _code(module: str) -> str:
    tree = ast.parse(ast.unparse(_tree(module)[0]))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _imports(module: str) -> list[str]:
    """Modules of this package that `module` imports anywhere in its text."""
    package = __package__
    tree, is_package = _tree(module)
    here = module.split(".") if is_package else module.split(".")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] == package]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            name = ".".join(base + ([node.module] if node.module else []))
            if name.split(".")[0] != package:
                continue
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                found.append(inner if _is_module(inner) else name)
    return [f for f in found if f != package]


@functools.cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
