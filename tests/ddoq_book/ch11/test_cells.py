"""Pictures of cells: what they show is true, and they play without the network."""

import re

import numpy as np
import pytest

from ddoq_book.ch11.cells import (
    animate,
    cell_polygons,
    cells_figure,
    codebook_figure,
    distortion_figure,
    moments_figure,
    trace_clvq,
    trace_lloyd,
)
from ddoq_core.quantization import random_samples
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.measures import LOPSIDED

BOX = (-2.0, 3.0, -1.0, 2.0)


@pytest.fixture
def traces():
    samples = LOPSIDED.sample(300, numpy_rng(0, "test"))
    start = random_samples(samples, 5, numpy_rng(0, "test", "start"))
    return trace_lloyd(samples, start, 6), trace_clvq(samples, start, 6)


def area(polygon):
    x, y = polygon.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


@pytest.mark.parametrize("K", [1, 2, 7])
def test_clipped_cells_tile_the_box(K):
    points = numpy_rng(0, "test", K).uniform([-2, -1], [3, 2], (K, 2))
    assert sum(area(cell) for cell in cell_polygons(points, BOX)) == pytest.approx(15)


def test_corners_of_a_cell_are_no_nearer_to_another_point():
    points = numpy_rng(0, "test").uniform([-2, -1], [3, 2], (9, 2))
    for i, cell in enumerate(cell_polygons(points, BOX)):
        distances = np.linalg.norm(cell[:, None] - points, axis=2)
        np.testing.assert_allclose(distances[:, i], distances.min(1), atol=1e-9)


def test_a_trace_runs_from_the_start_to_the_result(traces):
    for trace in traces:
        assert trace.steps[0] == 0
        assert len(trace.steps) == len(trace.moments) <= 6
        assert trace.moments[-1].distortion == pytest.approx(trace.result.distortion)
    assert traces[0].moments[0].distortion == traces[1].moments[0].distortion


def test_an_animation_asks_for_nothing_from_the_network_and_says_what_it_shows(traces):
    html = animate(traces[0], 'cells "move"').data
    assert not re.search(r"https?:|fa-|<link", html)
    assert 'alt="cells &quot;move&quot;"' in html


def test_an_animation_has_labelled_controls_and_light_frames(traces):
    html = animate(traces[0], "x").data
    assert 'type="range" aria-label="frame"' in html
    assert len(re.findall(r'<button title="[A-Z][^"]+" aria-label="[A-Z]', html)) == html.count("<button") > 5
    frames = re.findall(r'data:image/png;base64,([^"]+)', html)
    assert len(frames) == len(traces[0].steps)
    assert max(map(len, frames)) < 20_000


def test_equal_traces_give_equal_animations_and_different_ones_share_no_name(traces):
    first, again, other = (animate(t, "x").data for t in (traces[0], traces[0], traces[1]))
    assert first == again
    names = [re.search(r"_anim_img(\w+)", html).group(1) for html in (first, other)]
    assert names[0] != names[1]


def test_every_figure_is_drawn_and_shows_something(traces):
    figures = cells_figure(traces[0].samples, traces[0].result), moments_figure(traces[1]), distortion_figure(*traces)
    for figure in figures:
        figure.draw_without_rendering()
        assert all(axes.has_data() for axes in figure.axes)


def test_the_first_figure_of_a_codebook_does_not_tell_its_masses(traces):
    axes = codebook_figure(traces[0].samples, traces[0].moments[-1]).axes[0]
    assert len(axes.texts) == 0 and np.ptp(axes.collections[0].get_facecolor()[:, 3]) == 0
    assert len(axes.collections[0].get_paths()) == 5
