"""The rendered book for everybody: axe finds nothing serious, headings are in order, pictures say what they show."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from ddoq_book.style import BLUE, VERMILION, luminance

ROOT = Path(__file__).resolve().parents[2]
# A page of each kind: prose, a chapter with a demo, a handout, signatures, a bibliography.
OF_EACH_KIND = ("intro", "chapters/14_barycenter_vs_quantizer", "handouts/1_quantization", "api/methods", "references")
ALL_RULES = {"resultTypes": ["violations"], "preload": False}
CONTRAST, FOCUSABLE = (ALL_RULES | {"runOnly": [rule]} for rule in ("color-contrast", "scrollable-region-focusable"))
THEME = "theme => document.documentElement.dataset.theme === theme"
DARK = "#121212"  # background of the dark theme


def pages(book: Path) -> list[Path]:
    """Every page that is written, without the listings of source code."""
    return [p for p in sorted(book.rglob("*.html")) if not {"_static", "_modules"} & set(p.parts)]


@pytest.fixture(scope="module")
def parsed(smoke_book) -> dict[str, BeautifulSoup]:
    """Every page, without its title for paper."""
    found = {}
    for path in pages(smoke_book):
        soup = found[path.name] = BeautifulSoup(path.read_text(), "html.parser")
        for title in soup.select(".onlyprint"):
            title.decompose()
    del found["index.html"]  # it only leads to the front page
    return found


@pytest.fixture
def serious(browser):
    """A function of a page: the violations of level serious and critical, in both themes and on a narrow screen.

    Of the rules, only that of contrast depends on the theme.
    """
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    axe = Axe()

    def of(path: Path) -> list[str]:
        page = context.new_page()
        page.goto(path.as_uri())
        page.evaluate("window.MathJax?.startup?.promise")
        found = []
        for theme, rules in (("light", ALL_RULES), ("dark", CONTRAST)):
            page.emulate_media(color_scheme=theme)
            page.wait_for_function(THEME, arg=theme)
            page.wait_for_timeout(500)  # some colours fade into those of the theme
            found += [f"{theme}: {v}" for v in _serious(axe.run(page, options=rules).response)]
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(500)  # the theme makes what scrolls focusable a moment after the size has changed
        found += [f"narrow: {v}" for v in _serious(axe.run(page, options=FOCUSABLE).response)]
        page.close()
        return found

    yield of
    context.close()


def _serious(response: dict) -> list[str]:
    bad = [v for v in response["violations"] if v["impact"] in ("serious", "critical")]
    return [f"{v['id']} ({v['impact']}): {node['html'][:160]}" for v in bad for node in v["nodes"]]


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_axe_finds_nothing_serious_on_a_page_of_each_kind(serious, smoke_book, name):
    assert serious(smoke_book / f"{name}.html") == []


@pytest.mark.slow
def test_axe_finds_nothing_serious_on_any_page(serious, request):
    """Of the book that has been made last, if there is one, else of a small one."""
    made = ROOT / "_build" / "html"
    book = made if (made / "intro.html").exists() else request.getfixturevalue("smoke_book")
    found = {str(p.relative_to(book)): serious(p) for p in pages(book) if p.name != "index.html"}
    assert len(found) > 35
    assert {name: violations for name, violations in found.items() if violations} == {}


def test_axe_is_awake(browser):
    """It finds what it is there to find."""
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><main><h1>h</h1><p style="color: #bbb">grey</p><img src="x">')
    rules = {v.split()[0] for v in _serious(Axe().run(page, options=ALL_RULES).response)}
    page.close()
    assert {"color-contrast", "image-alt"} <= rules


def test_every_page_has_one_title_and_no_level_of_headings_is_skipped(parsed):
    wrong = {}
    for name, soup in parsed.items():
        levels = [int(h.name[1]) for h in soup.find_all(re.compile("^h[1-6]$"))]
        skipped = any(b > a + 1 for a, b in pairwise(levels))
        if levels[:1] != [1] or levels.count(1) != 1 or skipped:
            wrong[name] = levels
    assert wrong == {}


def test_a_picture_says_more_than_its_caption(parsed):
    """Words for the eye: at least eight, other ones than the caption's."""
    n_pictures, wrong = 0, []
    for name, soup in parsed.items():
        for image in soup.select("article img"):
            alt = image.get("alt", "")
            caption = image.find_parent("figure") and image.find_parent("figure").find("figcaption")
            repeated = caption and alt.strip(". ") in caption.get_text()
            n_pictures += 1
            if len(alt.split()) < 8 or repeated:
                wrong.append(f"{name}: {alt}")
    assert n_pictures > 40
    assert wrong == []


def test_the_colours_of_demos_are_those_of_figures_and_are_told_apart_in_both_themes():
    css = (ROOT / "book" / "assets" / "book.css").read_text()
    (light_blue, dark_blue), (light_red, dark_red) = (
        re.findall(rf"--demo-{name}: (#\w+)", css) for name in ("blue", "red")
    )
    assert (light_blue, light_red) == (BLUE.lower(), VERMILION.lower())
    assert min(luminance(c) + 0.05 for c in (dark_blue, dark_red)) / (luminance(DARK) + 0.05) >= 3
    assert abs(luminance(dark_blue) ** (1 / 3) - luminance(dark_red) ** (1 / 3)) >= 14 / 116  # L*, as in figures


def test_an_animation_stands_still_until_it_is_started(browser, smoke_book):
    page = browser.new_context(offline=True).new_page()
    page.goto((smoke_book / "chapters" / "11_optimal_quantization.html").as_uri())
    players = page.locator(".animation")
    assert players.count() == 2
    page.locator(".admonition.dropdown", has=players.first).locator(".toggle-button").first.click()
    slider, button = players.first.locator("input[type=range]"), players.first.get_by_role("button", name="Next frame")
    page.wait_for_timeout(700)
    assert slider.input_value() == "0"
    button.click()
    assert slider.input_value() == "1"
    page.close()
