"""The first page is there at once: nothing that it waits for is large. What pages and book weigh is for the audit."""

import pytest
from bs4 import BeautifulSoup

MB = 10**6


@pytest.fixture(scope="module")
def front(smoke_book) -> BeautifulSoup:
    return BeautifulSoup((smoke_book / "intro.html").read_text(), "html.parser")


def test_the_book_opens_at_the_front_page(smoke_book):
    index = (smoke_book / "index.html").read_text()
    assert 'url=intro.html"' in index and len(index) < 200


def test_what_the_first_page_waits_for_is_small(front, smoke_book):
    """Style sheets, and scripts that are not deferred: on a disk of 100 MB a second these are milliseconds."""
    scripts = [s for s in front.select("script[src]") if not {"defer", "async"} & set(s.attrs)]
    urls = [s["src"] for s in scripts] + [link["href"] for link in front.select("link[rel=stylesheet]")]
    sizes = {url.split("?")[0]: (smoke_book / url.split("?")[0]).stat().st_size for url in urls}
    assert sum(sizes.values()) + len(str(front)) < 1.5 * MB, sizes


def test_mathematics_is_set_after_the_page_is_shown(front):
    assert {"defer", "async"} & set(front.select_one('script[src*="mathjax"]').attrs)


def test_scripts_of_demos_are_loaded_where_there_is_one(smoke_book):
    with_demo = {p.stem[:2] for p in (smoke_book / "chapters").glob("*.html") if "demos/demo.js" in p.read_text()}
    assert with_demo == {"11", "12", "13", "14", "15"}
