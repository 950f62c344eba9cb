"""The demos as a reader meets them: opened from a folder, by pointer, keys and touch, with and without scripts."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("lloyd", "clvq", "rate", "weights", "reverse")
CHAPTERS = ("11_optimal", "12_", "13_", "14_", "15_")  # with a demo
CONFIG = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "extensions")!r})
extensions = ["myst_parser", "demos", "offline"]
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "book" / "assets")!r}]
html_css_files = ["book.css"]
html_context = {{"default_mode": "auto"}}
"""
DEMO = "```{{demo}} {name}\n:alt: What the picture shows.\n\nA caption.\n```\n"
WIDE = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A small site: a page with every demo, one with none, one in a folder."""
    source = tmp_path_factory.mktemp("site")
    (source / "conf.py").write_text(CONFIG)
    (source / "index.md").write_text("# No demo\n\n```{toctree}\nall\ndeep/one\n```\n")
    (source / "all.md").write_text("# All\n\n" + "\n".join(DEMO.format(name=name) for name in KINDS))
    (source / "deep").mkdir()
    (source / "deep" / "one.md").write_text("# One\n\n" + DEMO.format(name="rate"))
    assert _complaints(source) == ""
    return source / "html"


def _complaints(source: Path) -> str:
    """Build with Sphinx; what it says."""
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(source / "html")]
    return subprocess.run(command, capture_output=True, text=True).stderr


@pytest.fixture
def visit(browser, site) -> Iterator[Callable]:
    """Opens the page of all demos; fails in the end if a script threw or complained."""
    contexts, errors = [], []

    def open_page(name: str = "all.html", **options) -> Page:
        contexts.append(browser.new_context(offline=True, **{"reduced_motion": "reduce"} | options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto((site / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def demo(page: Page, name: str) -> Locator:
    return page.locator("figure.demo").nth(KINDS.index(name))


def value(figure: Locator, name: str) -> float:
    """First number of a read-out."""
    text = figure.locator(".demo-readout > div").filter(has_text=name).locator("dd").inner_text()
    return float(re.search(r"−?[\d,.]*\d", text).group().replace("−", "-").replace(",", ""))


def press(figure: Locator, name: str) -> None:
    figure.get_by_role("button", name=name, exact=True).click()


def control(figure: Locator, name: str) -> Locator:
    return figure.locator(f"[name={name}]")


def points(figure: Locator) -> Locator:
    return figure.get_by_role("slider", name=re.compile(r"^point \d"))


def place(point: Locator) -> tuple[float, float]:
    return tuple(float(v.replace("−", "-")) for v in point.get_attribute("aria-valuetext")[3:].split(", "))


def middle(node: Locator) -> tuple[float, float]:
    box = node.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_scripts_are_loaded_on_pages_with_a_demo_and_on_no_other(site):
    assert "demos/" not in (site / "index.html").read_text()
    deep = (site / "deep" / "one.html").read_text()
    assert re.findall(r'src="\.\./_static/demos/(\w+)\.js', deep) == ["quantization", "drawing", "demo", "rate"]


def test_an_unknown_demo_and_one_without_alt_text_are_refused(tmp_path):
    (tmp_path / "conf.py").write_text(CONFIG)
    (tmp_path / "index.md").write_text("# T\n\n```{demo} lloid\n```\n\n```{demo} rate\n```\n")
    complaints = _complaints(tmp_path)
    assert "there is no demo lloid; choose one of: lloyd" in complaints
    assert "the demo rate has no :alt:" in complaints


def test_a_picture_can_stand_alone_and_an_unknown_one_is_refused(tmp_path):
    (tmp_path / "conf.py").write_text(CONFIG)
    picture = "```{still} codebook\n:alt: Points and cells.\n```\n"
    (tmp_path / "index.md").write_text(f"# T\n\n{picture}\n```{{still}} nothing\n:alt: Nothing.\n```\n")
    assert "still nothing: give it an :alt:, and a name from: lloyd" in _complaints(tmp_path)
    page = (tmp_path / "html" / "index.html").read_text()
    assert '<img class="still" src="_static/demos/codebook.svg" alt="Points and cells.">' in page
    assert (tmp_path / "html" / "_static" / "demos" / "codebook.svg").is_file() and "demo.js" not in page


def test_every_control_has_a_name(visit):
    page = visit()
    controls = page.locator(".demo :is(select, input, button, [role=slider], [role=img], svg[role=group])")
    names = controls.evaluate_all(
        "all => all.map(n => n.labels?.[0]?.textContent || n.getAttribute('aria-label') || n.textContent)"
    )
    assert len(names) > 40 and all(name.strip() for name in names)


def test_lloyd_falls_at_every_step_and_rests_where_points_are_centroids(visit):
    figure = demo(visit(), "lloyd")
    before = value(figure, "Distortion")
    for _ in range(3):
        press(figure, "Step")
        assert value(figure, "Distortion") < before
        before = value(figure, "Distortion")
    press(figure, "Run")
    assert value(figure, "Farthest point") < 2e-3
    assert value(figure, "Iterations") > 3
    press(figure, "Reset")
    assert value(figure, "Iterations") == 0


def test_with_less_motion_nothing_is_animated(visit):
    page = visit()
    page.evaluate("() => { window.asked = 0; window.requestAnimationFrame = () => { window.asked++; }; }")
    press(demo(page, "lloyd"), "Run")
    press(demo(page, "clvq"), "Run")
    assert value(demo(page, "clvq"), "Samples") > 10_000
    assert page.evaluate("window.asked") == 0


def test_a_run_can_be_seen_and_stopped(visit):
    figure = demo(visit(reduced_motion="no-preference"), "clvq")
    press(figure, "Run")
    expect(figure.get_by_role("button", name="Stop")).to_be_visible()
    expect(figure.locator(".demo-readout")).to_have_attribute("aria-live", "off")
    press(figure, "Stop")
    expect(figure.locator(".demo-readout")).to_have_attribute("aria-live", "polite")
    seen = value(figure, "Samples")
    figure.page.wait_for_timeout(100)
    assert value(figure, "Samples") == seen > 0


def test_arrow_keys_move_the_chosen_point_and_page_keys_choose(visit):
    figure = demo(visit(), "lloyd")
    first, second = points(figure).nth(0), points(figure).nth(1)
    x, y = place(first)
    first.focus()
    figure.page.keyboard.press("ArrowRight")
    figure.page.keyboard.press("Shift+ArrowUp")
    assert place(first)[0] > x and place(first)[1] > y + 0.4
    figure.page.keyboard.press("PageDown")
    expect(second).to_be_focused()
    expect(second).to_have_attribute("tabindex", "0")
    expect(first).to_have_attribute("tabindex", "-1")
    moved = place(first)
    press(figure, "Step")
    press(figure, "Reset")
    assert place(first) == moved  # what was placed by hand is the start


def test_a_point_is_dragged_by_the_mouse(visit):
    figure = demo(visit(), "lloyd")
    point, mouse = points(figure).nth(2), figure.page.mouse
    point.scroll_into_view_if_needed()
    (x, y), (u, v) = place(point), middle(point)
    mouse.move(u, v)
    mouse.down()
    mouse.move(u - 20, v + 10)
    mouse.move(u - 40, v + 20)
    mouse.up()
    mouse.move(u + 50, v)
    assert place(point)[0] < x - 0.5 and place(point)[1] < y - 0.2


def test_a_point_is_dragged_by_a_finger_while_the_page_stands_still(visit):
    page = visit(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    point = points(demo(page, "lloyd")).nth(2)
    point.scroll_into_view_if_needed()
    (x, _), (u, v), scrolled = place(point), middle(point), page.evaluate("scrollY")
    client = page.context.new_cdp_session(page)
    for kind, at in (
        ("touchStart", [(u, v)]),
        ("touchMove", [(u - 30, v - 5)]),
        ("touchMove", [(u - 60, v - 9)]),
        ("touchEnd", []),
    ):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": p, "y": q} for p, q in at]})
    assert place(point)[0] < x - 0.5
    assert page.evaluate("scrollY") == scrolled


def test_lloyd_repairs_an_empty_cell_and_clvq_does_not(visit):
    figure = demo(visit(), "lloyd")
    control(figure, "start").select_option("outside")
    point = points(figure).nth(0)
    outside = place(point)
    assert value(figure, "Empty cells") == 1
    control(figure, "algorithm").select_option("clvq")
    press(figure, "Run")
    assert place(point) == outside
    control(figure, "algorithm").select_option("lloyd")
    press(figure, "Step")
    assert value(figure, "Empty cells") == 0
    assert place(point) != outside


def test_clvq_forgets_a_bad_start_or_not(visit):
    figure = demo(visit(), "clvq")
    ends = {}
    for p in ("1", "0.4", "0.1"):
        control(figure, "p").fill(p)
        press(figure, "Run")
        ends[p] = value(figure, "Distortion"), value(figure, "Companion")
    best = float(re.search(r"runs ([\d.]+)", figure.locator("dd").first.inner_text()).group(1))
    assert ends["1"][0] > 2 * best  # admissible, and not fast
    assert ends["0.4"][0] < 1.05 * best
    assert ends["0.1"][0] > 1.1 * best  # trembles for ever
    assert ends["0.1"][1] > ends["1"][1]
    control(figure, "clock").select_option("shared")
    control(figure, "p").fill("1")
    press(figure, "Run")
    assert value(figure, "Distortion") < ends["1"][0]


def test_a_density_can_be_painted(visit):
    figure = demo(visit(), "lloyd")
    control(figure, "law").select_option("painted")
    expect(figure.get_by_role("button", name="Step")).to_be_disabled()
    paper, mouse = figure.locator("svg").first, figure.page.mouse
    paper.scroll_into_view_if_needed()
    u, v = middle(paper)
    mouse.move(u - 60, v)
    mouse.down()
    mouse.move(u + 60, v + 30, steps=20)
    mouse.up()
    expect(points(figure)).to_have_count(8)
    press(figure, "Run")
    assert value(figure, "Farthest point") < 2e-3


def test_the_rate_is_the_slope_of_zadors_line(visit):
    figure = demo(visit(), "rate")
    control(figure, "d").fill("1")
    press(figure, "All K")
    assert value(figure, "Local slope") == -1.0
    control(figure, "law").select_option("normal")
    assert -1 < value(figure, "Local slope") < -0.95
    for d, low, high in (("2", -0.55, -0.45), ("3", -0.38, -0.29)):
        control(figure, "law").select_option("cube")
        control(figure, "d").fill(d)
        assert low < value(figure, "Local slope") < high


def test_no_weights_come_nearer_than_the_cell_masses(visit):
    figure = demo(visit(), "weights")
    away = {}
    for scheme in ("uniform", "sqrt", "proportional"):
        control(figure, "scheme").select_option(scheme)
        away[scheme] = value(figure, "W₂")
    assert away["uniform"] > away["sqrt"] > away["proportional"]
    floor = float(re.search(r"√G = ([\d.]+)", figure.locator("dd").first.inner_text()).group(1))
    assert away["proportional"] == floor
    points(figure).nth(3).focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown"):
        figure.page.keyboard.press(key)
        assert value(figure, "W₂") >= floor
    assert control(figure, "scheme").input_value() == "own"


def test_the_square_under_cell_masses_falls_short_by_the_distortion(visit):
    figure = demo(visit(), "weights")
    control(figure, "scheme").select_option("proportional")
    missing = value(figure, "E f, cloud") - value(figure, "E f, weighted")
    assert missing == pytest.approx(value(figure, "W₂") ** 2, abs=2e-3)


def shares(figure: Locator, name: str) -> list[float]:
    """The shares of the four atoms in a read-out, in per cent."""
    text = figure.locator(".demo-readout > div").filter(has=figure.page.get_by_text(name, exact=True))
    return [float(part) for part in text.locator("dd").inner_text().removesuffix(" %").split(", ")]


@pytest.mark.parametrize("kind", ["sde", "ode"])
def test_both_ways_back_end_at_the_atoms_with_their_masses(visit, kind):
    figure = demo(visit(), "reverse")
    control(figure, "kind").select_option(kind)
    press(figure, "Run")
    assert value(figure, "Time t") == 0
    masses = shares(figure, "Masses of the atoms")
    assert masses == [10, 40, 20, 30]
    assert shares(figure, "The same, exact") == masses
    assert shares(figure, "Ends at the four atoms") == pytest.approx(masses, abs=8)  # of 400 paths
    press(figure, "Reset")
    assert value(figure, "Time t") == 1


def test_from_one_point_the_ode_ends_at_one_atom_and_the_sde_at_all(visit):
    figure = demo(visit(), "reverse")
    control(figure, "start").select_option("point")
    assert min(shares(figure, "The same, exact")) > 1
    control(figure, "kind").select_option("ode")
    press(figure, "Run")
    assert (
        sorted(shares(figure, "Ends at the four atoms")) == sorted(shares(figure, "The same, exact")) == [0, 0, 0, 100]
    )


def test_noise_forgives_a_codebook_by_either_way_back(visit):
    figure = demo(visit(), "reverse")
    control(figure, "start").select_option("mean")
    for kind in ("sde", "ode"):
        control(figure, "kind").select_option(kind)
        control(figure, "T").fill("0.05")
        before = value(figure, "W₁")
        control(figure, "T").focus()
        figure.page.keyboard.press("End")  # by keys, to the strongest noise
        assert value(figure, "W₁") < before / 4


def test_the_place_is_chosen_only_where_the_start_is_a_point(visit):
    figure = demo(visit(), "reverse")
    expect(control(figure, "x")).to_be_disabled()
    control(figure, "start").select_option("point")
    expect(control(figure, "x")).to_be_enabled()


@pytest.mark.parametrize("scheme", [None, "dark"], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate(WIDE) <= 1
    outside = "n => n.scrollWidth > n.clientWidth + 1"
    assert not any(f.evaluate(outside) for f in page.locator(".demo, .demo-live, .demo-controls").all())


def test_a_still_picture_stands_in_where_scripts_are_off_and_in_print(visit):
    for page in (visit(java_script_enabled=False), visit()):
        page.emulate_media(media="print" if page.locator(".demo-on").count() else "screen")
        for name in KINDS:
            still = demo(page, name).get_by_role("img", name="What the picture shows.")
            expect(still).to_be_visible()
            assert still.bounding_box()["height"] > 80
            expect(demo(page, name).locator(".demo-live")).to_be_hidden()
            expect(demo(page, name).locator(".demo-note")).to_be_visible()


def test_on_the_screen_the_still_picture_gives_way(visit):
    figures = visit().locator("figure.demo").all()
    assert len(figures) == len(KINDS)
    for figure in figures:
        expect(figure.locator(".demo-still")).to_be_hidden()
        expect(figure.locator(".demo-live")).to_be_visible()


def test_the_chapters_have_their_demos_on_a_small_screen(browser, smoke_book):
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800})
    for page in smoke_book.glob("chapters/*.html"):
        if page.stem.startswith(CHAPTERS):
            tab = context.new_page()
            tab.goto(page.as_uri())
            expect(tab.locator("figure.demo-on")).to_have_count(1)
            assert tab.evaluate(WIDE) <= 1, page.stem
            assert tab.locator(".admonition.dropdown").count() >= 2
    context.close()
