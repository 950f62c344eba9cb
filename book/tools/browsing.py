"""Open every page of the rendered book in a browser, and find formulas that MathJax cannot set, pages that are too wide
for the window, and tables whose last column is out of sight on a laptop.

In: the folder of the HTML and a Chromium. Out: one line for each finding. It uses no network.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS, HEIGHT = (390, 1280), 900  # pixels: a phone and a laptop
PATIENCE = 120_000  # milliseconds for a page to load, on a busy machine
LAID_OUT = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SET = "!document.querySelector('.math') || document.querySelector('.math mjx-container')"
REFUSED = """() => [...(window.MathJax?.startup?.document?.math ?? [])]
    .map(item => [item.math, item.typesetRoot.querySelector('mjx-merror, [data-mml-node="merror"]')])
    .filter(([tex, error]) => error).map(([tex, error]) => `${tex} (${error.getAttribute('data-mjx-error')})`)"""
WIDEST = """() => {
    const article = document.querySelector('article') ?? document.body, right = n => n.getBoundingClientRect().right
    const scrolls = n => n !== article && (getComputedStyle(n).overflowX !== 'visible' || scrolls(n.parentElement))
    const leaves = [...article.querySelectorAll('*')].filter(n => !n.children.length && !scrolls(n.parentElement))
    return leaves.sort((a, b) => right(b) - right(a))[0]?.outerHTML.slice(0, 120)
}"""

UNFOLD = """() => {
    document.querySelectorAll('details').forEach(n => n.open = true)
    document.querySelectorAll('.toggle-hidden').forEach(n => n.classList.remove('toggle-hidden'))
}"""
CUT = """() => {
    const box = n => getComputedStyle(n).overflowX !== 'visible' || n === document.body ? n : box(n.parentElement)
    return [...document.querySelectorAll('article table')].filter(n => n.offsetWidth > box(n).clientWidth + 1)
        .map(n => (n.caption ?? n).innerText.slice(0, 60))
}"""


@contextmanager
def chromium() -> Iterator[Browser | None]:
    """The Chromium of this machine, headless; None if there is none."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


def written_pages(html: Path) -> list[Path]:
    """Every page of the book, without the listings of source code."""
    return [path for path in sorted(html.rglob("*.html")) if not {"_static", "_modules"} & set(path.parts)]


def faults(html: Path, browser: Browser) -> Iterator[str]:
    """Findings of a rendered book, one line each."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for path in written_pages(html):
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_function(SET)
        page.evaluate("window.MathJax?.startup?.promise")
        yield from (f"{path.relative_to(html)}: {fault}" for fault in faults_of_page(page))
    context.close()


def faults_of_page(page: Page) -> Iterator[str]:
    """Findings of an open page after its formulas are set; changes the size of its window."""
    yield from (f"MathJax cannot set {formula}" for formula in page.evaluate(REFUSED))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.evaluate(LAID_OUT)
        body = page.evaluate("document.documentElement.scrollWidth")
        if body > width + 1:
            yield f"is {body} pixels wide in a window of {width}: {page.evaluate(WIDEST)}"
    page.evaluate(UNFOLD)
    page.evaluate(LAID_OUT)
    for caption in page.evaluate(CUT):
        yield f"the last column of a table is out of sight in a window of {width}: {caption!r}"
