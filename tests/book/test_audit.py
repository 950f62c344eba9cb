"""The audit finds each fault that it is there to find."""

import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import audit  # noqa: E402 - a tool beside the book, not a part of the package
import browsing  # noqa: E402

SOUND = '<h1 id="top">T</h1><img src="a.png" alt="A line that falls"><a href="#top">up</a><a href="https://x.org">x</a>'


@pytest.fixture
def findings(tmp_path):
    """Findings of a book of one page with this content."""
    (tmp_path / "a.png").write_bytes(b"picture")

    def of(content: str, **others: str) -> list[str]:
        (tmp_path / "page.html").write_text(content)
        for name, text in others.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        return list(audit.audit(tmp_path, ["/home/somebody"]))

    return of


def test_a_sound_page_has_no_finding(findings):
    assert findings(SOUND) == []


@pytest.mark.parametrize(
    "content",
    [
        '<script src="https://cdn.org/x.js"></script>',
        '<script src="//cdn.org/x.js"></script>',
        '<link rel="stylesheet" href="https://cdn.org/x.css">',
        '<link rel="preload" href="https://cdn.org/x.woff2">',
        '<img src="https://cdn.org/x.png" alt="A line that falls">',
        '<img srcset="a.png 1x, https://cdn.org/x.png 2x" alt="A line that falls">',
        '<iframe src="https://cdn.org"></iframe>',
        "<style>@import 'https://cdn.org/x.css';</style>",
        '<div style="background: url(https://cdn.org/x.png)"></div>',
    ],
)
def test_what_a_page_would_load_from_the_network_is_found(findings, content):
    assert any("from the network" in f for f in findings(SOUND + content))


def test_what_a_style_sheet_would_load_from_the_network_is_found(findings):
    assert any(
        "from the network" in f for f in findings(SOUND, x_css="@font-face { src: url('https://cdn.org/f.woff2') }")
    )


def test_a_missing_file_and_a_missing_anchor_are_found(findings):
    assert any("b.png, which is missing" in f for f in findings('<img src="b.png" alt="A line that falls">'))
    assert any("other.html, which is missing" in f for f in findings('<a href="other.html">o</a>'))
    assert any("does not have" in f for f in findings('<a href="#nowhere">o</a>'))
    assert any("does not have" in f for f in findings('<a href="page.html#nowhere">o</a>'))


@pytest.mark.parametrize("alt", ["", 'alt=""', 'alt="figure"', 'alt="_images/0123456789abcdef.png"'])
def test_a_picture_without_a_description_is_found(findings, alt):
    assert any("no alt text" in f for f in findings(f'<img src="a.png" {alt}>'))


def test_a_folder_of_the_machine_is_found_on_a_page_and_in_its_source(findings):
    assert any("/home/somebody" in f for f in findings(SOUND + "<pre>/home/somebody/x.py</pre>"))
    assert any("/home/somebody" in f for f in findings(SOUND, page_ipynb='{"path": "/home/somebody/x.py"}'))


def test_a_book_without_pages_is_a_finding(tmp_path):
    assert list(audit.audit(tmp_path, [])) == [f"no page in {tmp_path}"]


def test_a_page_that_is_heavy_with_its_pictures_is_found(findings, tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MOST_OF_A_PAGE", 400)
    script = '<script src="x.js"></script>'
    assert findings(SOUND + script, x_js=" " * 1000) == []
    assert any("with its pictures" in f for f in findings(SOUND + " " * 400))
    (tmp_path / "b.png").write_bytes(bytes(400))
    assert any("with its pictures" in f for f in findings(SOUND + '<img src="b.png" alt="A line that falls">'))


def test_a_book_that_is_heavy_is_found(findings, monkeypatch):
    monkeypatch.setattr(audit, "MOST_OF_THE_BOOK", 1000)
    assert findings(SOUND) == []
    assert any("the book has" in f for f in findings(SOUND, more_ipynb=" " * 1000))


def test_a_chapter_without_a_figure_is_found(findings, tmp_path):
    (tmp_path / "chapters").mkdir()
    chapter = tmp_path / "chapters" / "33_cost.html"
    chapter.write_text("<h1>Cost</h1><table></table>")
    assert findings(SOUND) == ["chapters/33_cost.html: the chapter has no figure"]
    chapter.write_text("<h1>Cost</h1><figure></figure>")
    assert findings(SOUND) == []


MATHJAX = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg-full.js")
FORMULA = """<script>MathJax = {{tex: {{macros: {{W: "\\\\mathcal{{W}}_2"}}}}}}</script>
<script defer src="{script}"></script><p class="math">\\({tex}\\)</p>"""


@pytest.fixture
def shown(tmp_path, browser):
    """Findings in a browser of a book of one page with this content."""

    def of(content: str) -> list[str]:
        head = '<!doctype html><meta name="viewport" content="width=device-width"><title>T</title>'
        (tmp_path / "page.html").write_text(head + content)
        return list(browsing.faults(tmp_path, browser))

    return of


@pytest.mark.parametrize(("tex", "fault"), [(r"\W_1", "Double subscripts"), (r"x^a^b", "Double exponent")])
def test_a_formula_that_mathjax_cannot_set_is_found(shown, tex, fault):
    assert shown(FORMULA.format(script=MATHJAX.as_uri(), tex=r"\mathcal{W}_1")) == []
    [found] = shown(FORMULA.format(script=MATHJAX.as_uri(), tex=tex))
    assert found.startswith(f"page.html: MathJax cannot set {tex} ({fault}")


@pytest.mark.parametrize(("width", "windows"), [(300, []), (420, [390]), (1300, [390, 1280])])
def test_a_page_that_is_wider_than_its_window_is_found_with_what_is_too_wide(shown, width, windows):
    found = shown(f'<p>Text.</p><div id="long" style="width: {width}px">Code</div>')
    assert len(found) == len(windows) and all('<div id="long"' in f for f in found)
    assert all(f"in a window of {window}: " in f for f, window in zip(found, windows, strict=True))


def test_what_scrolls_in_its_own_box_makes_no_page_wide(shown):
    assert shown('<div style="overflow-x: auto"><div style="width: 2000px">Table</div></div>') == []


@pytest.mark.parametrize("fold", ["{}", "<details><summary>More</summary>{}</details>"], ids=["open", "folded"])
@pytest.mark.parametrize(("width", "cut"), [(900, False), (1300, True)])
def test_a_table_whose_last_column_is_out_of_sight_on_a_laptop_is_found(shown, fold, width, cut):
    table = f'<table style="width: {width}px"><caption>Rates</caption><tr><td>1</td></tr></table>'
    scrolling = fold.format(f'<div style="overflow-x: auto">{table}</div>')
    found = shown(f'<article style="max-width: 1000px">{scrolling}</article>')
    assert [f for f in found if "table" in f] == cut * [
        "page.html: the last column of a table is out of sight in a window of 1280: 'Rates'"
    ]
