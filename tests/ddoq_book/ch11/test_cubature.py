"""What the chapter shows of cubature: a sum written out, three rules, and their errors."""

import numpy as np
import pytest

from ddoq_book.ch11 import cubature as shown
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.cubature import CALL, INTEGRANDS, cubature_error, normal_quantizer


def test_the_sum_written_out_is_the_integral_and_its_error():
    found = shown.work_out(CALL, 5)
    assert found.total - CALL.mean == pytest.approx(cubature_error(CALL, 5), abs=1e-15)
    rows = shown.worked_table(found).rows
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, "sum", "exact"]
    assert sum(row[-1] for row in rows[:5]) == pytest.approx(rows[5][-1]) and rows[6][-1] == CALL.mean


def test_every_rule_is_compared_on_every_integrand_and_a_bound_stands_only_where_there_is_one():
    found = shown.compare_rules([2, 5], 10, numpy_rng(0, "test"))
    assert [(rule.integrand, rule.K) for rule in found] == [(f.name, K) for f in INTEGRANDS for K in (2, 5)]
    assert [rule.first_order is None for rule in found[::2]] == [f.lipschitz is None for f in INTEGRANDS]
    assert all(rule.draws.n == 10 for rule in found)
    assert len(shown.rules_table(found).rows) == 8


def test_the_slope_of_a_power_is_its_exponent():
    levels = [2, 4, 8]
    assert shown.slope(levels, np.array(levels) ** -1.5) == pytest.approx(-1.5)
    G = np.array([normal_quantizer(K).distortion for K in (50, 200)])
    assert shown.slope([50, 200], G) == pytest.approx(-2, abs=0.05)


def test_the_figure_is_drawn():
    figure = shown.cubature_figure([2, 4, 8], 5, numpy_rng(0, "test"))
    figure.draw_without_rendering()
    assert figure.axes[0].has_data()
