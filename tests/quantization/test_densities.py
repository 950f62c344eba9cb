"""A law of a density alone has the quantizers of the same law in SciPy's form."""

from inspect import unwrap

import numpy as np
import pytest
from scipy.stats import beta, expon, norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_gradient, exact_quantizer, uniform_quantizer
from ddoq_core.quantization.densities import DensityLaw
from ddoq_core.quantization.powers import power_quantizer

PAIRS = [
    (DensityLaw(lambda x: np.exp(-(x**2) / 2)), norm()),
    (DensityLaw(lambda x: 7 * np.exp(-x), (0, np.inf), centre=1), expon()),
    (DensityLaw(lambda x: np.exp(x), (-np.inf, 0), centre=-1), expon(0, -1)),
    (DensityLaw(lambda x: x * (1 - x), (0, 1), centre=0.5), beta(2, 2)),
]
each_pair = pytest.mark.parametrize(("mine", "scipys"), [p for p in PAIRS if p[1].args != (0, -1)])


@each_pair
def test_quantizers_are_those_of_the_law_in_scipy(mine, scipys):
    for K in (1, 6):
        ours, theirs = exact_quantizer(mine, K), exact_quantizer(scipys, K)
        np.testing.assert_allclose(ours.points, theirs.points, atol=1e-9)
        assert ours.distortion == pytest.approx(theirs.distortion, abs=1e-12)
        np.testing.assert_allclose(uniform_quantizer(mine, K).points, uniform_quantizer(scipys, K).points, atol=1e-8)
    assert power_quantizer(mine, 4, 1).distortion == pytest.approx(power_quantizer(scipys, 4, 1).distortion, abs=1e-10)


@each_pair
def test_quantiles_and_distribution_function_are_those_of_the_law(mine, scipys):
    u = np.array([0, 1e-6, 0.2, 0.5, 0.9, 1])
    np.testing.assert_allclose(mine.ppf(u), scipys.ppf(u), rtol=1e-6, atol=2e-6)
    x = scipys.ppf(u[1:-1])
    np.testing.assert_allclose(mine.cdf(x) + mine.sf(x), 1, atol=1e-12)
    np.testing.assert_allclose(mine.cdf(x), u[1:-1], atol=1e-6)


def test_a_density_to_the_left_is_the_mirror_of_one_to_the_right():
    (right, _), (left, _) = PAIRS[1], PAIRS[2]
    np.testing.assert_allclose(exact_quantizer(left, 5).points, -exact_quantizer(right, 5).points[::-1], atol=1e-9)


def test_two_wells_have_a_stationary_grid_that_is_not_called_optimal():
    wells = DensityLaw(lambda x: np.exp(-((x**2 - 4) ** 2) / 4), centre=2)
    found = exact_quantizer(wells, 9)
    assert not found.optimal and np.abs(exact_gradient(wells, found.points)).max() < 1e-12
    np.testing.assert_allclose(found.points, -found.points[::-1], atol=1e-9)


@pytest.mark.parametrize("f", [lambda x: 0 * x, lambda x: 1 / (1 + np.abs(x) ** 3), lambda x: -np.exp(-(x**2))])
def test_what_is_no_density_or_has_no_variance_is_refused(f):
    with pytest.raises(InputError, match="the density integrates to"):
        DensityLaw(f)


def test_a_density_that_is_negative_in_places_is_refused():
    with pytest.raises(InputError, match=r"^the density is negative near x = 2\.\d*; give one of 0 or more$"):
        DensityLaw(lambda x: np.exp(-(x**2) / 2) - 0.2 * np.exp(-2 * (x - 2) ** 2))


@pytest.mark.parametrize(("mean", "std"), [(50, 1), (7, 0.1), (150, 3)])
@pytest.mark.parametrize("low", [-np.inf, 0])
def test_a_centre_far_from_the_mass_is_refused_at_once(mean, std, low):
    f = lambda x: np.exp(-(((x - mean) / std) ** 2) / 2)  # noqa: E731
    with pytest.raises(InputError, match="the density has its mass far from the 'centre' 0; give one where it is not"):
        DensityLaw(f, (low, np.inf))
    assert DensityLaw(f, (low, np.inf), centre=mean).mean() == pytest.approx(mean)


def test_a_bare_function_is_told_of_the_law_of_a_density():
    with pytest.raises(InputError, match=r"^function is not a law on a line .* or a DensityLaw of a function$"):
        exact_quantizer(lambda x: np.exp(-(x**2)), 3)


@pytest.mark.parametrize("K", [2.5, 0, "3"])
def test_levels_are_whole_numbers(K):
    for quantizer in (exact_quantizer, uniform_quantizer):
        with pytest.raises(InputError, match=r"^K = .*, but it must be a whole number of at least 1$"):
            unwrap(quantizer)(norm(), K)  # without the check of types that tests add
