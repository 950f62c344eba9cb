"""Cells in the plane by quadrature, against closed forms."""

import numpy as np
import pytest
from scipy.special import ndtr, owens_t
from scipy.stats import multivariate_normal, norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.plane import plane_cells, plane_quantizer
from ddoq_core.randomness import numpy_rng

LAW = multivariate_normal(np.zeros(2))


def test_a_product_of_exact_quantizers_has_the_product_of_their_masses_and_the_sum_of_their_distortions():
    rows, columns = exact_quantizer(norm(), 4), exact_quantizer(norm(), 7)
    x = np.stack(np.meshgrid(rows.points, columns.points, indexing="ij"), -1).reshape(-1, 2)
    mass, moment, second, _ = plane_cells(LAW, x)
    np.testing.assert_allclose(mass, np.outer(rows.weights, columns.weights).ravel(), atol=1e-13)
    assert second.sum() == pytest.approx(rows.distortion + columns.distortion, abs=1e-12)
    assert np.abs(moment).max() < 1e-13


def test_a_wedge_has_the_mass_that_owens_function_gives():
    """Points whose cells meet in one corner: three half planes cut the plane in wedges."""
    x = np.array([[1.0, 0.5], [-0.7, 1.2], [0.3, -1.0]])
    mass, *_ = plane_cells(LAW, x)
    # the boundary between points 0 and 1 is a line at distance h from 0; on it the corner stands at t
    centre = np.linalg.solve(2 * (x[1:] - x[0]), (x[1:] ** 2).sum(1) - (x[0] ** 2).sum())
    wedges = []
    for i in range(3):
        sides = []
        for j in range(3):
            if j != i:
                n = (x[j] - x[i]) / np.linalg.norm(x[j] - x[i])
                h, along = centre @ n, np.array([-n[1], n[0]])
                outward = along if (x[3 - i - j] - x[i]) @ along < 0 else -along
                sides.append((h, centre @ outward, n))
        # P(wedge): half planes n1.X < h1 and n2.X < h2, a bivariate normal law with correlation n1.n2
        (h1, _, n1), (h2, _, n2) = sides
        wedges.append(multivariate_normal([0, 0], [[1, n1 @ n2], [n1 @ n2, 1]]).cdf([h1, h2]))
    np.testing.assert_allclose(mass, wedges, atol=1e-7)
    half = plane_cells(LAW, np.array([[0.0, 0.0], [3.0, 0.0]]))[0]
    np.testing.assert_allclose(half, [ndtr(1.5), ndtr(-1.5)], atol=1e-13)
    assert owens_t(0, 1) == pytest.approx(1 / 8)


def test_one_point_has_all_of_the_law():
    law = multivariate_normal([3, -2], [[2, 0.5], [0.5, 1]])
    mass, moment, second, distance = plane_cells(law, np.array([[3.0, -2.0]]))
    assert (mass.item(), second.item()) == pytest.approx((1, 3), abs=1e-12) and np.abs(moment).max() < 1e-12
    distances = np.linalg.norm(law.rvs(10**5, random_state=numpy_rng(0, "test")) - [3, -2], axis=1)
    assert distance.item() == pytest.approx(distances.mean(), abs=0.01)


def test_the_gradient_is_what_finite_differences_of_the_distortion_measure():
    x, h = numpy_rng(0, "test", "plane").standard_normal((5, 2)), 1e-5
    _, moment, _, _ = plane_cells(LAW, x)
    cost = lambda y: plane_cells(LAW, y)[2].sum()  # noqa: E731
    steps = h * np.eye(10).reshape(10, 5, 2)
    slopes = [(cost(x + e) - cost(x - e)) / (2 * h) for e in steps]
    np.testing.assert_allclose(-2 * moment.ravel(), slopes, atol=1e-9)


@pytest.mark.parametrize(("K", "known"), [(2, 2 - 2 / np.pi), (3, 2 - 27 / (8 * np.pi))])
def test_two_and_three_points_end_in_the_known_optimum(K, known):
    """Two halves; three wedges of a third of the plane, with points at distance 3 sqrt 3 / (2 sqrt(2 pi))."""
    x = plane_quantizer(LAW, numpy_rng(1, "test", "plane").standard_normal((K, 2)))
    _, moment, second, _ = plane_cells(LAW, x)
    assert second.sum() == pytest.approx(known, abs=1e-11)
    assert np.abs(moment).max() < 1e-8


def test_a_law_of_another_dimension_and_one_that_is_cut_off_are_refused():
    with pytest.raises(InputError, match="give a law in the plane"):
        plane_cells(multivariate_normal(np.zeros(3)), np.zeros((1, 2)))
    with pytest.raises(ArithmeticError, match="1 cells in the plane: the mass of the law is missed"):
        plane_cells(LAW, np.array([[12.0, 0.0]]))
