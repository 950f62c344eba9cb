"""A notebook that says other things than its text: it is said which, and the command that is given mends it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import execute  # noqa: E402 - tools beside the book, not a part of the package
from twins import differences  # noqa: E402

NAME = "11_optimal_quantization"


@pytest.fixture
def notebooks(tmp_path) -> Path:
    """A folder with a space in its name, one page and its twin."""
    folder = tmp_path / "my notebooks"
    folder.mkdir()
    for name in (f"{NAME}.md", f"{NAME}.ipynb", "jupytext.toml"):
        (folder / name).write_bytes((ROOT / "notebooks" / name).read_bytes())
    return folder


def edited(twin: Path, *, outputs: bool = True) -> None:
    """What JupyterLab saves: an edit, outputs, the kernel's language; later than the text."""
    notebook = nbformat.read(twin, as_version=4)
    notebook.cells[0].source += "\n\nAn edit."
    cell = next(c for c in notebook.cells if c.cell_type == "code")
    cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="seen")]
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.2"}
    nbformat.write(notebook, twin)
    at(twin, 1)


def at(path: Path, later: int) -> None:
    """Give a file a time, so many seconds after that of its text."""
    text = path.with_suffix(".md").stat().st_mtime
    os.utime(path, (text + later, text + later))


def mended_by(line: str) -> None:
    """Run the command that the line ends with."""
    command = shlex.split(line.rpartition(": ")[2])
    assert command[0] == "jupytext"
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)


def test_an_edit_of_the_twin_is_said_before_the_book_is_made(notebooks, tmp_path, monkeypatch, capsys):
    edited(notebooks / f"{NAME}.ipynb")
    monkeypatch.setattr(execute, "side_by_side", lambda lanes, out: print("made", file=sys.stderr))
    monkeypatch.setattr(execute, "profile_values", lambda *_: {"profile": "laptop"})
    execute.execute_all(notebooks, "laptop", tmp_path / "out", "artifacts")
    line, made = capsys.readouterr().err.splitlines()
    assert (
        line.startswith("ddoq: ")
        and f"{NAME}.ipynb has an edit that is missing in {NAME}.md" in line
        and made == "made"
    )


def test_the_command_takes_the_edit_over_and_nothing_else(notebooks):
    text = notebooks / f"{NAME}.md"
    before = jupytext.read(text)
    edited(notebooks / f"{NAME}.ipynb")
    (line,) = differences(notebooks)
    mended_by(line)
    after = jupytext.read(text)
    assert "An edit." in after.cells[0].source and list(differences(notebooks)) == []
    assert [c.source for c in after.cells[1:]] == [c.source for c in before.cells[1:]]
    head = text.read_text().split("---")[1]
    assert head == (ROOT / "notebooks" / text.name).read_text().split("---")[1]


def test_a_twin_that_only_has_outputs_and_a_later_time_is_no_edit(notebooks):
    twin = notebooks / f"{NAME}.ipynb"
    text = twin.read_text()
    edited(twin)
    notebook = nbformat.read(twin, as_version=4)
    notebook.cells[0].source = nbformat.reads(text, as_version=4).cells[0].source
    nbformat.write(notebook, twin)
    at(twin, 1)
    assert list(differences(notebooks)) == []


def test_of_a_text_that_is_newer_than_its_twin_the_twin_is_renewed_and_no_edit_lost(notebooks):
    text = notebooks / f"{NAME}.md"
    text.write_text(text.read_text() + "\nMore.\n")
    at(notebooks / f"{NAME}.ipynb", -1)
    (line,) = differences(notebooks)
    assert "which is newer" in line
    mended_by(line)
    assert text.read_text().endswith("\nMore.\n") and list(differences(notebooks)) == []


def test_a_notebook_without_a_text_is_said_to_be_missing_from_the_book(notebooks):
    (notebooks / f"{NAME}.md").rename(notebooks / "12_other.md")
    line, *_ = differences(notebooks)
    assert f"{NAME}.ipynb has no text" in line and "not in the book" in line
    mended_by(line)
    assert (notebooks / f"{NAME}.md").is_file()


@pytest.mark.parametrize("content", ["", "<<<<<<< ours\n{", '{"cells": 3}'])
def test_a_twin_that_cannot_be_read_is_one_line(notebooks, content):
    (notebooks / f"{NAME}.ipynb").write_text(content)
    (line,) = differences(notebooks)
    assert "cannot be read" in line and "\n" not in line
    mended_by(line)
    assert list(differences(notebooks)) == []
