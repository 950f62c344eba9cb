"""Paths and marginals as the chapter shows them."""

import pytest

from ddoq_book.ch17.processes import (
    RECORD,
    euler_table,
    marginal_errors,
    marginals_table,
    path_quantizer_figure,
    record_table,
)
from ddoq_core.theory.paths import brownian_bridge, brownian_motion


def test_the_table_agrees_with_the_published_record_to_its_digits():
    rows = record_table([30]).rows
    assert len(rows) == len(RECORD) + 1
    assert all(row[1] == row[2] and round(row[3], 6) == row[4] for row in rows[:-1])


def test_every_path_is_drawn_and_the_heavier_the_wider():
    figure = path_quantizer_figure([brownian_motion(), brownian_bridge()], 10, 20)
    assert [len(axes.lines) for axes in figure.axes] == [10, 10]
    assert len({round(line.get_linewidth(), 3) for line in figure.axes[0].lines}) > 1


def test_marginals_are_of_second_order_in_k():
    (_, coarse), (over, fine) = (marginal_errors(K, 5, 1.0) for K in (10, 20))
    assert 1 <= over < 1.1 and coarse / fine == pytest.approx(4, rel=0.15)
    assert len(marginals_table([5], [2, 4], 1.0).blocks) == 2


def test_eulers_scheme_keeps_the_mean_and_loses_a_variance_of_second_order():
    (_, mean, coarse), (_, _, fine) = euler_table([20, 40], 5).rows
    assert abs(mean) < 1e-9 and fine < 0 and coarse / fine == pytest.approx(4, rel=0.2)
