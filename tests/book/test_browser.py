"""The rendered book as a reader meets it: every page in a browser, opened from a folder, with the network off."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Route

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import browsing  # noqa: E402 - a tool beside the book, not a part of the package

MISSING = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.src).map(i => i.src.slice(0, 100))"
BARE_MATHS = "[...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
LATE = 500  # milliseconds for what a page asks for after its scripts have run


@dataclass
class Visit:
    """What happened when one page was opened."""

    name: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    missing_images: list[str] = field(default_factory=list)
    maths: int = 0
    bare_maths: int = 0
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def visits(browser, smoke_book) -> list[Visit]:
    """Every page of the smoke book, opened."""
    context = browser.new_context(offline=True)
    found = [_visit(context.new_page(), path, smoke_book) for path in browsing.written_pages(smoke_book)]
    context.close()
    return found


def _visit(page: Page, path: Path, root: Path) -> Visit:
    visit = Visit(str(path.relative_to(root)))

    def answer(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            visit.outside.append(route.request.url)
            route.abort()

    page.route("**/*", answer)
    page.on("requestfailed", lambda request: visit.failed.append(f"{request.url[:200]}: {request.failure}"))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri(), wait_until="load")
    try:
        page.wait_for_function(browsing.SET)
        page.evaluate("window.MathJax?.startup?.promise")
    except Error as error:
        visit.errors.append(str(error))
    page.wait_for_timeout(LATE)
    visit.maths = page.locator("mjx-container").count()
    visit.bare_maths = page.evaluate(BARE_MATHS)
    visit.missing_images = page.evaluate(MISSING)
    visit.faults = list(browsing.faults_of_page(page))
    page.close()
    return visit


def faults(visits: list[Visit], name: str) -> dict:
    return {v.name: getattr(v, name) for v in visits if getattr(v, name)}


def test_every_page_was_opened(visits, smoke_tree):
    chapters = {f"chapters/{p.stem}.html" for p in (smoke_tree / "notebooks").glob("*.md")}
    pages = {f"{p.stem}.html" for p in (smoke_tree / "book").glob("*.md")}
    assert chapters | pages | {"index.html"} <= {v.name for v in visits}


def test_no_page_asks_the_network_for_anything(visits):
    assert faults(visits, "outside") == {}


def test_no_request_of_a_page_fails(visits):
    assert faults(visits, "failed") == {}


def test_no_page_has_an_error_in_the_console(visits):
    assert faults(visits, "errors") == {}


def test_all_mathematics_is_set(visits):
    assert faults(visits, "bare_maths") == {}
    assert next(v for v in visits if v.name == "notation.html").maths > 20


def test_no_image_is_missing(visits):
    assert faults(visits, "missing_images") == {}


def test_every_formula_is_set_and_no_page_is_wider_than_a_phone_or_a_laptop(visits):
    assert faults(visits, "faults") == {}


def test_the_search_finds_a_chapter(browser, smoke_book):
    page = browser.new_context(offline=True).new_page()
    page.goto((smoke_book / "search.html").as_uri() + "?q=distortion")
    page.wait_for_selector("#search-results a")
    assert "11_optimal_quantization" in page.locator("#search-results").inner_html()
    page.close()


def test_a_handout_prints_on_one_page(browser, smoke_tree, smoke_book):
    handouts = sorted((smoke_book / "handouts").glob("*.html"))
    assert [path.stem for path in handouts] == sorted(path.stem for path in (smoke_tree / "book/handouts").glob("*.md"))
    page = browser.new_context(offline=True).new_page()
    for path in handouts:
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.math mjx-container')")
        page.evaluate("window.MathJax.startup.promise")
        pdf = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 1, path.name
    page.close()
