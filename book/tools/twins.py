"""Find notebooks in `notebooks/` that differ from their texts. The book uses only the texts.

In: the folder. Out: a line for each notebook that differs, with the one command that makes the two agree.
"""

from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode


def differences(notebooks: Path) -> Iterator[str]:
    """A line for each NN_slug.ipynb that has no text of the same name, differs from it, or cannot be read."""
    for twin in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        text = twin.with_suffix(".md")
        take_over = f"jupytext --to md:myst '{twin}'"
        if not text.is_file():
            yield f"{twin} has no text {text.name} and is not in the book; to add it: {take_over}"
            continue
        try:
            same = said(nbformat.read(twin, as_version=4)) == said(jupytext.read(text))
        except Exception as error:  # many kinds: half-written files, merge conflicts
            reason = " ".join(str(error).split())[:80]
            yield f"{twin} cannot be read ({reason}); to make it again: jupytext --to ipynb '{text}'"
            continue
        if not same and twin.stat().st_mtime > text.stat().st_mtime:
            yield f"{twin} has an edit that is missing in {text.name}, the book's source; to copy it: {take_over}"
        elif not same:
            renew = f"jupytext --update --to ipynb '{text}'"
            yield f"{twin} differs from {text.name}, which is newer and the book's source; to update it: {renew}"


def said(notebook: NotebookNode) -> list[tuple]:
    """Cells of a notebook without their ids and outputs, which a text does not have."""
    return [(c.cell_type, c.source, {k: v for k, v in c.metadata.items() if v}) for c in notebook.cells]
