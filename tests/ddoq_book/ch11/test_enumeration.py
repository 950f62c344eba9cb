"""What the chapter shows of eq. 9 by enumeration."""

import pytest

from ddoq_book.ch11.enumeration import enumeration_figure, enumeration_table
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.enumeration import enumerate_cloud, random_cloud


@pytest.fixture(scope="module")
def trial():
    rng = numpy_rng(0, "test", "enumeration", 0, 2)
    return enumerate_cloud(random_cloud(8, False, rng), 2, 20, 20, rng)


def test_the_table_has_both_sides_of_eq_9_for_each_cloud(trial):
    found = enumeration_table({"one": trial, "two": trial})
    assert found.column("one") == found.column("two")
    assert found.column("one")[0] == trial.costs.min() == pytest.approx(found.column("one")[2], abs=1e-12)


def test_the_figure_shows_the_division_and_all_costs(trial):
    figure = enumeration_figure(trial)
    figure.draw_without_rendering()
    assert all(axes.has_data() for axes in figure.axes)
