"""Zador's limits against their integrals, and against the quantizers that tend to them."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from ddoq_core.quantization.closed_forms import CLOSED_FORMS, closed_quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import ball_bound, random_coding_bound
from ddoq_core.theory.zador import LINE_LIMITS, ZADOR, zador_limit


def test_every_closed_form_has_its_limit():
    assert list(LINE_LIMITS) == list(CLOSED_FORMS)


@pytest.mark.parametrize("name", LINE_LIMITS)
def test_a_limit_on_a_line_is_the_integral_of_zadors_theorem(name):
    law = CLOSED_FORMS[name].law
    low, high = np.clip(law.support(), -150, 150)  # p^(1/3) is below 1e-21 outside
    halves = (low, law.median()), (law.median(), high)  # the Laplace law has a kink
    norm = sum(quad(lambda x: law.pdf(x) ** (1 / 3), a, b, limit=200)[0] for a, b in halves)
    assert LINE_LIMITS[name] == pytest.approx(norm**3 / 12, rel=1e-5)


def test_K_squared_G_comes_up_to_its_limit_on_every_law():
    for name, limit in LINE_LIMITS.items():
        scaled = [K**2 * closed_quantizer(name, K).distortion for K in (10, 20, 50)]
        assert (np.diff(scaled) > -1e-13).all() and 0.95 * limit < scaled[-1] <= limit * (1 + 1e-12)


def test_the_constant_of_the_plane_is_the_moment_of_a_hexagon_of_area_1():
    slope = math.tan(math.pi / 6)  # a sixth of it: 0 < x < height, |y| < slope x
    height = (6 * slope) ** -0.5
    sixth = quad(lambda x: 2 * slope * x**3 + 2 * (slope * x) ** 3 / 3, 0, height)[0]
    assert ZADOR[2] == pytest.approx(6 * sixth)


def test_the_constant_of_space_is_the_moment_of_a_cell_of_the_body_centred_cubic_lattice():
    X = numpy_rng(0, "test", "lattice").uniform(0, 2, (200_000, 3))
    corner = np.abs(X - 2 * np.round(X / 2))  # of the points with even coordinates
    squared = np.minimum(np.square(corner).sum(1), np.square(1 - corner).sum(1))  # and those with odd ones
    spread = squared.std() / len(X) ** 0.5
    assert ZADOR[3] * 4 ** (2 / 3) == pytest.approx(squared.mean(), abs=4 * spread)  # a cell has volume 4


def test_the_best_constants_known_are_within_the_bounds():
    for d, known in ZADOR.items():
        assert ball_bound(d) <= known < random_coding_bound(d)


def test_the_limit_of_the_normal_law_on_a_line_is_the_one_that_is_quoted():
    assert zador_limit(1, normal=True) == pytest.approx(math.sqrt(3) * math.pi / 2, rel=1e-15)
