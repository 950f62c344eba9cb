"""Karhunen-Loève quantizers: the published errors of Brownian motion, the expansions, and the paths."""

import math

import numpy as np
import pytest

from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.paths import (
    brownian_bridge,
    brownian_motion,
    ornstein_uhlenbeck_path,
    path_quantizer,
    path_rate,
)

# K, distortion and sizes of the best product quantizers of Brownian motion on [0, 1]: rows of the file RECORD_QF.TXT
# of quantize.maths-fi.com (Pagès and Printems), as kept in github.com/Baptiste56/FractionalBM
RECORD = [
    (1, 0.500000, (1,)), (2, 0.241988, (2,)), (5, 0.127114, (5,)), (9, 0.106004, (9,)), (10, 0.098446, (5, 2)),
    (11, 0.098446, (5, 2)), (20, 0.075343, (10, 2)), (24, 0.072249, (8, 3)), (48, 0.061596, (12, 4)),
    (53, 0.060674, (13, 4)), (60, 0.057223, (10, 3, 2)), (96, 0.051276, (12, 4, 2)), (100, 0.051276, (12, 4, 2)),
    (168, 0.046803, (14, 4, 3)), (208, 0.045088, (13, 4, 2, 2)), (255, 0.043587, (17, 5, 3)),
    (300, 0.042049, (15, 5, 2, 2)), (400, 0.040213, (20, 5, 2, 2)), (420, 0.039847, (14, 5, 3, 2)),
]  # fmt: skip
PROCESSES = [brownian_motion(2.0), brownian_bridge(2.0), ornstein_uhlenbeck_path(0.7, 2.0)]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)


@pytest.mark.parametrize(("K", "distortion", "sizes"), RECORD)
def test_sizes_and_errors_of_brownian_motion_are_the_published_ones(K, distortion, sizes):
    found = path_quantizer(brownian_motion(), K)
    assert (found.sizes, round(found.distortion, 6)) == (sizes, distortion)
    assert len(found.weights) == math.prod(sizes)


def test_one_and_two_paths_of_brownian_motion_have_closed_forms():
    """Of one path, zero, the error is int_0^1 t dt; of two, the first coordinate keeps 2/pi of its variance 4/pi^2."""
    one, two = (path_quantizer(brownian_motion(), K).distortion for K in (1, 2))
    assert one == pytest.approx(0.5, abs=1e-14)
    assert two == pytest.approx(0.5 - 8 / np.pi**3, abs=1e-14)


@each_process
def test_the_expansion_has_orthonormal_functions_and_the_covariance_of_the_process(process):
    n = 4000
    t = (np.arange(n) + 0.5) * process.horizon / n
    e = process.eigenfunctions(t)
    np.testing.assert_allclose(e[:6] @ e[:6].T * process.horizon / n, np.eye(6), atol=1e-5)
    covariance = {
        "Brownian motion": lambda s, t: np.minimum(s, t),
        "Brownian bridge": lambda s, t: np.minimum(s, t) - s * t / 2,
        "Ornstein-Uhlenbeck process": lambda s, t: (np.exp(-0.7 * abs(s - t)) - np.exp(-0.7 * (s + t))) / 1.4,
    }[process.name](t[::200, None], t[None, ::200])
    np.testing.assert_allclose(e[:, ::200].T * process.eigenvalues @ e[:, ::200], covariance, atol=0.01)
    assert process.eigenvalues.sum() < process.variance < process.eigenvalues.sum() * 1.01


@each_process
def test_the_distortion_is_what_random_paths_are_away_from_the_nearest_one(process):
    found, n = path_quantizer(process, 12), 20_000
    xi = numpy_rng(0, "test", "paths").standard_normal((n, 64)) * np.sqrt(process.eigenvalues)
    m = len(found.sizes)
    nearest = ((xi[:, None, :m] - found.coordinates) ** 2).sum(-1)
    cost = nearest.min(1) + (xi[:, m:] ** 2).sum(1) + process.variance - process.eigenvalues.sum()
    assert found.distortion == pytest.approx(cost.mean(), abs=5 * cost.std() / n**0.5)
    counts = np.bincount(nearest.argmin(1), minlength=len(found.weights)) / n
    np.testing.assert_allclose(counts, found.weights, atol=0.015)


def test_paths_start_where_the_process_does_and_their_mean_is_zero():
    t = np.array([0.0, 0.3, 1.0])
    for process, ends in ((brownian_motion(), [0]), (brownian_bridge(), [0, 2]), (ornstein_uhlenbeck_path(), [0])):
        found = path_quantizer(process, 20)
        np.testing.assert_allclose(found.paths(t)[:, ends], 0, atol=1e-12)
        np.testing.assert_allclose(found.weights @ found.paths(t), 0, atol=1e-12)


def test_the_error_falls_as_one_over_the_logarithm_and_stays_above_the_limit_of_the_best():
    process = brownian_motion()
    scaled = [math.log(K) * path_quantizer(process, K).distortion for K in (10, 100, 1000, 10_000)]
    assert all(path_rate(process) < s < 1.25 * path_rate(process) for s in scaled)


def test_a_process_that_does_not_return_is_refused():
    with pytest.raises(InputError, match="rate = 0"):
        ornstein_uhlenbeck_path(0)
    with pytest.raises(InputError, match="K = 0"):
        path_quantizer(brownian_motion(), 0)


@pytest.mark.parametrize("process", [brownian_motion, brownian_bridge, lambda T: ornstein_uhlenbeck_path(T=T)])
@pytest.mark.parametrize("T", [0.0, -1.0, math.nan, math.inf])
def test_a_horizon_that_is_none_is_refused(process, T):
    with pytest.raises(InputError, match=f"T = {T}, but it is finite and above 0"):
        process(T)
