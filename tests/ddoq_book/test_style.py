"""The palette: read in greyscale, by colour-blind readers, and on white."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from ddoq_book import style
from ddoq_book.style import BLUE, BROWN, CYCLE, GREEN, INK, MUTED, PURPLE, VERMILION, for_text, luminance

# Simulated dichromats, on linear RGB: Machado, Oliveira & Fernandes 2009, severity 1.
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lightness(colour: str) -> float:
    """CIE L*, from 0 (black) to 100 (white): equal steps look equal in greyscale."""
    return 116 * np.cbrt(luminance(colour)) - 16


def contrast(colour: str) -> float:
    """With white, from 1 to 21."""
    return 1.05 / (luminance(colour) + 0.05)


def lab(colour: str, eyes: list) -> np.ndarray:
    """CIE L*a*b* of what is left of a colour to such eyes."""
    linear = np.array([luminance(to_hex(row)) for row in np.diag(to_rgb(colour))]) / TO_XYZ[1]
    xyz = TO_XYZ @ (np.array(eyes) @ linear).clip(0, 1) / TO_XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_luminance_is_that_of_the_standard():
    assert [luminance(c) for c in ("black", "white")] == pytest.approx([0, 1])
    assert luminance("#808080") == pytest.approx(0.2159, abs=1e-4)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)  # the lightest grey that text may have on white


def test_any_two_colours_differ_in_greyscale():
    assert min(abs(lightness(a) - lightness(b)) for a, b in combinations((INK, *CYCLE), 2)) >= 7


def test_the_three_colours_most_used_differ_in_greyscale_by_twice_as_much():
    assert CYCLE[:3] == (BLUE, VERMILION, GREEN)
    assert min(abs(lightness(a) - lightness(b)) for a, b in combinations((INK, *CYCLE[:3]), 2)) >= 14


@pytest.mark.parametrize("eyes", DICHROMATS.values(), ids=DICHROMATS)
def test_colour_blind_readers_tell_any_two_colours_apart(eyes):
    distances = [np.linalg.norm(lab(a, eyes) - lab(b, eyes)) for a, b in combinations((INK, *CYCLE), 2)]
    assert min(distances) >= 15  # a difference of 2 or 3 is seen with the colours side by side


def test_every_line_stands_out_from_white():
    assert min(contrast(colour) for colour in (INK, MUTED, *CYCLE)) >= 3  # WCAG 2.2, criterion 1.4.11


@pytest.mark.parametrize("colour", [INK, MUTED, BLUE, BROWN, GREEN, PURPLE, VERMILION])
def test_text_in_any_colour_is_readable_on_white(colour):
    assert contrast(for_text(colour)) >= 4.5 - 0.05  # to the next of 256 steps
    if contrast(colour) >= 4.5:
        assert for_text(colour) == colour.lower()


def test_a_label_is_as_dark_as_text_must_be():
    figure, axes = style.subplots()
    style.label(axes, 0, 0, "there", VERMILION)
    assert contrast(axes.texts[0].get_color()) >= 4.45
    assert axes.texts[0].get_color() != VERMILION.lower()
    figure.clear()


def test_magnitudes_grow_lighter_all_the_way():
    shades = mpl.colormaps[style.SEQUENTIAL](np.linspace(0, 1, 64))
    assert (np.diff([lightness(to_hex(shade)) for shade in shades]) > 0).all()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_at_the_ends_of_lines_do_not_touch_and_keep_their_order(scale):
    ends = {"low": 0.1, "high": 9.0, "a": 4.0, "b": 4.01, "c": 4.02}
    figure, axes = style.subplots()
    axes.set(yscale=scale, xlim=(0, 1), ylim=(0.05, 10))
    style.end_labels(axes, 1, ends, dict.fromkeys(ends, BLUE), gap=0.08)
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert sorted(heights, key=heights.get) == ["low", "a", "b", "c", "high"]
    assert np.diff(sorted(heights.values())).min() >= 0.08 - 1e-9
    at = (axes.transData + axes.transAxes.inverted()).transform((1, 0.1))[1]
    assert heights["low"] == pytest.approx(at)  # one that stands alone is beside its line
    figure.clear()
