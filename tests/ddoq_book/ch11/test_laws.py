"""The tables of the exact quantizers, and the file of points."""

import pytest

from ddoq_book.ch11 import laws
from ddoq_core.quantization.closed_forms import CLOSED_FORMS


@pytest.fixture(scope="module")
def checks():
    return laws.check_closed_forms([1, 2])


def test_every_law_and_level_is_checked_and_newtons_method_agrees(checks):
    assert [(c.law, c.K) for c in checks] == [(name, K) for name in CLOSED_FORMS for K in (1, 2)]
    assert max(c.newton_distortion for c in checks) < 1e-12 and max(c.newton_points for c in checks) < 1e-11
    assert max(c.gradient for c in checks) < 1e-14


def test_two_points_of_known_laws(checks):
    scaled = {c.law: c.scaled for c in checks if c.K == 2}
    # 1 - 2 / pi for N(0, 1); two exponential halves, each of variance 1; two halves of an interval
    known = {"N(0, 1)": 4 * (1 - 2 / 3.141592653589793), "Laplace": 4.0, "uniform on [0, 1]": 1 / 12}
    assert {name: scaled[name] for name in known} == pytest.approx(known)


def test_the_tables_have_every_law_and_level_and_end_each_law_with_its_limit(checks):
    rows = laws.laws_table(checks).rows
    assert [row[1] for row in rows] == 4 * [1, 2, "∞"]
    assert [row[3].value for row in rows[2::3]] == pytest.approx([2.7206990464, 9, 9 / 4, 1 / 12])
    assert [row[1:5] for row in laws.complete_table(checks).rows] == [
        tuple(c.distortion for c in checks if c.K == K) for K in (1, 2)
    ]


def test_the_file_behind_the_link_holds_every_point():
    lines = laws.points_csv([1, 3]).splitlines()
    assert len(lines) == 1 + 4 * (1 + 3)
    assert '"uniform on [0, 1]",3,2,0.5000000000,0.3333333333' in lines
    assert "%0A" in laws.points_link([1, 3]).data and "K = 1 to 3" in laws.points_link([1, 3]).data
