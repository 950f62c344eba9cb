"""The exact quantizers of four laws, held against 40 digits, against each other, and against Newton's method."""

import itertools

import mpmath
import numpy as np
import pytest

from ddoq_book.ch11 import laws
from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer

LEVELS = range(1, 51)
EXACT = 1e-10  # what the chapter promises of points, weights and distortions


def normal_in_40_digits(x: np.ndarray) -> tuple[list, list, mpmath.mpf]:
    """Points, weights and distortion for N(0, 1): Newton's residual in 40 digits, its direction in double precision."""
    x = [mpmath.mpf(float(v)) for v in x]
    K = len(x)
    for _ in range(3):
        edges = [-mpmath.inf, *((a + b) / 2 for a, b in itertools.pairwise(x)), mpmath.inf]
        Phi, phi = [mpmath.ncdf(e) for e in edges], [mpmath.npdf(e) for e in edges]
        w = [Phi[i + 1] - Phi[i] for i in range(K)]
        gradient = [2 * (x[i] * w[i] - (phi[i] - phi[i + 1])) for i in range(K)]
        H = np.diag([2 * float(v) for v in w])
        for i in range(K - 1):
            H[i : i + 2, i : i + 2] -= float((x[i + 1] - x[i]) / 2 * phi[i + 1])
        step = np.linalg.solve(H, [float(g * mpmath.mpf(10) ** 30) for g in gradient])
        x = [v - mpmath.mpf(float(s)) / mpmath.mpf(10) ** 30 for v, s in zip(x, step, strict=True)]
    assert max(map(abs, gradient)) < mpmath.mpf(10) ** -30
    return x, w, 1 - sum(a * b**2 for a, b in zip(w, x, strict=True))  # a stationary grid splits the variance


def test_the_normal_quantizers_are_those_of_40_digits_for_every_K_to_50():
    with mpmath.workdps(40):
        for K in LEVELS:
            q = laws.closed_quantizer("N(0, 1)", K)
            x, w, G = normal_in_40_digits(q.points)
            assert max(abs(a - b) for a, b in zip(q.points, x, strict=True)) < EXACT
            assert max(abs(a - b) for a, b in zip(q.weights, w, strict=True)) < EXACT
            assert abs(q.distortion - G) < 1e-13


def test_every_point_of_the_exponential_law_is_the_mean_of_its_cell_in_40_digits():
    with mpmath.workdps(40):
        for K in LEVELS:
            q = laws.closed_quantizer("Exponential", K)
            x = [mpmath.mpf(float(v)) for v in q.points]
            edges = [mpmath.mpf(0), *((a + b) / 2 for a, b in itertools.pairwise(x)), mpmath.inf]
            tail = [mpmath.exp(-e) for e in edges]
            above = [mpmath.mpf(0) if mpmath.isinf(e) else (e + 1) * t for e, t in zip(edges, tail, strict=True)]
            w = [tail[i] - tail[i + 1] for i in range(K)]
            means = [(above[i] - above[i + 1]) / w[i] for i in range(K)]
            assert max(abs(a - b) for a, b in zip(means, x, strict=True)) < 1e-13
            assert max(abs(a - b) for a, b in zip(w, q.weights, strict=True)) < 1e-13
            # the variance of a law is that of its means of cells plus the distortion
            spread = 2 - sum(a * b**2 for a, b in zip(w, x, strict=True))
            assert abs(spread - q.distortion) < 1e-12


def test_the_recursion_of_the_exponential_law_gives_the_same_in_40_digits():
    with mpmath.workdps(40):
        m = [mpmath.mpf(1)]
        for _ in range(49):
            f = lambda l, last=m[-1]: l - 1 + l / mpmath.expm1(l) - last  # noqa: E731
            l = mpmath.findroot(f, (m[-1], 2 * m[-1]), solver="anderson")
            m.append(1 - l / mpmath.expm1(l))
        exact = np.array([float(v) for v in m])
    assert laws.half_cells(50) == pytest.approx(exact, abs=1e-14)
    for K in LEVELS:
        points = np.cumsum(np.concatenate([exact[K - 1 : K], 2 * exact[: K - 1][::-1]]))
        assert laws.closed_quantizer("Exponential", K).points == pytest.approx(points, abs=EXACT)


def test_2m_points_of_the_laplace_law_cost_what_m_points_of_the_exponential_law_cost():
    for m in range(1, 26):
        twice, once = laws.closed_quantizer("Laplace", 2 * m), laws.closed_quantizer("Exponential", m)
        assert twice.distortion == once.distortion
        assert twice.points[m:] == pytest.approx(once.points, abs=0)


@pytest.mark.parametrize("name", laws.LAWS)
def test_distortion_and_gradient_by_quadrature_agree_for_every_K_to_50(name):
    differences = laws.newton_differences(name, LEVELS)
    assert differences[:, 1].max() < 1e-12
    assert max(laws._residual(name, laws.closed_quantizer(name, K)) for K in LEVELS) < 1e-14


def test_newtons_points_are_exact_even_where_the_hessian_is_singular():
    """On the Laplace law with even K a boundary stands on the kink, and the Hessian has an eigenvalue 0."""
    for name in laws.LAWS:
        assert laws.newton_differences(name, LEVELS)[:, 0].max() < 1e-11, name
    for K in (4, 20, 38):
        x, h = laws.closed_quantizer("Laplace", K).points, 1e-4
        law = laws.LAWS["Laplace"][0]
        slope = (laws.exact_gradient(law, x + h) - laws.exact_gradient(law, x - h)) / (2 * h)
        assert np.abs(slope).max() < 2 * h  # all points moved together: no curvature


def test_weights_sum_to_1_and_points_increase():
    for name in laws.LAWS:
        for K in LEVELS:
            q = laws.closed_quantizer(name, K)
            assert q.weights.sum() == pytest.approx(1, abs=1e-14)
            assert (np.diff(q.points) > 0).all()


def test_a_stationary_grid_splits_the_variance_of_every_law():
    for name, (law, *_) in laws.LAWS.items():
        for K in LEVELS:
            q = laws.closed_quantizer(name, K)
            kept = q.weights @ (q.points - law.mean()) ** 2
            assert kept + q.distortion == pytest.approx(law.var(), abs=1e-12)


def test_K_squared_G_comes_up_to_zadors_constant_on_every_law():
    for name, (*_, limit) in laws.LAWS.items():
        scaled = [K**2 * laws.closed_quantizer(name, K).distortion for K in (10, 20, 50)]
        assert (np.diff(scaled) > -1e-13).all() and 0.95 * limit < scaled[-1] <= limit * (1 + 1e-12)


def test_the_tables_hold_every_law_level_and_limit():
    chosen = laws.laws_table([1, 2]).rows
    assert len(chosen) == 4 * 3
    assert chosen[4][:4] == ("Laplace", "2", "1.0000000000", "4.000000")
    assert [row[3] for row in chosen if row[1] == "∞"][2] == "9/4 = 2.250000"
    rows = laws.complete_table(LEVELS).rows
    assert len(rows) == 50 and rows[1][1] == "0.3633802276"


def test_the_file_behind_the_link_holds_every_point():
    lines = laws.points_csv([1, 3]).splitlines()
    assert len(lines) == 1 + 4 * (1 + 3)
    assert '"uniform on [0, 1]",3,2,0.5000000000,0.3333333333' in lines
    assert "%0A" in laws.points_link([1, 3]).data and "K = 1 to 3" in laws.points_link([1, 3]).data


def test_an_unknown_law_and_a_level_below_1_are_refused():
    with pytest.raises(InputError, match="law = 'Cauchy', but it is one of: N"):
        laws.closed_quantizer("Cauchy", 2)
    with pytest.raises(InputError, match="K = 0"):
        laws.closed_quantizer("Laplace", 0)


def test_newton_and_closed_form_agree_on_the_first_levels():
    assert exact_quantizer(laws.LAWS["Exponential"][0], 2).points == pytest.approx(
        laws.closed_quantizer("Exponential", 2).points, abs=1e-12
    )
