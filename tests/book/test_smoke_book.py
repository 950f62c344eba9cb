"""The smoke book as files: every notebook runs at the profile `smoke`, the pages stand alone, and a rerun is quick."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup

from ddoq_book.answer import advice, answer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import audit  # noqa: E402 - a tool beside the book, not a part of the package


def test_every_notebook_runs_at_smoke_size(smoke_tree):
    executed = {p.stem for p in (smoke_tree / "book" / "chapters").glob("*.ipynb")}
    assert executed == {p.stem for p in (ROOT / "notebooks").glob("[0-9][0-9]_*.md")}


def test_every_code_cell_was_run(smoke_tree):
    for path in (smoke_tree / "book" / "chapters").glob("*.ipynb"):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code" and c.source]
        assert all(c.execution_count for c in cells), path.name


def test_every_chapter_says_what_made_it(smoke_book):
    for page in (smoke_book / "chapters").glob("*.html"):
        text = page.read_text()
        assert "What made this page" in text and "smoke" in text, page.name


def test_the_audit_finds_nothing(smoke_book, smoke_tree):
    assert list(audit.audit(smoke_book, [f"{Path.home()}/", str(ROOT), str(smoke_tree)])) == []


def test_a_second_run_executes_and_renders_nothing(smoke_tree, smoke_book):
    places = ["--artifacts", str(smoke_tree / "artifacts"), "--out", "book/chapters"]
    before = {path: path.stat().st_mtime_ns for path in smoke_book.rglob("*")}
    executed, rendered = (
        subprocess.run([sys.executable, *script], cwd=smoke_tree, capture_output=True, text=True)
        for script in (["book/tools/execute.py", "--profile", "smoke", *places], ["book/tools/render.py"])
    )
    assert executed.returncode == rendered.returncode == 0, executed.stderr + rendered.stderr
    assert all(line.endswith(": unchanged") for line in executed.stdout.splitlines())
    assert rendered.stdout.splitlines() == [f"The book is at {smoke_book / 'index.html'}, unchanged"]
    assert {path: path.stat().st_mtime_ns for path in smoke_book.rglob("*")} == before


def test_the_front_page_says_what_is_claimed_and_what_was_found_and_shows_it(smoke_book):
    front, chapter = (
        BeautifulSoup((smoke_book / page).read_text(), "html.parser").select_one("article")
        for page in ("intro.html", "chapters/31_table1.html")
    )
    found = [" ".join(line.get_text().split()) for line in front.select("ol li")]
    assert found == answer()
    text = " ".join(front.get_text().split())
    assert advice() in text and "+5.2 points" in text
    assert [picture["src"][:15] for picture in front.select("figure img")] == 2 * ["data:image/png;"]
    values = re.findall(r"(?:D⁴M has|DDOQ|images have) ([\d.]+ \[[\d.]+, [\d.]+\]) %", text)
    assert len(values) == 3
    for accuracy in values:
        mean, low, high = map(float, re.findall(r"[\d.]+", accuracy))
        assert 0 <= low <= mean <= high <= 100
        assert accuracy in chapter.get_text()  # the table of the chapter has the same cell
