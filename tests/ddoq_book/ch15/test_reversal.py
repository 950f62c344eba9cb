"""The law comes back: the tests of the chapter have power, its samplers converge, its starts are what they say."""

import numpy as np
import pytest
import torch

from ddoq_book.ch15 import reversal
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN, reverse
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture


def test_the_projected_test_accepts_draws_of_the_law_and_refuses_those_of_a_near_one():
    law, near = (GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [s, s]) for s in (0.5, 0.6))
    _, same = reversal.projected_ks(law.sample(4000, numpy_rng(0, "same")), law, numpy_rng(0, "u"))
    _, other = reversal.projected_ks(near.sample(4000, numpy_rng(0, "near")), law, numpy_rng(0, "u"))
    assert same > 0.01 > 1e-4 > other


def test_every_law_comes_back_in_every_dimension():
    """18 tests at significance 0.001 each."""
    found = reversal.returned_laws([1, 2, 5], 1000, 100, 0.1, 1.0, 0)
    assert len(found) == 18 and all(at.p > 1e-3 for at in found)
    assert reversal.returns_table(found).column("p-value") == [at.p for at in found]


def test_more_steps_bring_every_sampler_nearer_to_the_law():
    found = reversal.sampler_errors([4, 16, 64], 20_000, 0.05, 1.0, 0)
    for name, values in found.errors.items():
        assert values[0] > 2 * values[1] and values[1] > values[2], name
        assert values[2] < 3 * found.floor, name
    assert found.slope("probability-flow ODE") == pytest.approx(-1, abs=0.1)


def test_a_traced_path_ends_where_an_untraced_one_does():
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    times, along = reversal.trace(FOUR_ATOMS, BROWNIAN, x, 0.0, 1.0, 20, reversal.probability_flow, 0)
    end = reverse(
        FOUR_ATOMS, BROWNIAN, x, 0.0, 1.0, n_steps=20, rng=numpy_rng(0, "unused"), step=reversal.probability_flow
    )
    assert times[0] == 1 and times[-1] == 0 and len(along) == 21
    np.testing.assert_allclose(along[-1], end.numpy(), atol=1e-12)


def test_a_cloud_run_to_zero_gives_back_its_atoms_with_their_masses():
    away, p = reversal.returned_shares(5000, 100, 1.0, 0)
    assert away < 1e-6 and p > 1e-3


def test_what_preserves_variance_does():
    ddpm, smld = reversal.chain_variances(100, 20_000, numpy_rng(0, "chains"))
    for found in (ddpm, smld):
        assert abs(found.variance.value - found.exact) < 2 * found.variance.half
    assert ddpm.exact == 1 and smld.exact > 800


def test_quantiles_have_the_ranks_of_a_sample_without_noise():
    law = FOUR_ATOMS.noised(BROWNIAN, 1.0)
    ranks = law.cdf(reversal.quantiles(law, 4)[:, 0])
    torch.testing.assert_close(ranks, torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=torch.float64))
