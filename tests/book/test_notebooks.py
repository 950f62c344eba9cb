"""The notebooks as text: what is committed, what they declare, and that the book holds exactly them."""

import ast
import dataclasses
import json
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from ddoq_core.config.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import twins  # noqa: E402 - tools beside the book, not a part of the package

SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))

each_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]


def parameters(source: Path) -> nbformat.NotebookNode:
    return next(cell for cell in code_cells(source) if "parameters" in cell.metadata.get("tags", []))


@each_notebook
def test_every_text_has_a_twin(source):
    assert source.with_suffix(".ipynb").is_file(), f"make it: jupytext --to ipynb notebooks/{source.name}"


def test_no_twin_says_other_things_than_its_text_and_none_lacks_it():
    assert list(twins.differences(ROOT / "notebooks")) == []


@each_notebook
def test_no_output_is_committed(source):
    for cell in json.loads(source.with_suffix(".ipynb").read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@each_notebook
def test_the_header_holds_nothing_of_one_machine(source):
    header = yaml.safe_load(source.read_text().split("---")[1])
    assert set(header) <= {"jupytext", "kernelspec"}
    assert set(header["jupytext"]) <= {"formats", "text_representation"}
    assert set(header["jupytext"].get("text_representation", {})) <= {"extension", "format_name"}
    assert header["kernelspec"]["name"] == "python3"


@each_notebook
def test_the_first_code_cell_declares_the_parameters(source):
    cells = code_cells(source)
    assert "parameters" in cells[0].metadata.get("tags", [])
    assert sum("parameters" in c.metadata.get("tags", []) for c in cells) == 1


@each_notebook
def test_a_parameter_is_a_typed_literal_with_a_comment(source):
    text = parameters(source).source
    for statement in ast.parse(text).body:
        line = text.splitlines()[statement.end_lineno - 1]
        assert isinstance(statement, ast.AnnAssign) and statement.value is not None, line
        ast.literal_eval(statement.value)
        assert re.search(r"#\s*\w", line), f"no comment: {line}"


@each_notebook
def test_a_declared_knob_has_the_default_of_the_package(source):
    knobs = dataclasses.asdict(Profile())
    declared = {s.target.id: ast.literal_eval(s.value) for s in ast.parse(parameters(source).source).body}
    assert {n: v for n, v in declared.items() if n in knobs} == {n: knobs[n] for n in declared if n in knobs}


@each_notebook
def test_no_variable_has_the_name_of_a_knob_but_in_the_parameters(source):
    """`profile_of(globals())` would take it for the value of that knob."""
    code = "\n".join(c.source for c in code_cells(source) if "parameters" not in c.metadata.get("tags", []))
    nodes = list(ast.walk(ast.parse(code)))
    inner = {id(n) for c in nodes if isinstance(c, ast.comprehension) for n in ast.walk(c.target)}
    named = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in inner}
    assert named & {*Profile.knobs()} == set()


@each_notebook
def test_every_figure_is_described(source):
    for cell in code_cells(source):
        style = cell.metadata.get("mystnb", {})
        if "figure" in style:
            assert len(style.get("image", {}).get("alt", "")) >= 10, style["figure"].get("name")


def test_the_book_holds_every_notebook_and_no_other():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    files = [page["file"] for chapter in chapters for page in (chapter, *chapter.get("sections", []))]
    assert sorted(f.removeprefix("chapters/") for f in files if f.startswith("chapters/")) == [p.stem for p in SOURCES]
    pages = {toc["root"], *(f for f in files if not f.startswith("chapters/"))}
    texts = [p for folder in ("", "handouts", "api") for p in (ROOT / "book" / folder).glob("*.md")]
    assert pages == {p.relative_to(ROOT / "book").with_suffix("").as_posix() for p in texts}


def test_the_sidebar_numbers_chapters_as_the_text_does():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    for chapter in (chapter for part in toc["parts"] for chapter in part["chapters"]):
        name = chapter["file"].removeprefix("chapters/")
        if name != chapter["file"]:
            heading = re.search(r"^# (.*)$", (ROOT / "notebooks" / f"{name}.md").read_text(), re.MULTILINE)[1]
            assert chapter["title"] == f"{name[:2]}. {heading}"


def test_every_module_is_in_the_api_reference():
    api = "".join(page.read_text() for page in (ROOT / "book" / "api").glob("*.md"))
    modules = {
        ".".join(p.relative_to(ROOT / folder).with_suffix("").parts)
        for folder, package in (("", "ddoq_core"), ("book", "ddoq_book"), ("benchmarks", "ddoq_benchmarks"))
        for p in (ROOT / folder / package).rglob("*.py")
        if not p.name.startswith("__") and p.parent.name != "methods"
    }
    assert modules <= set(re.findall(r"automodule:: ([\w.]+)", api))


def test_every_test_that_a_page_names_exists():
    pages = [*(ROOT / "book").glob("*.md"), *SOURCES]
    named = {name for page in pages for name in re.findall(r"`(?:tests/)?((?:\w+/)+test_\w+\.py)`", page.read_text())}
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []
