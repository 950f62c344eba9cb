"""Figures and tables of the chapter on optimal quantization."""

import numpy as np
import pytest

from ddoq_book.ch11.quantizers import gradient_figure, normal_table, try_weights, weights_figure, zador_figure
from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import best_of_restarts
from ddoq_core.theory.measures import LOPSIDED


@pytest.fixture(scope="module")
def trial():
    samples = LOPSIDED.sample(200, numpy_rng(0, "test"))
    codebook = best_of_restarts(samples, 5, n_restarts=2, rng=numpy_rng(0, "test", "start"))
    return try_weights(codebook, samples, 30, numpy_rng(0, "test", "weights"))


def test_no_weighting_beats_the_voronoi_weights_which_reach_the_root_of_the_distortion(trial):
    assert trial.n_better == 0
    assert trial.voronoi == pytest.approx(trial.root_distortion, rel=1e-9)


def test_random_weights_reach_from_near_to_far(trial):
    assert trial.misplaced.min() < 0.02
    assert trial.misplaced.max() > 0.3


def test_the_table_has_a_row_per_level_and_the_limit():
    rows = normal_table([1, 2, 3]).rows
    assert [row[0] for row in rows] == ["1", "2", "3", "∞"]
    assert "0.363380" in rows[1]
    assert "2.7207" in rows[-1][-1]


def test_every_figure_is_drawn_and_shows_something(trial):
    for figure in (weights_figure(trial), gradient_figure(np.array([-1.0, 0.3, 2.0])), zador_figure(10)):
        figure.draw_without_rendering()
        assert all(axes.has_data() for axes in figure.axes)
