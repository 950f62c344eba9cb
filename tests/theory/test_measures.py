"""Test measures draw from the law that they name."""

import pytest
import torch

from ddoq_core.keys import numpy_rng
from ddoq_core.theory.measures import GaussianMixture


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
