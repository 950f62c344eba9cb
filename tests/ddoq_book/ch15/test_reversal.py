"""The law comes back: the tests of the chapter have power, its samplers converge, its starts are what they say."""

import numpy as np
import pytest
import torch

from ddoq_book.ch15 import reversal
from ddoq_core.keys import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN, reverse
from ddoq_core.theory.measures import FOUR_ATOMS, GaussianMixture


def test_the_projected_test_accepts_draws_of_the_law_and_refuses_those_of_a_near_one():
    law, near = (GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [s, s]) for s in (0.5, 0.6))
    _, same = reversal.projected_ks(law.sample(4000, numpy_rng(0, "same")), law, numpy_rng(0, "u"))
    _, other = reversal.projected_ks(near.sample(4000, numpy_rng(0, "near")), law, numpy_rng(0, "u"))
    assert same > 0.01 > 1e-4 > other


def test_every_law_comes_back_in_every_dimension():
    """18 tests at significance 0.001 each."""
    table = reversal.return_table([1, 2, 5], 1000, 100, 0.1, 1.0, 0)
    assert len(table.rows) == 18 and all(float(row[-1]) > 1e-3 for row in table.rows)


def test_more_steps_bring_every_sampler_nearer_to_the_law():
    errors = reversal.step_errors([4, 16, 64], 20_000, 0.05, 1.0, 0)
    floor = errors.pop("20,000 draws of the law")[0]
    for name, values in errors.items():
        assert values[0] > 2 * values[1] and values[1] > values[2], name
        assert values[2] < 3 * floor, name
    ode = errors["probability-flow ODE"]
    assert np.polyfit(np.log([4, 16, 64]), np.log(ode), 1)[0] == pytest.approx(-1, abs=0.1)


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


def test_simulated_divergences_are_the_exact_ones_less_what_bins_hide():
    start = GaussianMixture([1.0], [[0.5]], [0.9])
    for found in reversal.divergences(start, [1.0, 0.4, 0.1], 1.0, 20_000, 40, 0):
        assert -0.05 * found.kl - 1.5 * found.interval < found.simulated_kl - found.kl < 1.5 * found.interval


def test_both_divergences_from_atoms_stay_below_their_bound():
    for row in reversal.singular_table([3, 10], [0.4, 0.1, 0.0], 1.0).rows:
        kl, tv, bound = map(float, row[2:])
        assert 0 < kl < bound and 0 < tv < bound


def test_what_preserves_variance_does():
    (ddpm,), (smld,) = (rows for _, rows in reversal.chain_variances(100, 20_000, numpy_rng(0, "chains")).blocks)
    for row in (ddpm, smld):
        value, half = map(float, row[1].split(" ± "))
        assert abs(value - float(row[2])) < 2 * half
    assert ddpm[2] == "1.00" and float(smld[2]) > 800
