"""Divergences: closed forms against quadrature, and Theorem 9: the reverse process can only lower them."""

import math

import pytest
import torch

from ddoq_book.ch15.divergence import kl, kl_normal, pushed_normal, total_variation
from ddoq_core.errors import InputError
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, atoms

GRID = torch.linspace(-12, 12, 8001, dtype=torch.float64)
STANDARD = GaussianMixture([1.0], [[0.0]], [1.0])


def normal(mean, variance):
    return GaussianMixture([1.0], [[mean]], [math.sqrt(variance)])


@pytest.mark.parametrize(("mean", "variance"), [(1.0, 1.0), (0.0, 0.3), (0.5, 2.0)])
def test_quadrature_finds_the_divergence_of_normal_laws(mean, variance):
    assert kl(normal(mean, variance), STANDARD, GRID) == pytest.approx(kl_normal(mean, variance), abs=1e-10)


def test_total_variation_of_two_shifted_normal_laws():
    """2 Phi(h / 2) - 1 for means h apart."""
    assert total_variation(normal(0.6, 1), STANDARD, GRID) == pytest.approx(math.erf(0.3 / math.sqrt(2)), abs=1e-6)


def test_atoms_are_compared_place_by_place_and_repeated_ones_add_up():
    p = atoms(torch.tensor([[0.0], [1.0], [0.0]]), torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64))
    q = atoms(torch.tensor([[1.0], [0.0]]), torch.tensor([0.2, 0.8], dtype=torch.float64))
    assert kl(p, q, GRID) == pytest.approx(0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2))
    assert total_variation(p, q, GRID) == pytest.approx(0.3)


def test_an_atom_that_the_other_law_lacks_is_refused():
    with pytest.raises(InputError, match="p has an atom where q has none: its divergence from q is infinite"):
        kl(atoms(torch.tensor([[2.0]])), atoms(torch.tensor([[0.0], [1.0]])), GRID)


@pytest.mark.parametrize(
    ("mean", "variance", "values"),
    [
        (1.0, 1.0, (0.18394, 0.11157, 0.07478, 0.06767)),
        (0.0, 0.3, (0.02012, 0.00682, 0.00295, 0.00240)),
        (0.5, 2.0, (0.07329, 0.03875, 0.02379, 0.02112)),
    ],
)
def test_the_table_of_theorem_9(mean, variance, values):
    """Data N(0, 1), Ornstein-Uhlenbeck, T = 2: the reverse process is the same process, so all is known by hand."""
    for delta, value in zip((1.0, 0.5, 0.1, 0.0), values, strict=True):
        decay = math.exp(-(2 - delta) / 2)
        m, v = pushed_normal(STANDARD, ORNSTEIN_UHLENBECK, mean, variance, delta, 2.0)
        assert (m, v) == pytest.approx((decay * mean, 1 - decay**2 + decay**2 * variance))
        assert kl_normal(m, v) == pytest.approx(value, abs=5e-6)


@pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)
def test_divergences_only_fall_along_the_reverse_process(process):
    nu, places = normal(0.8, 0.5), torch.linspace(-6, 6, 601, dtype=torch.float64)[:, None]
    masses = nu.log_density(places).exp()
    before = (math.inf, math.inf)
    for delta in (1.0, 0.7, 0.4, 0.2, 0.1):
        if delta < 1:
            nu = FOUR_ATOMS.reversed(process, places, masses / masses.sum(), delta, 1.0)
        mu = FOUR_ATOMS.noised(process, delta)
        after = kl(nu, mu, GRID), total_variation(nu, mu, GRID)
        assert after[0] < before[0] and after[1] < before[1]
        before = after


def test_what_has_no_density_or_is_not_normal_is_refused():
    with pytest.raises(InputError, match="variances are 0 and 1, but a density needs variances above 0"):
        kl_normal(0.0, 0.0)
    with pytest.raises(InputError, match=r"4 components in R\^1; give a normal law, one component on a line"):
        pushed_normal(FOUR_ATOMS, BROWNIAN, 0.0, 1.0, 0.1, 1.0)
