"""A table stands on a page: the name of a block beside its rows, or above them where it is long."""

import re

from ddoq_core.results.table import Table


def table(name):
    return Table("Things", ("Group", "Thing", "Size"), ((name, (("a", "1"), ("b & c", "2"))),), ("Said.",))


def test_a_short_name_has_a_column_of_its_own():
    text = table("few")._repr_html_()
    assert '<th scope="rowgroup" rowspan="2">few</th>' in text and re.findall(r'col">(\w+)', text) == [
        "Group",
        "Thing",
        "Size",
    ]


def test_a_long_name_stands_above_its_rows():
    text = table("a name that no column is wide enough for")._repr_html_()
    assert '<tr><th scope="rowgroup" colspan="2">a name that no' in text
    assert re.findall(r'col">(\w+)', text) == ["Thing", "Size"] and "b &amp; c" in text


def test_every_row_has_its_group_where_it_is_copied_from():
    assert table("few").markdown().count("| few |") == 2
    assert table("few").csv().splitlines()[1:] == ["few,a,1", "few,b & c,2"]
