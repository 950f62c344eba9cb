"""Laws that are heavy-tailed, singular, kinked, far away, tiny or new: certified quantizers, or one line."""

import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from ddoq_core.errors import InputError
from ddoq_core.quantization import (
    exact_centroids,
    exact_distortion,
    exact_gradient,
    exact_quantizer,
    uniform_quantizer,
)
from ddoq_core.quantization.closed_forms import CLOSED_FORMS, ClosedForm, closed_quantizer
from ddoq_core.quantization.laws import standard_law

LAWS = {
    "heavy tail": stats.t(2.5),
    "barely a variance": stats.pareto(2.1),
    "lognormal of 3": stats.lognorm(3),
    "lognormal of 10": stats.lognorm(10),
    "a tail whose quantiles scipy does not know": stats.f(3, 4.5),
    "a density that overflows to NaN": stats.invgauss(10),
    "singular at 0": stats.gamma(0.1),
    "nearly all at 0": stats.gamma(0.01),
    "singular at both ends": stats.beta(0.1, 0.1),
    "arcsine": stats.arcsine(),
    "root at the ends": stats.semicircular(),
    "singular inside": stats.dgamma(0.5),
    "kinked": stats.triang(0.2),
    "kinked twice": stats.trapezoid(0.2, 0.7),
    "kinked beside the median": stats.laplace_asymmetric(3),
    "steps": stats.rv_histogram(np.histogram([1, 2, 2, 3, 5, 5, 9], bins=6), density=True),
    "many scales": stats.loguniform(1e-100, 1),
    "far from 0": stats.norm(1e8, 1),
    "far from 0 by its shape": stats.gamma(1e6),
    "tiny": stats.expon(0, 1e-100),
    "huge": stats.expon(0, 1e150),
    "new kind": stats.Normal(mu=7, sigma=0.01),
    "new mixture": stats.Mixture([stats.Normal(mu=-1), stats.Normal(mu=3, sigma=0.01)], weights=[0.4, 0.6]),
}


@pytest.mark.parametrize("quantizer", [exact_quantizer, uniform_quantizer])
@pytest.mark.parametrize("K", [1, 4, 5])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_weights_mean_and_variance_are_those_of_the_law(law, K, quantizer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy's densities far out
        found = quantizer(law, K)
    variance = law.variance() if hasattr(law, "variance") else law.var()
    away = found.points - law.mean()
    assert found.weights.sum() == pytest.approx(1, abs=1e-9) and (found.weights > 0).all()
    # the points of laws far away are as coarse as numbers are there
    assert abs(found.weights @ away) <= 1e-9 * variance**0.5 + 1e-16 * K * abs(law.mean())
    coarse = 2e-9 + 2e-16 * abs(law.mean()) / variance**0.5
    assert found.weights @ away**2 + found.distortion == pytest.approx(variance, rel=coarse)
    assert (np.diff(found.points) >= 0).all() and 0 < found.distortion <= variance * (1 + 1e-9)


def test_the_points_of_a_lognormal_law_are_the_means_of_their_cells_by_closed_forms():
    s = 3.0
    found = exact_quantizer(stats.lognorm(s), 5)
    edges = np.log([1e-300, *(found.points[1:] + found.points[:-1]) / 2, 1e300]) / s
    mass, moment = (np.abs(np.diff(ndtr(-(edges - k * s)))) * np.exp(k**2 * s**2 / 2) for k in (0, 1))
    np.testing.assert_allclose(found.weights, mass, rtol=1e-8)
    np.testing.assert_allclose(found.points, moment / mass, rtol=1e-8)
    assert found.distortion == pytest.approx(np.exp(2 * s**2) - found.weights @ found.points**2, rel=1e-8)


def test_the_points_of_a_singular_gamma_law_are_the_means_of_their_cells_by_closed_forms():
    a = 0.1
    found = exact_quantizer(stats.gamma(a), 6)
    edges = [0, *(found.points[1:] + found.points[:-1]) / 2, np.inf]
    mass, moment = np.diff(stats.gamma(a).cdf(edges)), a * np.diff(stats.gamma(a + 1).cdf(edges))
    np.testing.assert_allclose(found.weights, mass, rtol=1e-9)
    np.testing.assert_allclose(found.points, moment / mass, rtol=1e-9)


def test_a_heavy_tail_has_the_optimum_of_its_own_power():
    # a cell [u, v] of density 2.5 x^-3.5: moments 2.5 / (2.5 - k) (u^(k - 2.5) - v^(k - 2.5))
    found, a = exact_quantizer(stats.pareto(2.5), 5), 2.5
    edges = np.array([1, *(found.points[1:] + found.points[:-1]) / 2, np.inf])
    mass, moment = (a / (a - k) * -np.diff(edges ** (k - a)) for k in (0, 1))
    np.testing.assert_allclose(found.weights, mass, rtol=1e-9)
    np.testing.assert_allclose(found.points, moment / mass, rtol=1e-9)
    for factor in (0.9, 1.1):
        assert exact_distortion(stats.pareto(2.5), 1 + (found.points - 1) * factor) > found.distortion


@pytest.mark.parametrize(("shift", "scale"), [(1e8, 1), (0, 1e-100), (0, 1e150), (-3, 1e-6)])
@pytest.mark.parametrize("family", [stats.norm, stats.expon, stats.laplace, stats.uniform, lambda *at: stats.t(5, *at)])
def test_shift_and_scale_are_taken_out_first(family, shift, scale):
    plain, moved = exact_quantizer(family(0, 1), 4), exact_quantizer(family(shift, scale), 4)
    np.testing.assert_array_equal(moved.points, shift + scale * plain.points)
    np.testing.assert_array_equal(moved.weights, plain.weights)
    assert moved.distortion == pytest.approx(plain.distortion * scale * scale, rel=1e-12)
    x = np.array([-1, 0.25, 2])
    law, at = family(shift, scale), shift + scale * x
    rounding = {"rtol": 1e-6, "atol": 1e-15 * scale}
    np.testing.assert_allclose(exact_gradient(law, at), exact_gradient(family(0, 1), x) * scale, **rounding)
    np.testing.assert_allclose(
        exact_centroids(law, at) - shift, exact_centroids(family(0, 1), x) * scale, rtol=1e-6, atol=2e-8
    )
    assert exact_distortion(law, at) == pytest.approx(exact_distortion(family(0, 1), x) * scale**2, rel=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stats.norm(7, 0.01), stats.Normal(mu=7, sigma=0.01)),
        (stats.uniform(2, 3), stats.Uniform(a=2, b=5)),
        (stats.logistic(), stats.Logistic()),
        (stats.gamma(3), stats.make_distribution(stats.gamma)(a=3)),
    ],
)
def test_scipys_new_laws_are_the_old_ones(old, new):
    a, b = exact_quantizer(old, 6), exact_quantizer(new, 6)
    np.testing.assert_allclose(b.points, a.points, rtol=1e-9)
    assert (b.distortion, b.optimal) == (pytest.approx(a.distortion, rel=1e-9), a.optimal)


@pytest.mark.parametrize(
    "law",
    [
        *(stats.poisson(3), stats.binom(5, 0.3), stats.Binomial(n=5, p=0.3), stats.gamma, stats.multivariate_normal()),
        *(stats.gaussian_kde([1.0, 2.0, 4.0]), "norm", stats.norm([0, 1], 1), stats.norm(0, -1), stats.cauchy()),
        stats.norm(0, 1e200),
    ],
)
@pytest.mark.parametrize("quantizer", [exact_quantizer, uniform_quantizer])
def test_what_has_no_density_or_no_variance_is_refused_in_one_line(law, quantizer):
    with pytest.raises(InputError) as caught:
        quantizer(law, 3)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 160


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (stats.fisk(2.001), "the variance of the law is not that between cells and within"),
        (stats.gamma(1e12), "do not sum to 1|is not kept|between cells and within"),
    ],
)
@pytest.mark.parametrize("quantizer", [exact_quantizer, uniform_quantizer])
def test_what_is_not_certified_is_said(law, words, quantizer):
    with pytest.raises(ArithmeticError, match=f"K = 3: .*({words})"):
        quantizer(law, 3)


def test_a_certificate_names_what_is_wrong():
    law = standard_law(stats.norm())
    found = exact_quantizer(stats.norm(), 3)
    nothing, second = np.zeros(3), np.array([found.distortion])
    assert law.wrong(found.points, found.weights, nothing, second) == ""
    assert "sum to 1" in law.wrong(found.points, found.weights * (1 + 1e-8), nothing, second)
    assert "mean" in law.wrong(found.points + 1e-8, found.weights, nothing, second)
    assert "variance" in law.wrong(found.points, found.weights, nothing, second + 1e-8)
    assert "sum to 1" in law.wrong(found.points, found.weights * np.nan, nothing, second)


def test_a_closed_form_that_is_wrong_is_said(monkeypatch):
    wrong = ClosedForm(stats.uniform(), lambda K: ((np.arange(K) + 0.5) / K, 1 / (11 * K**2)))
    monkeypatch.setitem(CLOSED_FORMS, "uniform on [0, 1]", wrong)
    with pytest.raises(ArithmeticError, match=r"uniform on \[0, 1\], K = 4: the variance"):
        closed_quantizer("uniform on [0, 1]", 4)
