"""Sphinx extension: links between the tables of statements and errata, and the pages that they name.

Every row of the two tables gets a name for links: {ref}`erratum-7`, {ref}`statement-theorem-5`.
A page gets a line with all rows that link to it, before its exercises or at its end. The line is made from the table;
the two directions cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

TABLES = {"statements": ("statement", "Statements"), "errata": ("erratum", "Errata")}  # page: names of rows, words
APART = {*TABLES, "api"}  # pages that get no line
BEFORE = "exercises"  # the line comes before this section


@dataclass(frozen=True)
class Row:
    """A row of one of the tables."""

    page: str
    name: str
    title: str
    targets: frozenset[str]  # pages to which it links


def name_rows(app: Sphinx, doctree: nodes.document) -> None:
    """Called by Sphinx for every page after reading: give the rows of the tables their names."""
    page = app.env.docname
    if page in TABLES:
        for row in _rows(doctree):
            title = _title(row)
            name = nodes.make_id(f"{TABLES[page][0]}-{title}")
            row["ids"].append(name)
            standard = app.env.get_domain("std")
            standard.labels[name] = (page, name, title)
            standard.anonlabels[name] = (page, name)


def add_line(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Called by Sphinx for every page before writing: add the line."""
    found = [row for row in table_rows(app.env) if page in row.targets] if page not in APART else []
    if not found:
        return
    line = nodes.paragraph("", classes=["backlinks"])
    for table, (_, words) in TABLES.items():
        rows = [row for row in found if row.page == table]
        if rows:
            line += [nodes.strong("", words), nodes.Text(" on this page: ")]
            for number, row in enumerate(rows):
                line += nodes.Text(", " if number else "")
                line += make_refnode(app.builder, page, row.page, row.name, nodes.Text(row.title))
            line += nodes.Text(". ")
    whole, *sections = doctree.findall(nodes.section)
    place = next((whole.index(section) for section in sections if BEFORE in section["ids"]), len(whole))
    whole.insert(place, line)


def table_rows(env: BuildEnvironment) -> list[Row]:
    """The rows of both tables with their linked pages, without the API pages and the tables themselves."""
    if not hasattr(env, "ddoq_table_rows"):
        env.ddoq_table_rows = [
            Row(page, row["ids"][0], _title(row), frozenset(_targets(env, row)) - APART)
            for page in TABLES
            if page in env.found_docs
            for row in _rows(env.get_doctree(page))
        ]
    return env.ddoq_table_rows


def write_targets_again(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Called by Sphinx after all pages are read: rewrite pages with a line, since the tables may have changed."""
    env.__dict__.pop("ddoq_table_rows", None)
    return sorted({page for row in table_rows(env) for page in row.targets})


def _rows(doctree: nodes.document) -> Iterator[nodes.row]:
    """Rows of the first table, without its head."""
    table = next(doctree.findall(nodes.table))
    return next(table.findall(nodes.tbody)).findall(nodes.row)


def _title(row: nodes.row) -> str:
    """The bold text at the start of a row, up to any brackets."""
    return next(row.findall(nodes.strong)).astext()


def _targets(env: BuildEnvironment, row: nodes.row) -> Iterator[str]:
    """Pages that the row's links lead to; Sphinx has not resolved the links yet."""
    places = env.get_domain("std").anonlabels
    for node in row.findall(lambda node: isinstance(node, nodes.Element) and "reftarget" in node):
        target = node["reftarget"]
        if target in env.found_docs:
            yield target
        elif target in places:
            yield places[target][0]


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("doctree-read", name_rows)
    app.connect("env-updated", write_targets_again)
    app.connect("doctree-resolved", add_line)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
