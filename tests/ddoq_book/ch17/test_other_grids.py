"""Tables of grids, laws, powers and brackets: each says what the theory says."""

import pytest

from ddoq_book.ch17.other_grids import brackets_table, checked_grids_table, grid_figure, spreads_table, wells_table


def test_grids_up_to_the_plane_are_checked_by_quadrature_and_others_by_draws():
    rows = checked_grids_table([1, 2, 3], 4, 2**12, 0).rows
    assert [row[1] for row in rows] == ["quadrature", "quadrature", "4,096 draws"]
    assert rows[0][2].value < 1e-12 and rows[1][2].value < 1e-6 and 0 < rows[2][2].value < 0.5


def test_draws_find_what_the_density_says():
    (row,) = wells_table([4], 20_000, 0).rows
    assert abs(row[2] / row[1] - 1) < 0.05 and row[3] < 0.1


def test_points_spread_with_the_power():
    rows = spreads_table([1, 4], 20, 4000, 0).rows
    assert rows[0][1] < rows[1][1] and abs(rows[0][2] - rows[0][3]) < 0.1


def test_voronoi_rules_are_below_and_dual_rules_above():
    rows = brackets_table([5, 20], 5000, 0).rows
    assert all(row[1] < row[2] < row[3] for row in rows)
    assert rows[1][3] - rows[1][1] < rows[0][3] - rows[0][1]


def test_the_figure_has_a_cell_for_each_point_and_the_heaviest_is_the_darkest():
    cells, points = grid_figure(6, 2**12, 0).axes[0].get_children()[:2]
    assert len(cells.get_paths()) == len(points.get_xdata()) == 6
    assert cells.get_facecolor()[:, 3].max() == pytest.approx(0.6)
