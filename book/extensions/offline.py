"""Sphinx extension: makes a book that opens from a folder, without a network.

MathJax comes from a Python package and is copied next to the pages. Thebe, which Jupyter Book 1.x puts on every page to
run code in the cloud, is removed: it loads from a CDN, and its script throws on every page.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx

MATHJAX = "tex-svg-full.js"  # one file that draws SVG: browsers may refuse web fonts to pages opened from a folder


def serve_mathjax(app: Sphinx) -> None:
    """Copy MathJax next to the book's other scripts."""
    if app.builder.format == "html":
        package = distribution("sphinx-mathjax-offline")
        source = package.locate_file(f"sphinx-mathjax-offline/static/mathjax/{MATHJAX}")
        target = Path(app.outdir) / "_static" / "mathjax" / MATHJAX
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Remove Thebe's scripts and style from a page."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not _is_thebe(file)]


def _is_thebe(file: object) -> bool:
    body = getattr(file, "attributes", {}).get("body") or ""
    return "thebe" in f"{getattr(file, 'filename', file)} {body}".lower()


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("config-inited", lambda app, config: setattr(config, "mathjax_path", f"mathjax/{MATHJAX}"))
    app.connect("builder-inited", serve_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
