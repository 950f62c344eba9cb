"""Test measures draw from the law that they name."""

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture, law_on_line


def test_a_mixture_has_the_mean_and_variance_of_its_formula():
    mixture = GaussianMixture((0.25, 0.75), ((-3.0, 0.0), (1.0, 2.0)), (0.5, 1.5))
    X = mixture.sample(200_000, numpy_rng(0, "test"))
    torch.testing.assert_close(X.mean(0), torch.tensor([0.0, 1.5], dtype=torch.float64), atol=0.02, rtol=0)
    within, between = 0.25 * 0.25 + 0.75 * 2.25, torch.tensor([3.0, 0.75], dtype=torch.float64)
    torch.testing.assert_close(X.var(0), within + between, rtol=0.02, atol=0)


def test_draws_depend_on_the_key_alone():
    mixture = GaussianMixture((1.0,), ((0.0,),), (1.0,))
    assert torch.equal(mixture.sample(5, numpy_rng(1, "test")), mixture.sample(5, numpy_rng(1, "test")))
    assert mixture.sample(5, numpy_rng(1, "test")).std() != pytest.approx(mixture.sample(5, numpy_rng(2, "test")).std())


def test_mean_and_covariance_are_those_of_many_draws():
    law = GaussianMixture([0.2, 0.8], [[1.0, 0.0], [-1.0, 2.0]], [0.5, 0.1])
    x = law.sample(200_000, numpy_rng(0, "moments"))
    torch.testing.assert_close(law.mean(), x.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(law.covariance(), x.T.cov(), atol=0.02, rtol=0)


def test_a_projection_is_the_law_of_the_projected_draws():
    law, u = GaussianMixture([0.2, 0.8], [[1.0, 0.0], [-1.0, 2.0]], [0.5, 0.1]), torch.tensor([0.6, 0.8])
    line = law.projected(u)
    assert line.mean().item() == pytest.approx((law.mean() @ u.double()).item())
    assert line.covariance().item() == pytest.approx((u.double() @ law.covariance() @ u.double()).item())


def test_the_jacobian_of_the_score_is_what_finite_differences_measure():
    law, x, h = GaussianMixture([0.2, 0.8], [[1.0, 0.0], [-1.0, 2.0]], [0.5, 0.0]), torch.tensor([0.3, 0.7]), 1e-5
    for process in (BROWNIAN, ORNSTEIN_UHLENBECK):
        noised, steps = law.noised(process, 0.4), h * torch.eye(2, dtype=torch.float64)
        difference = (noised.score(x + steps) - noised.score(x - steps)) / (2 * h)
        torch.testing.assert_close(law.score_jacobian(process, x, 0.4), difference, atol=1e-7, rtol=1e-7)


def test_a_score_without_noise_is_refused():
    with pytest.raises(InputError, match="t = 0, but a score needs noise; give t > 0"):
        FOUR_ATOMS.score_jacobian(BROWNIAN, torch.zeros(1), 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_point_that_is_not_finite_is_refused(value):
    with pytest.raises(InputError, match="a point is not finite"):
        FOUR_ATOMS.noised(BROWNIAN, 1).score(torch.tensor([[0.0], [value]]))


def test_weights_of_a_start_that_do_not_sum_to_one_are_refused():
    with pytest.raises(InputError, match=r"masses sum to 0\.8"):
        FOUR_ATOMS.reversed(BROWNIAN, torch.zeros(2, 1), torch.tensor([0.5, 0.3]), 0.1, 1.0)


def test_a_mixture_is_a_law_of_scipy():
    law = law_on_line(FOUR_ATOMS.noised(BROWNIAN, 1.0))
    assert law.cdf(law.ppf(0.3)) == pytest.approx(0.3)
    assert law.var() == pytest.approx(law.expect(lambda x: x**2) - law.mean() ** 2)
