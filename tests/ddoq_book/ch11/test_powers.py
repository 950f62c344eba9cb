"""The table of other powers: masses that stay unequal, costs that become equal."""

from ddoq_book.ch11.powers import powers_table


def test_the_table_has_a_row_for_each_power_with_unequal_masses():
    rows = powers_table(20, (1, 2)).rows
    assert len(rows) == 2
    assert all(row[1] < 0.4 < 1.2 < row[2] for row in rows)
