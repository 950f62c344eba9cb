"""What a chapter keeps closed: its parameters and imports, and the answer to each question until it is opened."""

import json
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "extensions"))
import folds  # noqa: E402 - an extension beside the book, not a part of the package

TEXT, TABLE = nodes.paragraph, nodes.container("", classes=["cell"])
TABLE += nodes.container("", classes=["cell_output"])
HIDDEN = "answers => answers.map(answer => getComputedStyle(answer.children[1]).visibility)"


def cell(source: str, *tags: str) -> dict:
    return {"cell_type": "code", "metadata": {"tags": list(tags)} if tags else {}, "source": source.splitlines(True)}


def question(title: str = "Predict", kind: str = "tip") -> nodes.admonition:
    return nodes.admonition("", nodes.title("", title), TEXT("", "How many?"), classes=kind.split())


def folded(*following: nodes.Node) -> list[str]:
    """What is left in sight behind a question."""
    doctree = nodes.document(None, None)
    doctree += nodes.section("", question(), *(node.deepcopy() for node in following))
    folds.fold_answers(None, doctree)
    return [node.astext() if isinstance(node, TEXT) else " ".join(node["classes"]) for node in doctree[0][1:]]


def test_parameters_and_imports_are_folded_under_their_names_and_nothing_else():
    cells = [cell("K: int = 2  # points", "parameters"), cell("K = 5", "injected-parameters", "remove-cell")]
    cells += [
        cell("import numpy as np\n\nx = 1"),
        cell("x + 1"),
        {"cell_type": "markdown", "metadata": {}, "source": []},
    ]
    notebook = folds.with_folds(json.loads(json.dumps({"cells": cells})))
    names = [one["metadata"].get("mystnb", {}).get("code_prompt_show") for one in notebook["cells"]]
    assert names == ["Parameters", None, "Imports", None, None]
    assert notebook["cells"][0]["metadata"]["tags"] == ["parameters", "hide-input"]
    assert [one["source"] for one in notebook["cells"]] == [one["source"] for one in cells]


def test_an_answer_ends_with_the_first_text_after_a_result():
    assert folded(TABLE, TABLE, TEXT("", "Many."), TEXT("", "Next.")) == ["dropdown", "Next."]
    assert folded(TEXT("", "We run it."), TABLE, nodes.bullet_list(), TEXT("", "Next.")) == ["dropdown", "Next."]


@pytest.mark.parametrize("following", [(TEXT("", "Next."),), (question("Answer"),), (TABLE, question("Answer"))])
def test_without_a_result_and_a_text_nothing_is_folded(following):
    assert len(folded(*following)) == len(following)


@pytest.mark.parametrize("box", [("Try",), ("Predict", "tip shown")])
def test_a_box_that_asks_nothing_or_is_answered_by_a_main_result_folds_nothing(box):
    doctree = nodes.document(None, None)
    doctree += nodes.section("", question(*box), TABLE.deepcopy(), TEXT("", "Next."))
    folds.fold_answers(None, doctree)
    assert len(doctree[0]) == 3


def test_every_question_of_a_chapter_is_followed_by_a_box_that_opens(smoke_book):
    n_questions = 0
    for page in sorted((smoke_book / "chapters").glob("*.html")):
        for title in BeautifulSoup(page.read_text(), "html.parser").select("article .admonition-title"):
            if title.get_text() == folds.QUESTION and folds.SHOWN not in title.parent["class"]:
                following = title.parent.find_next_sibling("div")
                closed = following is not None and {"dropdown", "admonition"} <= set(following["class"])
                assert closed, (page.name, title.parent.get_text())
                n_questions += 1
    assert n_questions > 40


def test_answers_are_closed_and_a_link_into_one_opens_it(browser, smoke_book):
    page = browser.new_context(offline=True).new_page()
    page.goto((smoke_book / "chapters" / "11_optimal_quantization.html").as_uri())
    answers = page.locator(".admonition.dropdown")
    answers.first.locator(".toggle-button").wait_for()
    assert set(answers.evaluate_all(HIDDEN)) == {"hidden"}
    page.goto(page.url + "#fig-11-weights")
    page.locator("#fig-11-weights img").wait_for(state="visible")
    assert answers.evaluate_all(HIDDEN).count("visible") == 1
    page.close()
