"""Dual quantization: right in the mean on every grid, and above the integral of a convex function."""

import itertools

import numpy as np
import pytest

from ddoq_core.errors import InputError
from ddoq_core.quantization.dual import dual_quantizer
from ddoq_core.randomness import numpy_rng


def cube(d: int, n: int) -> np.ndarray:
    """The corners of [0, 1]^d and n random points in it."""
    inside = numpy_rng(0, "test", "dual", d).random((n, d))
    return np.concatenate([np.array(list(itertools.product([0.0, 1.0], repeat=d))), inside])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_on_any_grid_weights_are_a_law_with_the_mean_of_the_sample(d):
    points, X = cube(d, 20), numpy_rng(1, "test").random((3000, d)) ** 2
    found = dual_quantizer(points, X)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12) and (found.weights >= -1e-12).all()
    np.testing.assert_allclose(found.weights @ points, X.mean(0), atol=1e-12)
    # E|X^|^2 = E|X|^2 + E|X - X^|^2, as X^ is X in the mean
    square = (points**2).sum(1)
    assert found.weights @ square == pytest.approx((X**2).sum(1).mean() + found.distortion, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_rule_is_exact_for_linear_functions_and_above_for_convex_ones(d):
    points, X = cube(d, 20), numpy_rng(1, "test").random((3000, d))
    w = dual_quantizer(points, X).weights
    for f in (lambda x: np.exp(x.sum(1)), lambda x: np.maximum(x[:, 0] - 0.4, 0), lambda x: np.linalg.norm(x, axis=1)):
        assert w @ f(points) > f(X).mean()
    assert w @ (3 * points[:, 0] - 2) == pytest.approx((3 * X[:, 0] - 2).mean(), abs=1e-12)


def test_on_a_line_the_cost_between_two_points_is_the_product_of_the_distances():
    X = numpy_rng(2, "test").random((500, 1))
    assert dual_quantizer(np.array([[1.0], [0.0]]), X).distortion == pytest.approx((X * (1 - X)).mean(), abs=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_a_sample_outside_the_hull_and_more_dimensions_are_refused(d):
    X = np.full((5, d), 0.5)
    X[3] = 1.5
    with pytest.raises(InputError, match="1 of 5 samples are outside the hull"):
        dual_quantizer(cube(d, 3), X)
    with pytest.raises(InputError, match="points have 4 dimensions"):
        dual_quantizer(cube(4, 3), np.full((1, 4), 0.5))


LINE, SQUARE = np.array([[0.0], [1.0]]), cube(2, 0)


@pytest.mark.parametrize(
    ("points", "samples", "said"),
    [
        (LINE, np.array([[np.nan]]), "NaN or infinite"),
        (SQUARE, np.array([[0.5, np.inf]]), "NaN or infinite"),
        (LINE[:1], np.array([[0.0]]), "1 points span no simplex in 1 dimensions; give 2 or more"),
        (np.zeros((3, 1)), np.array([[0.0]]), "3 points span no simplex"),
        (SQUARE[:2], np.full((1, 2), 0.5), "2 points span no simplex in 2 dimensions; give 3 or more"),
        (np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), np.full((1, 2), 0.5), "not all in one plane"),
        (SQUARE, np.empty((0, 2)), r"samples are \(0, 2\)"),
        (SQUARE, np.full((1, 3), 0.5), r"samples are \(1, 3\), but points \(4, 2\)"),
    ],
)
def test_what_has_no_dual_weights_is_refused_in_one_line(points, samples, said):
    with pytest.raises(InputError, match=said) as refused:
        dual_quantizer(points, samples)
    assert "\n" not in str(refused.value)


def test_a_point_that_is_there_twice_counts_once():
    X = numpy_rng(3, "test").random((200, 1))
    found = dual_quantizer(np.array([[0.0], [1.0], [1.0]]), X)
    np.testing.assert_allclose(found.weights, [1 - X.mean(), X.mean(), 0], atol=1e-12)


@pytest.mark.parametrize("d", [2, 3])
def test_samples_on_the_border_of_the_hull_are_inside(d):
    points, edge = cube(d, 20), numpy_rng(4, "test").random((2000, 1))
    X = edge * points[0] + (1 - edge) * points[1]
    assert dual_quantizer(points, X).weights.sum() == pytest.approx(1)
