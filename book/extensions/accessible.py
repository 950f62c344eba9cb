"""Sphinx extension: what the theme leaves out for those who do not see the page: names of the sidebar's buttons."""

from collections.abc import Callable

from bs4 import BeautifulSoup
from sphinx.application import Sphinx


def name_buttons(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Give each button of the sidebar, which folds the pages below a page, a name."""
    if tree := context.get("generate_toctree_html"):
        context["generate_toctree_html"] = _named(tree)


def _named(tree: Callable[..., BeautifulSoup]) -> Callable[..., BeautifulSoup]:
    def named(**options: object) -> BeautifulSoup:
        soup = tree(**options)
        for button in soup.select("li > details > summary"):
            button["aria-label"] = f"pages below {button.find_parent('li').a.get_text()}"
        return soup

    return named


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("html-page-context", name_buttons, priority=900)  # after the theme has put its function there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
