"""Every figure says which function drew it and from which parameters, and what it says is so."""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "extensions"))
import made_by  # noqa: E402 - an extension beside the book, not a part of the package


def page(*cells: str, figure: bool = True) -> dict:
    """A notebook whose first cell declares the parameters and whose last has a figure."""
    notebook = {"cells": [{"cell_type": "code", "metadata": {}, "source": [cell]} for cell in cells]}
    notebook["cells"][0]["metadata"]["tags"] = ["parameters"]
    if figure:
        notebook["cells"][-1]["metadata"]["mystnb"] = {"figure": {"name": "fig-1", "caption": "A line."}}
    return notebook


def said(*cells: str) -> str:
    notebook = made_by.with_lines(page(*cells))
    return notebook["cells"][-1]["metadata"]["mystnb"]["figure"]["caption"].splitlines()[-1]


PARAMETERS = "n: int = 5  # samples\nK: int = 2  # points\nseed: int = 0  # of everything"
IMPORT = "from ddoq_book.ch12 import rate as figures"


def test_the_line_names_the_function_with_its_arguments_and_links_it():
    text = said(PARAMETERS, IMPORT, "figures.slopes_figure(K, 3)")
    assert (
        text == "Made by {py:func}`ch12.rate.slopes_figure <ddoq_book.ch12.rate.slopes_figure>` `(K, 3)` from `K = 2`."
    )


def test_a_parameter_is_followed_through_the_cells_before():
    assert said(PARAMETERS, IMPORT, "x = draw(n)\ny = x + 1", "figures.slopes_figure(y)").endswith("from `n = 5`.")


def test_what_a_name_was_before_it_was_set_anew_is_not_followed():
    assert said(PARAMETERS, IMPORT, "x = draw(n)\nx = draw(K)", "figures.slopes_figure(x)").endswith("from `K = 2`.")


def test_names_of_a_comprehension_are_its_own():
    assert "n =" not in said(PARAMETERS, IMPORT, "x = n", "figures.slopes_figure([x for x in range(3)])")


def test_a_value_that_was_given_to_the_run_is_told_instead_of_the_default():
    notebook = page(PARAMETERS, "n = 7", IMPORT, "figures.slopes_figure(n)")
    notebook["cells"][1]["metadata"]["tags"] = ["injected-parameters"]
    assert "`n = 7`" in made_by.with_lines(notebook)["cells"][-1]["metadata"]["mystnb"]["figure"]["caption"]


def test_what_depends_on_the_whole_profile_names_it_and_the_knobs_that_differ():
    declared = (
        'profile: str = "mine"  # its name\nstrength: float = 0.3  # of the noise\nipc: list = [1, 2, 5, 10]  # K'
    )
    text = said(declared, IMPORT, "run = Run(profile_of(globals()))", "figures.slopes_figure(run)")
    assert text.endswith('from `profile = "mine"`, `strength = 0.3`.')


def test_a_figure_that_nothing_imported_draws_is_refused():
    with pytest.raises(ValueError, match="fig-1"):
        made_by.with_lines(page(PARAMETERS, "plot(n)"))


def test_a_cell_without_a_figure_stays_as_it_is():
    notebook = page(PARAMETERS, IMPORT, "figures.slopes_figure(n)", figure=False)
    assert made_by.with_lines(json.loads(json.dumps(notebook))) == notebook


def test_every_figure_of_the_book_says_what_made_it(smoke_book, smoke_tree):
    api = {}
    for path in (smoke_book / "api").glob("*.html"):
        api[path.name] = {tag["id"] for tag in BeautifulSoup(path.read_text(), "html.parser").find_all(id=True)}
    n_figures = 0
    for path in sorted((smoke_book / "chapters").glob("*.html")):
        values = executed_with(smoke_tree / "book" / "chapters" / f"{path.stem}.ipynb")
        for figure in BeautifulSoup(path.read_text(), "html.parser").select("figure[id^=fig-]"):
            made = figure.select_one("figcaption .made-by")
            assert made, figure["id"]
            file, place = made.a["href"].removeprefix("../api/").split("#")
            assert place in api[file], figure["id"]
            told = dict(
                re.findall(r"(\w+) = (\[[^]]*\]|\"[^\"]*\"|[\w.-]+)(?=[,.])", made.get_text().split(" from ")[-1])
            )
            assert {n: json.loads(v) for n, v in told.items()} == {n: values[n] for n in told}, figure["id"]
            n_figures += 1
    declared = sum(text.count("\n  figure:\n") for text in (p.read_text() for p in (ROOT / "notebooks").glob("*.md")))
    assert n_figures == declared > 30


def executed_with(path: Path) -> dict[str, object]:
    """The parameters of an executed notebook."""
    values = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
            for statement in ast.parse(cell.source).body:
                target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
                values[target.id] = ast.literal_eval(statement.value)
    return values
