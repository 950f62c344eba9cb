"""The source that makes an artifact: part of its key, so that changed code never gets an old result.

Words for people do not shape an artifact and are left out: comments, docstrings, type annotations, and the texts of
errors, reports and progress bars, even if a function assembles them first.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

PACKAGE = __package__.partition(".")[0]
PACKAGES = (PACKAGE, "ddoq_book", "ddoq_benchmarks")  # a chapter may depend on the last two, a step never
# modules that carry results from step to step and shape none
PLUMBING = {
    f"{PACKAGE}.{name}" for name in ("processes", "errors", "config.profile", "config.knobs", "config.declared")
}
PLUMBING |= {f"{PACKAGE}.methods.{name}" for name in ("method", "account")}
PLUMBING |= {f"{PACKAGE}.store.{name}" for name in ("artifacts", "locks", "manifest", "source")}
# functions whose arguments are words for people
SAYING = {"InputError", "OwnError", "report_line", "bar", "opened", "data_root", "finite"}
DECLARED = {"METHOD", "Knobs", "protocol", "SIZES"}  # declarations of a method or a data set


@functools.cache
def source_key(modules: tuple[str, ...]) -> str:
    """SHA-256 of the code, without words for people, of modules and of all that they import from this package."""
    text = "\n".join(f"{name}\n{_code(name)}" for name in sorted(imported(modules)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def imported(modules: Iterable[str]) -> set[str]:
    """Modules and everything that they import, directly or not, except the plumbing."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name in PLUMBING:
            continue
        seen.add(name)
        waiting += _imports(name)
    return seen


@functools.cache
def _tree(module: str) -> tuple[ast.Module, bool]:
    path = file_of(module)
    return ast.parse(path.read_text()), path.name == "__init__.py"


@functools.cache
def _code(module: str) -> str:
    """Its source without words for people."""
    tree = ast.parse(ast.unparse(_tree(module)[0]))
    if module.rpartition(".")[0].endswith((".methods", ".data.sets")):
        tree.body = [node for node in tree.body if not _declares(node)]
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(_Wordless().visit(tree))


def _declares(node: ast.stmt) -> bool:
    """Whether a statement of such a file describes a row, its knobs, its protocol or its cost."""
    if isinstance(node, ast.FunctionDef) and [arg.arg for arg in node.args.args[:1]] == ["account"]:
        return True
    targets = node.targets if isinstance(node, ast.Assign) else [node]
    return bool({getattr(target, "id", getattr(target, "name", "")) for target in targets} & DECLARED)


class _Wordless(ast.NodeTransformer):
    """Removes annotations, and the words in errors, reports and progress bars."""

    def __init__(self) -> None:
        self.said = False  # whether the visited node is part of such words
        self.only_said: set[str] = set()  # variables of the function that are read only in such words

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        outer, self.only_said = self.only_said, _only_said(node)
        node = self.generic_visit(node)
        self.only_said, node.returns = outer, None
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node = self.generic_visit(node)
        node.annotation = ast.Constant(None)  # a field of a dataclass stays one
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return self._without_words(node) if names and names <= self.only_said else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        return self._without_words(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        return self._without_words(node) if _is_saying(node) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if self.said and isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("") if self.said else self.generic_visit(node)

    def _without_words(self, node: ast.AST) -> ast.AST:
        before, self.said = self.said, True
        node = self.generic_visit(node)
        self.said = before
        return node


def _is_saying(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Raise) or (isinstance(called, ast.Name) and called.id in SAYING)


def _only_said(function: ast.FunctionDef) -> set[str]:
    """Names that a function reads only in errors, reports and progress bars."""
    sayings = {id(part) for node in ast.walk(function) if _is_saying(node) for part in ast.walk(node)}
    read = [n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return {n.id for n in read if id(n) in sayings} - {n.id for n in read if id(n) not in sayings}


def _imports(module: str) -> list[str]:
    """Modules of these packages that `module` imports anywhere in its text."""
    tree, is_package = _tree(module)
    here = module.split(".") if is_package else module.split(".")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in PACKAGES]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            name = ".".join(base + ([node.module] if node.module else []))
            if name.split(".")[0] not in PACKAGES:
                continue
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                found.append(inner if file_of(inner) else name)
    return [f for f in found if f not in PACKAGES]


@functools.cache
def file_of(module: str) -> Path | None:
    """File of a module, or None if there is no such module; nothing is imported."""
    root, *parts = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None:
        return None
    place = Path(spec.origin).parent.joinpath(*parts)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)
