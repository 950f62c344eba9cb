"""The glossary: what a chapter links to stands in it, and it leads back."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
from prose import linked, terms  # noqa: E402 - a tool beside the book, not a part of the package

TERMS = terms((ROOT / "book" / "glossary.md").read_text())
PAGES = [*sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md")), *sorted((ROOT / "book").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_linked_word_stands_in_the_glossary(page):
    assert set(linked(page.read_text())) <= set(TERMS)


@pytest.mark.parametrize("word", TERMS)
def test_the_glossary_names_a_page_that_links_back(word):
    named = re.findall(r"\]\(([\w/]+)\.(?:ipynb|md)\)", TERMS[word])
    files = [ROOT / n.replace("chapters/", "notebooks/") if "/" in n else ROOT / "book" / n for n in named]
    assert named and any(word in linked(f.with_suffix(".md").read_text()) for f in files), named
