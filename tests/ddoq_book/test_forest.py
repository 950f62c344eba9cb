"""A forest plot has a line for every row, and shows which intervals exclude 0."""

import pytest

from ddoq_book.forest import ForestRow, forest_figure
from ddoq_core.results.records import Estimate

ABOVE, AROUND = Estimate(2.0, 1.0, 3.0, 9, 400), Estimate(0.1, -1.0, 1.2, 9, 400)
ROWS = [
    ForestRow("with $K$", "above", ABOVE, beside=0.5),
    ForestRow("with $K$", "around 50 % of x_1", AROUND),
    ForestRow("others", "missing", None),
]


def test_every_row_has_its_name_and_its_number_or_says_that_it_is_missing():
    (ax,) = forest_figure(ROWS, "points", "theirs").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [row.title for row in ROWS]
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        *("with $K$", "+2.00 [1.00, 3.00]", "+0.10 [−1.00, 1.20]"),
        *("others", "not recorded yet"),
    ]


def test_a_point_is_filled_where_its_interval_excludes_0():
    (ax,) = forest_figure(ROWS, "points").axes
    faces = {line.get_xdata()[0]: line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"}
    assert faces[2.0] != "white" and faces[0.1] == "white"


def test_an_axis_that_goes_far_is_logarithmic_beyond_one_point_and_says_so():
    far = ForestRow("others", "far below", Estimate(-7.0, -9.0, -5.0, 9, 400))
    (near,), (wide,) = (forest_figure(rows, "points").axes for rows in (ROWS, [*ROWS, far]))
    assert (near.get_xscale(), near.get_xlabel()) == ("linear", "points")
    assert (wide.get_xscale(), wide.get_xlabel()) == ("symlog", "points (logarithmic beyond ±1)")
    assert [label.get_text() for label in wide.get_xticklabels()] == ["−10", "−5", "−2", "−1", "0", "1", "2"]
    place = wide.transData.transform
    assert place((-8, 0))[0] - place((-4, 0))[0] == pytest.approx(place((-4, 0))[0] - place((-2, 0))[0])


def test_only_signs_that_stand_in_the_plot_are_explained():
    signs = forest_figure(ROWS, "points", "theirs").legends[0].get_texts()
    assert [sign.get_text() for sign in signs] == ["the interval excludes 0", "it does not", "theirs"]
    assert len(forest_figure(ROWS[1:2], "points").legends[0].get_texts()) == 1
