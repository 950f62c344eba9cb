"""Sphinx extension: a line under every figure of a chapter with the function that drew it, and its parameters.

In: an executed notebook as Sphinx reads it. Out: the same, with a line below each caption. The line is computed: the
function is the last call of the figure's cell. The parameters are those in the page's first cell on which the call's
arguments depend, found by following assignments back through the cells.
"""

import ast
import dataclasses
import json
from collections.abc import Iterator

from sphinx.application import Sphinx

from ddoq_book.provenance import PATHS
from ddoq_core.config.profile import Profile

EVERY_KNOB = "globals"  # profile_of(globals()) depends on the whole profile
Assignment = tuple[set[str], set[str], bool]  # names that a statement sets, names that it reads, whether it replaces


def add_lines(app: Sphinx, docname: str, source: list[str]) -> None:
    """Called by Sphinx with the source of a page; changes it in place."""
    if str(app.env.doc2path(docname)).endswith(".ipynb"):
        source[0] = json.dumps(with_lines(json.loads(source[0])))


def with_lines(notebook: dict) -> dict:
    """The notebook with a line for each cell that has a figure.

    Raises:
        ValueError: the cell of a figure does not end with the call of an imported function.
    """
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    values, before, imported = _values(codes), [], {}
    for cell in codes:
        tree = ast.parse("".join(cell["source"]))
        imported |= dict(_imports(tree))
        before += [_reads_and_sets(statement) for statement in tree.body]
        figure = cell["metadata"].get("mystnb", {}).get("figure")
        if figure:
            call = getattr(tree.body[-1], "value", None)
            if not isinstance(call, ast.Call) or ast.unparse(call.func).split(".")[0] not in imported:
                raise ValueError(f"{figure['name']}: its cell does not end with the call of an imported function")
            figure["caption"] += "\n\n{.made-by}\n" + line(call, imported, parameters(before, values))
    return notebook


def line(call: ast.Call, imported: dict[str, str], used: dict[str, object]) -> str:
    """The line as MyST: the function, linked to the API reference, its arguments, and their parameters."""
    first, *rest = ast.unparse(call.func).split(".")
    function = ".".join([imported[first], *rest])
    arguments = ast.unparse(call).removeprefix(ast.unparse(call.func))
    told = ", ".join(f"`{name} = {json.dumps(value, ensure_ascii=False)}`" for name, value in used.items())
    link = f"{{py:func}}`{function.removeprefix('ddoq_core.').removeprefix('ddoq_book.')} <{function}>`"
    return f"Made by {link} `{arguments}`" + (f" from {told}." if told else ".")


def parameters(before: list[Assignment], values: dict[str, object]) -> dict[str, object]:
    """The page's parameters on which the last statement depends, with their values.

    If it depends on the whole profile, these are the profile and the knobs that differ from the defaults.
    """
    wanted, used = set(before[-1][1]), set()
    for sets, reads, anew in reversed(before[:-1]):
        if sets & wanted:
            used |= sets & set(values)
            wanted = (wanted - sets if anew else wanted) | reads
    if EVERY_KNOB in wanted:
        defaults = dataclasses.asdict(Profile())
        used |= {name for name in defaults if values.get(name, defaults[name]) != defaults[name]} | {"profile"}
    return {name: value for name, value in values.items() if name in used - PATHS}


def _values(codes: list[dict]) -> dict[str, object]:
    """Parameters of the page: those that its first cell declares, with the values given to the run."""
    values = {}
    for tag in ("parameters", "injected-parameters"):
        for cell in codes:
            if tag in cell["metadata"].get("tags", []):
                for statement in ast.parse("".join(cell["source"])).body:
                    target = getattr(statement, "target", None) or statement.targets[0]
                    values[target.id] = ast.literal_eval(statement.value)
    return values


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that a cell imports, and their full names."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            yield from ((a.asname or a.name, f"{statement.module}.{a.name}") for a in statement.names)


def _reads_and_sets(statement: ast.stmt) -> Assignment:
    """Names that a statement sets and reads, without the variables of comprehensions."""
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    own = {
        name.id
        for node in ast.walk(statement)
        if isinstance(node, ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
    sets, reads = ({n.id for n in names if isinstance(n.ctx, kind)} - own for kind in (ast.Store, ast.Load))
    return sets, reads, isinstance(statement, ast.Assign | ast.AnnAssign)


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("source-read", add_lines)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
