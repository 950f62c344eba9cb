"""The functions of the demos against their namesakes in the package: the same data, the same start, in a browser."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from scipy.stats import wasserstein_distance

from ddoq_book.ch11.cells import cell_polygons
from ddoq_book.ch12.measured_rates import LloydRate, SampledLaw
from ddoq_core.quantization import clvq, companion_weights, distortion, kmeans_plus_plus, lloyd, power_steps
from ddoq_core.quantization.closed_forms import closed_quantizer, normal_cells
from ddoq_core.quantization.forms import spatial_order
from ddoq_core.quantization.voronoi import assign, cells, refilled
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory import diffusion
from ddoq_core.theory.bounds import limit_exponent
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import FOUR_ATOMS, LOPSIDED, GaussianMixture, law_on_line
from ddoq_core.theory.transport import wasserstein2
from ddoq_core.theory.zador import zador_limit

DEMOS = Path(__file__).resolve().parents[2] / "book" / "assets" / "demos"
SCRIPTS = ("quantization", "drawing", "demo", "lloyd", "rate", "weights", "reverse")
close = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(scope="module")
def js(browser) -> Iterator[Callable]:
    """Value of an expression in which `a` is the list of arguments."""
    page = browser.new_page()
    for script in SCRIPTS:
        page.add_script_tag(path=DEMOS / f"{script}.js")
    yield lambda expression, *arguments: page.evaluate(f"(a) => {expression}", [_plain(value) for value in arguments])
    page.close()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | torch.Tensor) else value


def cloud(d: int, n: int = 600) -> torch.Tensor:
    return torch.from_numpy(numpy_rng(0, "demos", d).standard_normal((n, d)) * (1 + np.arange(d)))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_and_distortion_agree(js, d):
    X, x = cloud(d), cloud(d)[:7]
    labels = assign(X, x)
    assert js("ddoq.assign(a[0], a[1])", X, x) == labels.tolist()
    found, expected = js("ddoq.sweep(a[0], a[1])", X, x), cells(X, x, labels)
    for name in ("masses", "sums", "cost", "distortion"):
        np.testing.assert_allclose(found[name], getattr(expected, name), **close)
    np.testing.assert_allclose(js("ddoq.distortion(a[0], a[1])", X, x), distortion(X, x), **close)


def test_empty_cells_are_refilled_alike(js):
    X, x = cloud(2), torch.cat([cloud(2)[:5], torch.full((2, 2), 50.0)])
    found = cells(X, x, assign(X, x))
    expected = refilled(found.masses, found.labels, found.cost).tolist()
    assert expected != found.labels.tolist()
    assert js("ddoq.refilled(a[0], a[1], a[2])", found.masses, found.labels, found.cost) == expected


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("far", [False, True], ids=["in the cloud", "one point far outside"])
def test_lloyd_goes_the_same_way(js, d, far):
    X, x = cloud(d), cloud(d)[:9].clone()
    x[0] += 40 * far
    expected = lloyd(X, x)
    found = js("ddoq.lloyd(a[0], a[1])", X, x)
    np.testing.assert_allclose(found["history"], expected.history, **close)
    np.testing.assert_allclose(found["points"], expected.points, **close)
    assert found["counts"] == expected.counts.tolist()
    assert min(found["counts"]) > 0


@pytest.mark.parametrize("exponent", [0.4, 1.0])
def test_clvq_takes_the_same_steps(js, exponent):
    X, x = cloud(2), cloud(2)[:6]
    expected = clvq(X, x, steps=power_steps(6, exponent=exponent))
    found = js("ddoq.clvq(a[0], a[1], ddoq.power_steps(6, a[2]))", X, x, exponent)
    np.testing.assert_allclose(found["points"], expected.points, **close)
    np.testing.assert_allclose(found["companion"], expected.companion, **close)
    np.testing.assert_allclose(found["distortion"], expected.distortion, **close)


def test_kmeans_plus_plus_makes_the_same_choice_from_the_same_draws(js):
    X = cloud(2)
    X = X[spatial_order(X)]
    expected = kmeans_plus_plus(X, 8, np.random.default_rng(3))
    found = js("ddoq.kmeans_plus_plus(a[0], 8, () => a[1].shift())", X, np.random.default_rng(3).random(100))
    assert found == expected.tolist()


def test_the_polygons_of_the_cells_agree(js):
    points, box = cloud(2)[:12].numpy(), (-5.0, 5.0, -9.0, 9.0)
    expected = cell_polygons(points, box)
    for found, cell in zip(js("ddoq.cell_polygons(a[0], a[1])", points, box), expected, strict=True):
        assert len(found) == len(cell)
        gaps = np.linalg.norm(np.array(found)[:, None] - cell, axis=2)
        assert max(gaps.min(0).max(), gaps.min(1).max()) < 1e-9


def test_the_distribution_function_of_the_normal_law_is_exact(js):
    x = np.linspace(-7, 7, 141)
    found = np.array(js("a[0].map(ddoq.ndtr)", x))
    np.testing.assert_allclose(found, ndtr(x), rtol=0, atol=1e-15)
    tail = x < -3
    np.testing.assert_allclose(found[tail], ndtr(x[tail]), rtol=1e-12)


@pytest.mark.parametrize("K", [1, 2, 3, 8, 24, 64])
def test_optimal_quantizers_on_a_line_agree(js, K):
    for name, route in (("N(0, 1)", "normal_route"), ("uniform on [0, 1]", "uniform_route")):
        points, G = js(f"ddoq.{route}(a[0])", K)
        exact = closed_quantizer(name, K)
        np.testing.assert_allclose(points, exact.points, **close)
        np.testing.assert_allclose(G, exact.distortion, rtol=0, atol=1e-12)


def test_cells_of_the_normal_law_agree_at_points_that_are_not_optimal(js):
    x = np.array([-2.4, -0.4, 0.2, 0.7, 4.6])
    found = js("ddoq.normal_cells(a[0])", x)
    for name, expected in zip(("gradient", "mass", "distortion"), normal_cells(x), strict=True):
        np.testing.assert_allclose(found[name], expected, **close)


@pytest.mark.parametrize("normal", [True, False])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_zador_limits_agree(js, d, normal):
    expected = zador_limit(d, normal=normal)
    assert js("ddoq.zador_limit(a[0], a[1])", d, normal) == pytest.approx(expected, abs=1e-12)


def test_the_local_slope_is_that_of_the_tables(js):
    found = js("ddoq.slope([32, a[0]], [16, a[1]])", 0.031, 0.058)
    expected = LloydRate(SampledLaw("any", 2, True), (16, 32), np.array([[0.058, 0.031]])).slopes()[0]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scheme", ["uniform", "proportional", "sqrt", 0.0, 0.25, 0.5, 1.0])
def test_companion_weights_agree(js, scheme):
    counts = torch.tensor([1, 7, 30, 2, 0, 60])
    expected = companion_weights(counts, scheme)
    np.testing.assert_allclose(js("ddoq.companion_weights(a[0], a[1])", counts, scheme), expected, **close)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_exponent_of_the_limit_law_agrees(js, alpha):
    assert js("ddoq.limit_exponent(2, a[0])", alpha) == pytest.approx(limit_exponent(2, alpha), abs=1e-12)


@pytest.mark.parametrize("concentration", [100.0, 1.0, 0.1], ids=["nearly equal", "any", "mostly on few points"])
@pytest.mark.parametrize("K", [2, 12, 30])
def test_the_transport_distance_is_that_of_the_linear_program(js, K, concentration):
    rng = numpy_rng(0, "demos", "transport", K, str(concentration))
    X = LOPSIDED.sample(250, rng)
    points, weights = X[:K], torch.from_numpy(rng.dirichlet(np.full(K, concentration)))
    others = torch.full((K,), 1 / K).double(), torch.eye(K).double()[0], lloyd(X, points, max_iter=0).weights
    for w in (weights, *others):
        w = w / w.sum()
        found = js("ddoq.wasserstein2(a[0], a[1], a[2])", points, w, X)
        np.testing.assert_allclose(found, wasserstein2(points, w, X), **close)


def test_the_measures_are_those_of_the_package(js):
    measure = js("ddoq.LOPSIDED")
    for name in ("masses", "means", "scales"):
        assert measure[name] == getattr(LOPSIDED, name).tolist()
    x = cloud(2)[:50]
    np.testing.assert_allclose(
        js("a[0].map((x) => ddoq.density(ddoq.LOPSIDED, x))", x), LOPSIDED.log_density(x).exp(), **close
    )


def test_draws_of_a_measure_have_its_mean_and_covariance(js):
    n = 40_000
    X = np.array(js("ddoq.sample(ddoq.LOPSIDED, a[0], ddoq.random_of(7))", n))
    spread = LOPSIDED.covariance().diagonal().max().sqrt().item()
    assert np.abs(X.mean(0) - LOPSIDED.mean().numpy()).max() < 4 * spread / math.sqrt(n)
    assert np.abs(np.cov(X.T) - LOPSIDED.covariance().numpy()).max() < 8 * spread**2 / math.sqrt(n)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_limit_law_of_the_normal_law_has_the_variance_that_theory_says(js, alpha):
    beta = limit_exponent(2, alpha)
    law = js("ddoq.limit_law(ddoq.NORMAL, a[0])", beta)
    assert np.square(law["places"]).sum(1) @ np.array(law["masses"]) == pytest.approx(2 / beta, abs=1e-6)


def plain(law: GaussianMixture) -> dict[str, list[float]]:
    """A law on a line as the scripts have it."""
    return {"masses": law.masses.tolist(), "means": law.means[:, 0].tolist(), "scales": law.scales.tolist()}


def test_the_four_atoms_are_those_of_the_package(js):
    for name, expected in plain(FOUR_ATOMS).items():
        np.testing.assert_allclose(js("ddoq.FOUR_ATOMS")[name], expected, rtol=0, atol=1e-7)  # float32 there


@pytest.mark.parametrize("t", [0.01, 1.0])
def test_the_noised_law_its_score_and_its_distribution_function_agree(js, t):
    law, x = FOUR_ATOMS.noised(BROWNIAN, t), torch.linspace(-2, 2, 41, dtype=torch.float64)
    np.testing.assert_allclose(js("ddoq.noised(a[0], a[1]).scales", plain(FOUR_ATOMS), t), law.scales, **close)
    for expression, expected in (
        ("ddoq.responsibilities", law.responsibilities(x[:, None])),
        ("ddoq.score", law.score(x[:, None])[:, 0]),
        ("ddoq.cdf", law.cdf(x)),
    ):
        found = js(f"a[1].map((x) => {expression}(a[0], x))", plain(law), x)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("step", ["exponential_integrator", "probability_flow"])
@pytest.mark.parametrize("s", [0.0, 0.3])
def test_a_step_of_the_reverse_process_agrees(js, step, s):
    x, slope, noise = torch.tensor([[0.2]]).double(), torch.tensor([[-0.7]]).double(), torch.tensor([[1.3]]).double()
    expected = getattr(diffusion, step)(BROWNIAN, x, slope, 0.5, s, noise).item()
    assert js(f"ddoq.{step}(0.2, -0.7, 0.5, a[0], 1.3)", s) == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(js("ddoq.schedule(0.1, 2, 7)"), diffusion.schedule(0.1, 2.0, 7), **close)


@pytest.mark.parametrize("T", [0.05, 1.0])
def test_where_the_sde_ends_is_the_kernel_of_the_package(js, T):
    points, weights = torch.tensor([[-0.3], [0.8]]), torch.tensor([0.4, 0.6])
    exact = FOUR_ATOMS.reversed(BROWNIAN, points, weights, 0.0, T).masses.reshape(2, 4).sum(0)
    start = plain(GaussianMixture(weights, points, torch.zeros(2)))
    found = js("ddoq.end_shares(a[0], a[1], a[2], 'sde')", plain(FOUR_ATOMS), start, T)
    np.testing.assert_allclose(found, exact, **close)
    wide = GaussianMixture([1.0], [[0.1]], [0.9])
    places = torch.linspace(-12, 12, 200_001, dtype=torch.float64)[:, None]
    density = wide.log_density(places).exp()
    given = FOUR_ATOMS.noised(BROWNIAN, T).responsibilities(places)
    found = js("ddoq.end_shares(a[0], a[1], a[2], 'sde')", plain(FOUR_ATOMS), plain(wide), T)
    np.testing.assert_allclose(found, density @ given / density.sum(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("T", [0.05, 1.0])
def test_where_the_ode_ends_keeps_the_order_of_the_noised_data(js, T):
    start, at_T = GaussianMixture([1.0], [[0.1]], [0.9]), FOUR_ATOMS.noised(BROWNIAN, T)
    borders = law_on_line(at_T).ppf(FOUR_ATOMS.masses.cumsum(0)[:-1].numpy())
    left = np.concatenate([[0], start.cdf(torch.from_numpy(borders)).numpy(), [1]])
    found = js("ddoq.end_shares(a[0], a[1], a[2], 'ode')", plain(FOUR_ATOMS), plain(start), T)
    np.testing.assert_allclose(found, np.diff(left), rtol=0, atol=1e-7)


def test_the_distance_of_atoms_on_a_line_agrees(js):
    other = GaussianMixture([0.5, 0.5], [[-0.52], [0.72]], [0.0, 0.0])
    x, y = FOUR_ATOMS.means[:, 0].numpy(), other.means[:, 0].numpy()
    expected = wasserstein_distance(x, y, FOUR_ATOMS.masses.numpy(), other.masses.numpy())
    assert js("ddoq.wasserstein1(a[0], a[1])", plain(FOUR_ATOMS), plain(other)) == pytest.approx(expected, abs=1e-7)
