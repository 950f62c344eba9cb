"""Sphinx extension: parts of a chapter that are closed until the reader opens them.

In: an executed notebook as Sphinx reads it. Out: the same, with parameters and imports folded under these names. After
each box "Predict" there is a closed box "Answer" with all that follows, up to the first text after a result; a box of
class "shown" is followed by a main result of the page, which stays open.
"""

import json

from docutils import nodes
from sphinx.application import Sphinx

QUESTION, SHOWN = "Predict", "shown"
TEXT = (nodes.paragraph, nodes.bullet_list, nodes.enumerated_list)


def fold_cells(app: Sphinx, docname: str, source: list[str]) -> None:
    """Called by Sphinx with the source of a page; changes it in place."""
    if str(app.env.doc2path(docname)).endswith(".ipynb"):
        source[0] = json.dumps(with_folds(json.loads(source[0])))


def with_folds(notebook: dict) -> dict:
    """The notebook with the tag `hide-input` and a title on its parameters and imports."""
    for cell in notebook["cells"]:
        name = _name(cell)
        if name:
            cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
            cell["metadata"]["mystnb"] = {"code_prompt_show": name, "code_prompt_hide": name}
    return notebook


def _name(cell: dict) -> str | None:
    if cell["cell_type"] != "code":
        return None
    if "parameters" in cell["metadata"].get("tags", []):
        return "Parameters"
    return "Imports" if "".join(cell["source"]).startswith(("import ", "from ")) else None


def fold_answers(app: Sphinx, doctree: nodes.document) -> None:
    """Called by Sphinx for every page after reading: put the answer to each question into a closed box."""
    for box in list(doctree.findall(nodes.admonition)):
        if box[0].astext() == QUESTION and SHOWN not in box["classes"]:
            start = box.parent.index(box) + 1
            end = start + _length(box.parent[start:])
            if end > start:
                answer = nodes.admonition("", nodes.title("", "Answer"), classes=["dropdown"])
                answer += box.parent[start:end]
                box.parent[start:end] = [answer]


def _length(following: list[nodes.Node]) -> int:
    """Number of nodes that answer the question before them: up to the first text after a result; 0 without a result."""
    shown = False
    for number, node in enumerate(following, 1):
        if isinstance(node, nodes.admonition | nodes.section):
            return 0
        shown = shown or any("cell_output" in part["classes"] for part in node.findall(nodes.container))
        if shown and isinstance(node, TEXT):
            return number
    return 0


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("source-read", fold_cells)
    app.connect("doctree-read", fold_answers)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
