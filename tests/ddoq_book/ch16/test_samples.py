"""N samples and K points: an identity for all N samples, and the bound that has both in it."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from ddoq_book.ch16.rates_in_space import three_atoms
from ddoq_book.ch16.samples import (
    chi_square_information,
    sample_errors,
    sample_errors_figure,
    sample_errors_table,
    stationary,
)
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.theory.bounds import curvature_constant
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import FOUR_ATOMS, atoms

SIZES, LEVELS = (100, 1000), (2, 16, 200)


@pytest.fixture(scope="module")
def found():
    return [sample_errors(data, 1.0, SIZES, LEVELS, range(12)) for data in (FOUR_ATOMS, three_atoms(5))]


def test_the_information_is_its_integral_and_at_most_the_number_of_atoms_less_one():
    mu_T = FOUR_ATOMS.noised(BROWNIAN, 0.5)

    def integrand(x):
        r = mu_T.responsibilities(torch.tensor([[x]], dtype=torch.float64))[0]
        density = mu_T.log_density(torch.tensor([[x]], dtype=torch.float64)).exp().item()
        return (r.square() / FOUR_ATOMS.masses).sum().item() * density

    exact = quad(integrand, -8, 8, limit=200)[0] - 1
    assert chi_square_information(FOUR_ATOMS, 0.5, numpy_rng(0, "test")) == pytest.approx(exact, rel=0.02)
    assert chi_square_information(FOUR_ATOMS, 1e-4, numpy_rng(0, "test")) == pytest.approx(3, rel=0.02)


def test_the_mean_chi_square_of_n_samples_is_the_information_over_n():
    """Exactly: a constant 10 % smaller or larger would be seen, in d = 1 and d = 5 alike."""
    for data in (FOUR_ATOMS, three_atoms(5)):
        mu_T, rng = data.noised(BROWNIAN, 1.0), numpy_rng(0, "test", "identity")
        ends = mu_T.responsibilities(mu_T.sample(400_000, rng)).reshape(8000, 50, -1).mean(1)
        times_n = Mean.of_many((50 * ((ends - data.masses).square() / data.masses).sum(1)).numpy())
        exact = chi_square_information(data, 1.0, numpy_rng(1, "test"))
        assert times_n.value == pytest.approx(exact, abs=times_n.half + 0.01 * exact)
        assert times_n.half < 0.05 * exact


def test_the_bound_holds_in_the_mean_for_every_n_and_k(found):
    for at in found:
        tv, bound = at.tv.mean(0), at.bound.mean(0)
        assert (tv[~np.isnan(tv)] <= bound[~np.isnan(tv)]).all()
        assert (tv[:, -1] > 0.4 * bound[:, -1]).all()
        assert np.isnan(tv[0, 2]) and not np.isnan(tv[1]).any()


@pytest.mark.parametrize("data", [FOUR_ATOMS, three_atoms(5)], ids=["d = 1", "d = 5"])
def test_there_is_no_curse_of_dimension_in_the_number_of_samples(data):
    """Slope -1/2 in R^5 too, where W_2(mu_N, mu_T) has -1/5."""
    slope = sample_errors(data, 1.0, SIZES, (), range(200)).slope()
    assert slope.value == pytest.approx(-0.5, abs=0.08) and slope.half < 0.08


def test_many_points_are_as_good_as_all_samples_and_few_are_not(found):
    tv = found[0].tv.mean(0)
    assert tv[1, 1] < 1.1 * tv[1, 3] and tv[1, 0] > 2 * tv[1, 3]


def test_for_one_lipschitz_function_both_terms_bound_the_error():
    """f(x) = x at delta = 0, mean square over samples: at most the sum of the roots, tight in the first as T -> 0."""
    for T, share in ((1.0, 0.0), (1e-3, 0.95)):
        mu_T, errors, G = FOUR_ATOMS.noised(BROWNIAN, T), [], []
        for seed in range(300):
            rng = numpy_rng(seed, "test", "linear")
            x, w, squared = stationary(mu_T.sample(200, rng), 4, rng)
            errors.append((w @ mu_T.responsibilities(x) - FOUR_ATOMS.masses) @ FOUR_ATOMS.means[:, 0])
            G.append(squared)
        first = (FOUR_ATOMS.covariance().item() / 200) ** 0.5
        second = curvature_constant(BROWNIAN, 1.0, 0.0, T) / 2 * np.mean(np.square(G)) ** 0.5
        root = np.sqrt(np.mean(np.square(errors)))
        assert root <= 1.1 * first + second
        assert root >= share * first * (1 - 0.1)


def test_points_are_means_of_their_cells():
    X = torch.from_numpy(np.random.default_rng(0).standard_normal((100, 3)))
    x, w, G = stationary(X, 7, numpy_rng(0, "test"))
    torch.testing.assert_close(w @ x, X.mean(0))
    spread = (X - X.mean(0)).square().sum(1).mean().item()
    assert spread == pytest.approx((w @ (x - X.mean(0)).square().sum(1)).item() + G)


def test_table_and_figure_have_every_dimension(found):
    assert [row[0] for row in sample_errors_table(found).rows] == [1, 5]
    assert [axes.get_title(loc="left") for axes in sample_errors_figure(found).axes] == ["d = 1", "d = 5"]
    assert chi_square_information(atoms(torch.zeros(1, 2)), 1.0, numpy_rng(0, "test")) == pytest.approx(0)
