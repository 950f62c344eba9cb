"""Figures and tables of the chapter on optimal quantization."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from ddoq_book.ch11.quantizers import (
    gradient_figure,
    normal_quantizers_figure,
    normal_quantizers_table,
    try_weights,
    weightings_figure,
    zador_figure,
)
from ddoq_core.quantization import best_of_restarts, exact_quantizer
from ddoq_core.randomness import numpy_rng
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


def test_the_table_shows_the_upper_half_of_each_quantizer_and_ends_with_the_limit():
    rows = normal_quantizers_table([exact_quantizer(norm(), K) for K in (1, 2, 3)]).rows
    assert [row[0] for row in rows] == [1, 2, 3, "∞"]
    assert [len(row[1]) for row in rows[:3]] == [1, 1, 2]
    K, points, weights, G, scaled = rows[1]
    # two points of N(0, 1) are the means of its halves
    assert points == pytest.approx([math.sqrt(2 / math.pi)]) and weights == pytest.approx([0.5])
    assert pytest.approx(1 - 2 / math.pi) == G and scaled == K**2 * G


def test_every_figure_is_drawn_and_shows_something(trial):
    for figure in (weightings_figure(trial), gradient_figure(np.array([-1.0, 0.3, 2.0])), zador_figure(10)):
        figure.draw_without_rendering()
        assert all(axes.has_data() for axes in figure.axes)


def test_the_picture_of_the_quantizers_has_a_row_for_each_with_dots_as_large_as_weights():
    rows = normal_quantizers_figure(3).axes[1].collections
    assert [len(row.get_offsets()) for row in rows] == [1, 2, 3]
    assert rows[2].get_sizes() / rows[2].get_sizes().sum() == pytest.approx(exact_quantizer(norm(), 3).weights)
