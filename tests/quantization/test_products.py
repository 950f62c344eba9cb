"""Product quantizers, and the sizes that are best for them."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import laplace, multivariate_normal, norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.plane import plane_cells
from ddoq_core.quantization.products import allocate, product_quantizer

COSTS = [math.nan, *(exact_quantizer(norm(), k).distortion for k in range(1, 31))]


def test_weights_and_distortion_are_those_of_the_cells_in_the_plane():
    found = product_quantizer([exact_quantizer(norm(), 3), exact_quantizer(norm(0, 0.5), 5)])
    law = multivariate_normal([0, 0], [[1, 0], [0, 0.25]])
    mass, moment, second, _ = plane_cells(law, found.points)
    np.testing.assert_allclose(found.weights, mass, atol=1e-12)
    assert found.distortion == pytest.approx(second.sum(), abs=1e-11) and np.abs(moment).max() < 1e-11
    assert found.points.shape == (15, 2) and not found.optimal


def test_one_factor_is_itself():
    one = exact_quantizer(laplace(), 4)
    found = product_quantizer([one])
    np.testing.assert_array_equal(found.points[:, 0], one.points)
    assert found.optimal == one.optimal and found.distortion == one.distortion


@pytest.mark.parametrize("K", [1, 2, 7, 12, 30])
def test_no_other_sizes_do_better(K):
    v = np.array([1.0, 0.4, 0.35, 0.05])
    sizes, cost = allocate(v, K, COSTS.__getitem__)
    every = [s for s in itertools.product(range(1, K + 1), repeat=4) if math.prod(s) <= K]
    costs = [sum(v[i] * COSTS[k] for i, k in enumerate(s)) for s in every]
    assert cost == pytest.approx(min(costs), abs=1e-14)
    assert math.prod(sizes) <= K and list(sizes) == sorted(sizes, reverse=True) and 1 not in sizes
    padded = [*sizes, 1, 1, 1, 1][:4]
    assert cost == pytest.approx(sum(v[i] * COSTS[k] for i, k in enumerate(padded)), abs=1e-14)


def test_no_points_are_refused():
    with pytest.raises(InputError, match="K = 0"):
        allocate(np.ones(2), 0, COSTS.__getitem__)
    with pytest.raises(InputError, match="a product of no quantizers"):
        product_quantizer([])
