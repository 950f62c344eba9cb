"""Sphinx extension: the directive `demo` puts an interactive demo into a page, with a still picture next to it.

    ```{demo} rate
    :alt: What the reader learns from the still picture.

    Caption.
    ```

The directive `still` puts only a still picture into a page, for a handout.

The scripts in book/assets/demos are classic scripts, not modules: they run in a page opened from a folder. `stills`
draws the still picture when the book is rendered. It shows in print and where scripts are off or fail; only a script
that has started hides it.
"""

import html
import json
from pathlib import Path
from typing import NamedTuple

import stills
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator


class Kind(NamedTuple):
    """The script, picture and settings of a demo."""

    script: str  # in book/assets/demos
    still: str  # description of the still picture
    preset: dict[str, str]  # controls that do not start at their defaults


KINDS = {
    "lloyd": Kind("lloyd", "the start, an early iteration and the end of Lloyd's algorithm", {}),
    "clvq": Kind(
        "lloyd",
        "the start, an early sample and the end of one pass of CLVQ with the steps (2 + k/K)^−0.7",
        {"algorithm": "clvq", "start": "corner", "clock": "single", "p": "1"},
    ),
    "rate": Kind("rate", "normal laws in one, two and three dimensions", {}),
    "weights": Kind("weights", "one codebook under three kinds of weights, and its distance to the samples", {}),
    "reverse": Kind("reverse", "paths of the reverse SDE and of the probability-flow ODE from the same starts", {}),
}
SHARED = ("quantization", "drawing", "demo")


class demo(nodes.General, nodes.Element):
    """A demo with its still picture; its children are the caption."""


class Demo(SphinxDirective):
    """The directive."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - docutils reads it from the class
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the caption."""
        name = self.arguments[0]
        if name not in KINDS:
            raise self.error(f"there is no demo {name}; choose one of: {', '.join(KINDS)}")
        if "alt" not in self.options:
            raise self.error(f"the demo {name} has no :alt:; describe its still picture there")
        node = demo(name=name, alt=self.options["alt"])
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


class Still(SphinxDirective):
    """The directive of a still picture without its demo; its alt text says what there is to see."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - docutils reads it from the class

    def run(self) -> list[nodes.Node]:
        """An image from the folder of the drawn pictures."""
        name = self.arguments[0]
        if name not in stills.DRAWN or "alt" not in self.options:
            raise self.error(f"still {name}: give it an :alt:, and a name from: {', '.join(stills.DRAWN)}")
        source = f"{folder_of(self.env.docname)}/{name}.svg"
        return [
            nodes.raw("", f'<img class="still" src="{source}" alt="{html.escape(self.options["alt"])}">', format="html")
        ]


def folder_of(page: str) -> str:
    """The folder of scripts and pictures, as seen from a page."""
    return "../" * page.count("/") + "_static/demos"


def visit_demo(self: HTML5Translator, node: demo) -> None:
    """Open the figure: an element for the script, the picture, and then the caption."""
    kind, folder = KINDS[node["name"]], folder_of(self.builder.current_docname)
    self.body.append(
        f'<figure class="demo" data-demo="{kind.script}" data-preset="{html.escape(json.dumps(kind.preset))}">'
        f'<div class="demo-live"></div>'
        f'<img class="demo-still" src="{folder}/{node["name"]}.svg" alt="{html.escape(node["alt"])}">'
        f'<p class="demo-note">A still picture of a demo for the screen: {kind.still}.</p><figcaption>'
    )


def depart_demo(self: HTML5Translator, node: demo) -> None:
    """Close the figure."""
    self.body.append("</figcaption></figure>")


def draw_stills(app: Sphinx) -> None:
    """Draw every still picture into the folder of the scripts."""
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static" / "demos"
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in stills.DRAWN.items():
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Load the scripts only on pages that have a demo."""
    shown = [KINDS[node["name"]].script for node in doctree.findall(demo)] if doctree else []
    if shown:
        for script in (*SHARED, *dict.fromkeys(shown)):
            app.add_js_file(f"demos/{script}.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_node(demo, html=(visit_demo, depart_demo))
    app.add_directive("demo", Demo)
    app.add_directive("still", Still)
    app.connect("builder-inited", draw_stills)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
