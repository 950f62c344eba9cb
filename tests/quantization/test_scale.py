"""Masses are relative and lengths have any unit: no scale of either changes a quantizer, and none gives NaN."""

import importlib
import math
import warnings

import numpy as np
import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import (
    OptimalQuantizer,
    assign,
    best_of_restarts,
    clvq,
    companding,
    distortion,
    kmeans_plus_plus,
    lloyd,
    minibatch,
    power_steps,
    quantize,
    random_samples,
)
from ddoq_core.quantization.forms import Direct, Gram
from ddoq_core.quantization.minibatch import d4m_minibatch
from ddoq_core.quantization.voronoi import at_least, checked, checked_mass
from ddoq_core.randomness import numpy_rng, torch_rng


def cloud(n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch_rng(0, "test", "scale", n, d), dtype=torch.float64).to(dtype)


def rng():
    return numpy_rng(0, "test", "scale")


SOLVERS = {
    "lloyd": lambda X, x: lloyd(X, x),
    "best_of_restarts": lambda X, x: best_of_restarts(X, len(x), n_restarts=2, rng=rng()),
    "random starts": lambda X, x: best_of_restarts(X, len(x), n_restarts=2, rng=rng(), init="random"),
    "clvq": lambda X, x: clvq(X, x, steps=power_steps(5)),
    "minibatch": lambda X, x: minibatch(X, x),
    "d4m_minibatch": lambda X, x: d4m_minibatch(X, len(x), rng()),
    "quantize": quantize,
}
POINTS = {
    "kmeans_plus_plus": lambda X, K: kmeans_plus_plus(X, K, rng()),
    "random_samples": lambda X, K: random_samples(X, K, rng()),
    "companding": lambda X, K: companding(X[:, :1], K),
}
SHAPES = [(300, 1), (300, 2), (300, 3), (300, 6), (300, 12), (60, 300)]
UNITS = [(torch.float32, -120), (torch.float32, 110), (torch.float64, -500), (torch.float64, 400)]


@pytest.mark.parametrize(("dtype", "power"), UNITS)
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_another_unit_of_length_gives_the_same_quantizer_in_that_unit(solve, n, d, dtype, power):
    X, unit = cloud(n, d, dtype), 2.0**power
    plain, scaled = solve(X, X[:5]), solve(X * unit, X[:5] * unit)
    torch.testing.assert_close(scaled.points, plain.points * unit, rtol=1e-4, atol=0)
    assert torch.equal(scaled.counts, plain.counts)
    assert scaled.distortion == pytest.approx(plain.distortion * unit**2, rel=1e-4)
    assert scaled.history == pytest.approx([G * unit**2 for G in plain.history], rel=1e-4)


@pytest.mark.parametrize(("dtype", "power"), UNITS)
@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
def test_starting_points_follow_the_unit_of_length(points, dtype, power):
    X, unit = cloud(100, 3, dtype), 2.0**power
    torch.testing.assert_close(points(X * unit, 9), points(X, 9) * unit, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("dtype", "power"), UNITS)
def test_callbacks_see_points_and_distortions_in_the_samples_unit(dtype, power):
    X, unit = cloud(50, 2, dtype), 2.0**power

    def seen(samples):
        found = []
        for solve in (lloyd, minibatch, lambda X, x, **told: clvq(X, x, steps=power_steps(3), **told)):
            solve(samples, samples[:3], callback=lambda it: found.append((it.points.max().item(), it.distortion)))
        return np.array(found)

    np.testing.assert_allclose(seen(X * unit), seen(X) * [unit, unit**2], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-170, 1e-300])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_squares_below_the_range_change_no_point_and_no_weight(n, d, scale):
    X = cloud(n, d)
    plain, tiny = (best_of_restarts(Y, 5, n_restarts=2, rng=rng()) for Y in (X, X * scale))
    torch.testing.assert_close(tiny.points / scale, plain.points, rtol=1e-9, atol=0)
    torch.testing.assert_close(tiny.weights, plain.weights)
    assert tiny.distortion == 0  # the number nearest to it


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("d", [1, 2, 6])
@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_a_distortion_above_the_range_is_refused(solve, d, scale):
    X = cloud(60, d) * scale
    with pytest.raises(InputError, match="leave the range of float64; divide the samples"):
        solve(X, X[:5])


@pytest.mark.parametrize("mass", [1e-170, 1e160, 1e308, 5e-324, 3.0])
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_equal_masses_are_masses_of_one(n, d, dtype, mass, init):
    X = cloud(n, d, dtype)
    options = {"n_restarts": 2, "init": init}
    plain = best_of_restarts(X, 5, rng=rng(), **options)
    scaled = best_of_restarts(X, 5, rng=rng(), mass=torch.full((n,), mass, dtype=torch.float64), **options)
    torch.testing.assert_close(scaled.points, plain.points, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scaled.weights, plain.weights)
    assert scaled.distortion == pytest.approx(plain.distortion, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-290, 1e-100, 1e100, 1e290])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_masses_are_relative(n, d, scale):
    X, mass = cloud(n, d), torch.from_numpy(rng().exponential(size=n))
    plain, scaled = (lloyd(X, X[:5], mass=m) for m in (mass, mass * scale))
    torch.testing.assert_close(scaled.points, plain.points)
    torch.testing.assert_close(scaled.weights, plain.weights)
    assert scaled.distortion == pytest.approx(plain.distortion)


@pytest.mark.parametrize(("n", "d"), [(300, 2), (60, 300)])
def test_a_cell_of_masses_too_light_for_float32_has_its_own_mean(n, d):
    X = torch.cat([cloud(n // 2, d, torch.float32), cloud(n // 2, d, torch.float32) + 50])
    mass = torch.ones(n, dtype=torch.float64)
    mass[n // 2 :] = 1e-60
    found = lloyd(X, torch.stack([X[0], X[-1]]), mass=mass)
    torch.testing.assert_close(found.points[1], X[n // 2 :].double().mean(0).float())
    assert found.weights[1].item() == pytest.approx(1e-60)


def test_a_far_point_is_nearest_to_no_sample_and_one_beyond_the_range_is_refused():
    X = cloud(40, 2, torch.float32)
    points = torch.cat([X[:3], torch.full((1, 2), 1e14)])
    assert torch.equal(assign(X, points), assign(X, X[:3]))
    with pytest.raises(InputError, match=r"too far from the samples for torch\.float32; give points closer"):
        assign(X, torch.cat([X[:3], torch.full((1, 2), 1e30)]))


def test_samples_at_0_take_the_unit_of_the_points():
    points = torch.tensor([[2e-200, 0], [1e-200, 0]], dtype=torch.float64)
    assert assign(torch.zeros(3, 2, dtype=torch.float64), points).tolist() == [1, 1, 1]


@pytest.mark.parametrize("scale", [1e-170, 1.0, 1e160])
def test_the_estimator_keeps_its_promises_in_every_unit(scale):
    X = cloud(300, 3).numpy()
    start, weight = X[:5] * scale, np.full(300, 1e-170)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if scale > 1:
            with pytest.raises(InputError, match="divide the samples"):
                OptimalQuantizer(5, init=start).fit(X * scale)
            return
        found = OptimalQuantizer(5, init=start).fit(X * scale, sample_weight=weight)
    plain = OptimalQuantizer(5, init=X[:5]).fit(X)
    np.testing.assert_allclose(found.weights_, plain.weights_)
    np.testing.assert_array_equal(found.predict(X * scale), plain.labels_)
    np.testing.assert_allclose(found.transform(X * scale) / scale, plain.transform(X))


def test_masses_are_divided_by_a_power_of_two():
    mass = torch.tensor([0.3, 0.7, 12.0])
    scaled = checked_mass(mass, torch.zeros(3, 1))
    assert 1 <= scaled.max() < 2 and torch.equal(scaled * 8, mass.double())
    assert math.frexp((mass.double()[0] / scaled[0]).item())[0] == 0.5


module = importlib.import_module("ddoq_core.quantization.lloyd")  # the function of that name hides it


def test_masses_too_light_for_float32_are_not_left_to_the_gram_form():
    X, mass = torch.zeros(1300, 4096), torch.ones(1300, dtype=torch.float64)
    assert type(module.form_of(X[:50], mass[:50], [5], 500)) is Gram
    mass[7] = 1e-30
    assert type(module.form_of(X[:50], mass[:50], [5], 500)) is Direct


BAD = {
    "another dimension": (lambda x: x[:, :2], "points have 2 dimensions, samples 3; give both the same"),
    "no matrix": (lambda x: x[0], r"points are \(3,\)"),
    "integers": (lambda x: x.long(), "give a matrix"),
    "NaN": (lambda x: x.index_fill(0, torch.tensor([1]), math.nan), "1 of 4 points are NaN or infinite, first row 1"),
    "infinite": (lambda x: x.index_fill(0, torch.tensor([2]), math.inf), "1 of 4 points are NaN or infinite"),
    "no rows": (lambda x: x[:0], "K = 0|empty"),
    "no columns": (lambda x: x[:, :0], "empty"),
}
TAKING_POINTS = {
    "assign": assign,
    "distortion": distortion,
    "quantize": quantize,
    "lloyd": lloyd,
    "clvq": SOLVERS["clvq"],
    "minibatch": minibatch,
}


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", TAKING_POINTS.values(), ids=TAKING_POINTS)
def test_a_codebook_is_checked_as_samples_are(function, spoil, words):
    X = cloud(30, 3)
    with pytest.raises(InputError, match=words) as caught:
        function(X, spoil(X[:4]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("d", [1, 3, 12])
@pytest.mark.parametrize("types", [("float64", "float32"), ("float32", "float64"), ("float16",) * 2, ("bfloat16",) * 2])
@pytest.mark.parametrize("function", TAKING_POINTS.values(), ids=TAKING_POINTS)
def test_mixed_and_half_precision_are_promoted_to_that_of_the_samples(function, types, d):
    of_samples, of_points = (getattr(torch, t) for t in types)
    X, x = cloud(30, d).to(of_samples), cloud(4, d).to(of_points).requires_grad_()
    promoted = X.float() if X.element_size() < 4 else X
    found, expected = function(X.requires_grad_(), x), function(promoted.detach(), x.detach().to(promoted.dtype))
    for a, b in zip(*(vars(q).values() if hasattr(q, "points") else [q] for q in (found, expected)), strict=True):
        assert torch.equal(a, b) if torch.is_tensor(a) else a == b


@pytest.mark.parametrize(
    ("parameter", "value", "solve"),
    [
        ("max_iter", -1, lambda X: lloyd(X, X[:2], max_iter=-1)),
        ("max_iter", -1, lambda X: best_of_restarts(X, 2, n_restarts=1, rng=rng(), max_iter=-1)),
        ("n_restarts", 0, lambda X: best_of_restarts(X, 2, n_restarts=0, rng=rng())),
        ("n_restarts", 1.5, lambda X: at_least(1, n_restarts=1.5)),
        ("passes", 0, lambda X: minibatch(X, X[:2], passes=0)),
        ("passes", -1, lambda X: clvq(X, X[:2], steps=power_steps(2), passes=-1)),
    ],
)
def test_a_number_of_steps_is_whole_and_not_too_small(parameter, value, solve):
    with pytest.raises(InputError, match=f"{parameter} = {value}, but it must be a whole number of at least"):
        solve(cloud(9, 2))


def test_levels_may_be_numpy_integers_and_nothing_but_whole():
    X = cloud(30, 2)
    found = best_of_restarts(X, np.int64(4), n_restarts=np.int32(2), rng=rng())
    assert torch.equal(found.points, best_of_restarts(X, 4, n_restarts=2, rng=rng()).points)
    assert [len(q.points) for q in best_of_restarts(X, np.arange(2, 4), n_restarts=1, rng=rng())] == [2, 3]
    with pytest.raises(InputError, match=r"K = 2\.5, but there are 30 samples"):
        checked(X, 2.5)
