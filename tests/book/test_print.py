"""Chapters on paper: A4 from the browser, nothing cut, nothing that wants to be clicked."""

import io
import re
from pathlib import Path

import pytest
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = [p.stem for p in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))]
MM = 96 / 25.4  # pixels
WIDTH, HEIGHT = (210 - 2 * 17) * MM, (297 - 2 * 16) * MM  # of A4, inside the margins of book.css
A4 = (595, 842)  # points
VISIBLE = "filter(e => e.checkVisibility() && e.getClientRects().length)"
LEFT_OVER = (
    f"[...document.querySelectorAll('button, input, select, summary, .demo-live')].{VISIBLE}.map(e => e.outerHTML)"
)
LARGE = f"""([width, height]) => [...document.querySelectorAll('article :is(img, svg, figure, table, pre)')].{VISIBLE}
    .filter(e => {{ const box = e.getBoundingClientRect(); return box.right > width + 1 || box.left < -1
        || (e.matches('img, svg, figure') && box.height > height) }})
    .map(e => e.outerHTML.slice(0, 200))"""
CLIPPED = f"""[...document.querySelectorAll('article :is(pre, .output, .pst-scrollable-table-container)')].{VISIBLE}
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 200))"""
FOLDED = "document.querySelectorAll('details:not([open]), .toggle-hidden').length"


@pytest.fixture(params=CHAPTERS)
def opened(browser, smoke_book, request):
    """A chapter as a reader has it on the screen, in the dark theme, with the width of the paper."""
    context = browser.new_context(offline=True, viewport={"width": round(WIDTH), "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.goto((smoke_book / "chapters" / f"{request.param}.html").as_uri())
    page.evaluate("window.MathJax?.startup?.promise")
    yield page
    context.close()


def test_a_chapter_prints_whole(opened):
    pdf = PdfReader(io.BytesIO(opened.pdf(prefer_css_page_size=True)))
    drawn = [page.get_contents().get_data() for page in pdf.pages]
    assert {tuple(round(float(v)) for v in page.mediabox[2:]) for page in pdf.pages} == {A4}
    texts, pictures = ([len(re.findall(rb"\b%s\b" % sign, page)) for page in drawn] for sign in (b"T[jJ]", b"Do"))
    assert [n for n, (text, picture) in enumerate(zip(texts, pictures, strict=True), 1) if text + picture == 0] == []
    assert sum(text > 0 for text in texts) >= 3

    # What the printer is given: the same page, as it is laid out on paper.
    opened.emulate_media(media="print", color_scheme="dark")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate(LEFT_OVER) == []
    assert opened.evaluate(LARGE, [WIDTH, HEIGHT]) == []
    assert opened.evaluate(CLIPPED) == []
    assert opened.evaluate(FOLDED) == 0
    assert opened.evaluate("document.documentElement.dataset.theme") == "light"
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"
