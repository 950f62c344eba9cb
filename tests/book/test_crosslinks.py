"""The tables of statements and of errata, and the chapters, link to each other."""

import re
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
TABLES = {"statements": "statement-", "errata": "erratum-"}


@pytest.fixture(scope="session")
def pages(smoke_book) -> dict[str, BeautifulSoup]:
    paths = [*smoke_book.glob("*.html"), *(smoke_book / "chapters").glob("*.html")]
    return {str(p.relative_to(smoke_book)): BeautifulSoup(p.read_text(), "html.parser") for p in paths}


def rows(pages: dict[str, BeautifulSoup], table: str) -> dict[str, set[str]]:
    """Rows of a table, each with the chapters that it links to."""
    found = pages[f"{table}.html"].select("article table tbody tr")
    links = {row.get("id"): {urldefrag(a["href"]).url for a in row.select("a[href]")} for row in found}
    return {name: {url for url in urls if url.startswith("chapters/")} for name, urls in links.items()}


def linked(page: BeautifulSoup) -> set[str]:
    """Rows that a page's line leads to, as page and name."""
    return {a["href"].split("/")[-1] for a in page.select("p.backlinks a")}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_name_of_its_own(pages, table):
    text = (ROOT / "book" / f"{table}.md").read_text()
    assert len(rows(pages, table)) == len(re.findall(r"^\* - \*\*", text, re.MULTILINE))
    assert all(name and name.startswith(TABLES[table]) for name in rows(pages, table))


def test_every_statement_leads_to_a_chapter(pages):
    assert [name for name, chapters in rows(pages, "statements").items() if not chapters] == []


@pytest.mark.parametrize("table", TABLES)
def test_a_chapter_that_a_row_leads_to_leads_back(pages, table):
    for name, chapters in rows(pages, table).items():
        for chapter in chapters:
            assert f"{table}.html#{name}" in linked(pages[chapter]), (name, chapter)


def test_a_page_leads_to_no_row_that_does_not_lead_to_it(pages):
    for chapter in (name for name in pages if name.startswith("chapters/")):
        for table in TABLES:
            back = {name for name, chapters in rows(pages, table).items() if chapter in chapters}
            assert {url.split("#")[1] for url in linked(pages[chapter]) if url.startswith(table)} == back, chapter
