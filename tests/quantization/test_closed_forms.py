"""The exact quantizers of four laws, held against 40 digits, against each other, and against Newton's method."""

import itertools

import mpmath
import numpy as np
import pytest

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_gradient, exact_quantizer
from ddoq_core.quantization.closed_forms import CLOSED_FORMS, closed_quantizer, half_cells

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
            q = closed_quantizer("N(0, 1)", K)
            x, w, G = normal_in_40_digits(q.points)
            assert max(abs(a - b) for a, b in zip(q.points, x, strict=True)) < EXACT
            assert max(abs(a - b) for a, b in zip(q.weights, w, strict=True)) < EXACT
            assert abs(q.distortion - G) < 1e-13


def test_every_point_of_the_exponential_law_is_the_mean_of_its_cell_in_40_digits():
    with mpmath.workdps(40):
        for K in LEVELS:
            q = closed_quantizer("Exponential", K)
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
    assert half_cells(50) == pytest.approx(exact, abs=1e-14)
    for K in LEVELS:
        points = np.cumsum(np.concatenate([exact[K - 1 : K], 2 * exact[: K - 1][::-1]]))
        assert closed_quantizer("Exponential", K).points == pytest.approx(points, abs=EXACT)


def test_2m_points_of_the_laplace_law_cost_what_m_points_of_the_exponential_law_cost():
    for m in range(1, 26):
        twice, once = closed_quantizer("Laplace", 2 * m), closed_quantizer("Exponential", m)
        assert twice.distortion == once.distortion
        assert twice.points[m:] == pytest.approx(once.points, abs=0)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_gradient_points_and_distortion_by_quadrature_agree_for_every_K_to_50(name):
    law = CLOSED_FORMS[name].law
    for K in LEVELS:
        closed, newton = closed_quantizer(name, K), exact_quantizer(law, K)
        assert np.abs(exact_gradient(law, closed.points)).max() < 1e-14
        assert abs(closed.distortion - newton.distortion) < 1e-12
        # also where the Hessian is singular, see below
        assert np.abs(closed.points - newton.points).max() < 1e-11


def test_all_points_of_an_even_number_on_the_laplace_law_move_together_at_no_cost():
    """A boundary is on the kink, and the Hessian has an eigenvalue 0."""
    law, h = CLOSED_FORMS["Laplace"].law, 1e-4
    for K in (4, 20, 38):
        x = closed_quantizer("Laplace", K).points
        slope = (exact_gradient(law, x + h) - exact_gradient(law, x - h)) / (2 * h)
        assert np.abs(slope).max() < 2 * h


def test_weights_sum_to_1_and_points_increase():
    for name in CLOSED_FORMS:
        for K in LEVELS:
            q = closed_quantizer(name, K)
            assert q.weights.sum() == pytest.approx(1, abs=1e-14)
            assert (np.diff(q.points) > 0).all()


def test_a_stationary_grid_splits_the_variance_of_every_law():
    for name, form in CLOSED_FORMS.items():
        for K in LEVELS:
            q, law = closed_quantizer(name, K), form.law
            kept = q.weights @ (q.points - law.mean()) ** 2
            assert kept + q.distortion == pytest.approx(law.var(), abs=1e-12)


def test_an_unknown_law_and_a_level_below_1_are_refused():
    with pytest.raises(InputError, match="law = 'Cauchy', but it must be one of: N"):
        closed_quantizer("Cauchy", 2)
    with pytest.raises(InputError, match="K = 0"):
        closed_quantizer("Laplace", 0)
