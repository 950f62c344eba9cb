"""Sphinx extension: adds what the theme and docutils lack for screen readers."""

import re
from collections.abc import Callable

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
PARAMETERS = re.compile(r'<dl>\n((?:<dd><em class="sig-param">.*</dd>\n)+)</dl>')
WORD = re.compile(r'<span class="pre">([^<]*)</span>')


def mend(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Name the sidebar's fold buttons; mark bibliographies and signatures as lists."""
    if tree := context.get("generate_toctree_html"):
        context["generate_toctree_html"] = _named(tree)
    if "body" in context:
        body = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = SIGNATURE.sub(_signature, body)


def _signature(signature: re.Match) -> str:
    """Parameters, one per line, as list items, not as Sphinx's definitions without a term; fewer elements per word."""
    return PARAMETERS.sub(_list, WORD.sub(r"\1", signature[0]))


def _list(parameters: re.Match) -> str:
    items = parameters[1].replace("<dd>", "<li>").replace("</dd>", "</li>")
    return f'<ul class="sig-params">\n{items}</ul>'


def _named(tree: Callable[..., BeautifulSoup]) -> Callable[..., BeautifulSoup]:
    def named(**options: object) -> BeautifulSoup:
        soup = tree(**options)
        for button in soup.select("li > details > summary"):
            button["aria-label"] = f"pages below {button.find_parent('li').a.get_text()}"
        return soup

    return named


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("html-page-context", mend, priority=900)  # after the theme has put its function there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
