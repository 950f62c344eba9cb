"""The chapter on the rate: limits that are reached, slopes that are seen, bounds that hold."""

import math

import numpy as np
import pytest

from ddoq_core.report import rate


def cells(table):
    return {(name, row[0]): row[1:] for name, rows in table.blocks for row in rows}


def test_constants_on_a_line():
    found = cells(rate.line_table([1, 10, 1000]))
    normal = {K: row for (name, K), row in found.items() if name.startswith("N(0, 1)")}
    assert [float(normal[K][2]) for K in ("1", "10", "1,000")] == pytest.approx([0.8557, 1.2960, 1.4100], abs=2e-4)
    exponential = {K: row for (name, K), row in found.items() if name.startswith("Exp")}
    assert [float(exponential[K][2]) for K in ("1", "10", "1,000")] == pytest.approx([0.7692, 1.0929, 1.1531], abs=2e-4)
    assert all(0.99 < float(row[1]) <= 1 for (_, K), row in found.items() if K == "1,000")


@pytest.mark.parametrize("cloud", rate.CLOUDS, ids=lambda cloud: cloud.name)
def test_slopes_and_constants_of_lloyd(cloud):
    levels = (16, 64, 128)
    G = rate.lloyd_distortions(cloud, levels, 40_000, range(2))
    assert rate.slopes(levels, G).mean() == pytest.approx(-1 / cloud.d, rel=0.1)
    assert levels[-1] ** (2 / cloud.d) * G[:, -1].mean() / cloud.limit == pytest.approx(1, abs=0.1)


def test_a_circle_is_of_dimension_one():
    rows = {name: row for name, (row,) in rate.circle_table([4, 16]).blocks}
    assert [float(rows[K][0]) for K in ("4", "16")] == pytest.approx([3.0309, 3.2730], abs=6e-5)
    assert float(rows["16"][1]) == pytest.approx(float(rows["16"][0]), rel=0.02)


def test_the_gap_of_theorem_3_is_below_its_bound_and_falls_like_1_over_n():
    gaps = rate.empirical_gaps(2, (100, 1000), 150, 0)
    assert (gaps.gaps >= 0).all() and (gaps.gaps < gaps.bounds).all()
    scaled = 1000 * gaps.gaps[1]
    assert scaled.mean() == pytest.approx(2 - 2 / math.pi, abs=4 * scaled.std() / 150**0.5)
    assert np.log(gaps.bounds[0].mean() / gaps.bounds[1].mean()) / np.log(10) == pytest.approx(0.5, abs=0.1)
