"""A table holds numbers, and only where it is shown do they become text."""

import html
import re

import numpy as np
import pytest

from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import NOTHING, As, Column, Table, written


def table(name):
    return Table("Things", ("Group", "Thing", "Size"), ((name, (("a", "1"), ("b & c", "2"))),), ("Said.",))


@pytest.mark.parametrize("name", ["few", "a name that is as long as a sentence, and has to be broken"])
def test_a_name_stands_beside_its_rows_however_long_it_is(name):
    text = table(name)._repr_html_()
    assert f'<tr><th scope="rowgroup" rowspan="2">{name}</th><td>a</td>' in text and "b &amp; c" in text
    assert re.findall(r'col">(\w+)', text) == ["Group", "Thing", "Size"]


def test_every_row_has_its_group_where_it_is_copied_from():
    assert table("few").markdown().count("| few |") == 2
    assert table("few").csv().splitlines()[1:] == ["few,a,1", "few,b & c,2"]


def test_values_stay_numbers_and_a_column_says_how_they_are_written():
    made = Table.of_rows("G", ("K", Column("G", ".2f"), Column("gradient", ".0e")), [(2, -0.25, 1e-9), (3, None, "0")])
    assert made.rows == [(2, -0.25, 1e-9), (3, None, "0")] and made.column("G") == [-0.25, None]
    assert made.csv().splitlines() == ["K,G,gradient", "2,−0.25,1e-09", f"3,{NOTHING},0"]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, ".2f", NOTHING),
        ("2-3 points", ".2f", "2-3 points"),
        (-1.5, ".1f", "−1.5"),
        (-1e-12, ".0e", "−1e-12"),
        (1234567, ",d", "1,234,567"),
        (np.float64(-0.5), ".3f", "−0.500"),
        (float("-inf"), ".1f", "−inf"),
        (Mean(-1.25, 0.5, 3), ".1f", "−1.2 ± 0.5"),
        (As(0.25, ".0%"), ".3f", "25%"),
        (-60.0, lambda s: f"{s / 60:.0f} min", "−1 min"),
    ],
)
def test_a_value_is_written_by_its_format(value, form, text):
    assert written(value, form) == text


def test_a_mean_is_that_of_its_values():
    made = Mean.of(np.array([1.0, 2.0, 3.0]))
    assert (made.value, made.n) == (2.0, 3) and f"{made:.2f}" == "2.00 ± 2.48"


def test_only_a_number_with_its_unit_may_not_be_broken():
    """So a wide table takes two lines for an interval, and its last column stays on the page."""
    row = ("a", "−0.50", "10.2 kB", "1,500 of 20,000 steps", "0.25 ± 0.12", "0.3 [0.1, 0.5], 0.2 [0.1, 0.3]", "of_two")
    shown = Table.of_rows("G", tuple("abcdefg"), [row])._repr_html_()
    assert re.findall(r'<td class="number">([^<]*)</td>', shown) == ["−0.50", "10.2 kB"]
    assert "0.25 ±&nbsp;0.12" in shown and "0.3 [0.1,&nbsp;0.5],<br>0.2 [0.1,&nbsp;0.3]" in shown
    assert "of_<wbr>two" in shown


def test_neighbouring_rows_of_one_name_form_a_group():
    made = Table.of_groups("G", ("Data", "K", "G"), [("a", 1, 0.5), ("a", 2, 0.25), ("b", 1, None)])
    assert made.blocks == (("a", ((1, 0.5), (2, 0.25))), ("b", ((1, None),)))


def test_html_markdown_latex_and_csv_hold_the_same_cells():
    columns = ("Data", "K", Column("G", ".2f"))
    made = Table.of_groups("G", columns, [("a", 1, -0.5), ("a", 2, Mean(0.25, 0.125, 3)), ("b", 1, None)])
    cells = [["a", "1", "−0.50"], ["a", "2", "0.25 ± 0.12"], ["b", "1", NOTHING]]
    assert made.csv().splitlines()[1:] == [",".join(line) for line in cells]
    shown = html.unescape(made._repr_html_()).replace("\xa0", " ")
    for line in cells:
        assert all(f">{text}</t" in shown for text in line)
        assert "| " + " | ".join(line) + " |" in made.markdown()
    assert made.latex().count(r"\\") == 1 + len(cells) and r"0.25 $\pm$ 0.12" in made.latex()


def test_text_of_a_table_cannot_become_markup():
    made = Table("a < b", ("x", "y"), (("1", (("<script>",),)),))
    assert "<script>" not in made._repr_html_() and "a &lt; b" in made._repr_html_()


def test_latex_escapes_what_latex_would_read():
    assert r"50\%" in Table("", ("x", "y"), (("1", (("50%",),)),)).latex()
