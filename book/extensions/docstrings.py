"""Sphinx extension: shows the docstrings of our packages on the API pages as they are written, as plain text.

They are written for the reader of the code: mathematics as |X - x_i|^2, code between single backticks. Sphinx reads
reStructuredText, where |, * and a trailing _ are marks. This extension escapes them before Napoleon reads the sections.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGES = ("ddoq_core", "ddoq_book", "ddoq_benchmarks")
TYPE_VARIABLE = re.compile(r"\.[A-Z]$")
MARKS = re.compile(r"([\\*|]|_(?!\w))")


def escape_marks(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape the marks of a docstring, in place; `code` becomes ``code``."""
    lines[:] = [_escaped(line) for line in lines]
    if what in ("attribute", "property"):
        lines.insert(0, "")  # otherwise Napoleon takes the words before a colon for a type


def _escaped(line: str) -> str:
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return MARKS.sub(r"\\\1", line.replace("`", "'"))
    return "".join(f"``{p}``" if i % 2 else MARKS.sub(r"\\\1", p) for i, p in enumerate(parts))


def show_foreign_types_as_text(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.TextElement | None:
    """Show types of other packages in a signature as text, since their manuals are online. Our own types must be found.

    A type variable is also text: it belongs to no package.
    """
    if node.get("refdomain") == "py" and node.get("py:module", "").startswith(PACKAGES):
        target = node.get("reftarget", "")
        return None if target.startswith(PACKAGES) and not TYPE_VARIABLE.search(target) else content
    return None


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_marks, priority=100)
    app.connect("missing-reference", show_foreign_types_as_text)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
