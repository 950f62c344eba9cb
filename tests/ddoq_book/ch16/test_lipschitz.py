"""The chapter on Theorem 13: errors below their bounds, also where those are infinite or huge."""

import math
from dataclasses import astuple

import pytest

from ddoq_book.ch16 import lipschitz
from ddoq_book.ch16.monotone_drift import monotone_drifts
from ddoq_core.results.table import written
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import FOUR_ATOMS


def test_every_bound_is_above_the_error_and_those_of_paths_are_infinite_at_zero():
    found = lipschitz.bounded_errors(FOUR_ATOMS, 1.0, [BROWNIAN], 1.0, [4], [0.0, 0.001, 0.5])
    at_zero, huge, half_way = (at.log_bounds for at in found)
    assert math.isinf(at_zero.printed) and math.isinf(at_zero.corrected) and math.isinf(at_zero.by_W1)
    assert math.isfinite(at_zero.sharp) and huge.printed / math.log(10) > 430
    for at in found:
        assert min(astuple(at.log_bounds)) > math.log(at.error)
    assert half_way.by_W1 < half_way.corrected < half_way.printed


def test_the_table_writes_the_infinite_and_the_huge():
    found = lipschitz.bounded_errors(FOUR_ATOMS, 1.0, [BROWNIAN], 1.0, [4], [0.0, 0.5])
    form = lipschitz.bounds_table(found).columns[3].form
    assert [written(log, form) for log in (math.inf, 1000.0, -1000.0, math.log(0.25))] == [
        "∞",
        "10^434",
        "10^−435",
        "2.50e-01",
    ]


def test_coupled_paths_find_the_error_of_the_exact_kernel():
    for at in lipschitz.coupled_errors(FOUR_ATOMS, 1.0, BROWNIAN, 1.0, [2, 4], [0.3, 0.6], 20_000, 0):
        assert abs(at.coupled.value - at.exact) < 1.7 * at.coupled.half  # 3.3 standard errors
        assert at.exact < at.apart < at.sharp


def test_the_root_mean_square_has_half_the_relative_interval_of_the_mean_square():
    found = monotone_drifts(1000, 0)
    root, mean, _ = lipschitz.monotone_table(found).column("measured")
    squares = found.geometric**2
    assert root.value**2 == pytest.approx(squares.mean()) and mean.value == pytest.approx(found.geometric.mean())
    relative = 1.96 * squares.std(ddof=1) / math.sqrt(1000) / squares.mean()
    assert root.half / root.value == pytest.approx(relative / 2)
