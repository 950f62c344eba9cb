"""The map of the probability-flow ODE: Lipschitz with the root of C e^(r (T - delta)), attained by two atoms."""

import math

import numpy as np
import pytest
import torch

from ddoq_book.ch15.reversal import quantiles
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import flow_slope
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK, probability_flow, reverse
from ddoq_core.theory.measures import atoms

BOTH = pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)
DELTA, T = 0.3, 1.0


def flow(measure, process, x, n_steps):
    return reverse(measure, process, x, DELTA, T, n_steps=n_steps, rng=numpy_rng(0, "unused"), step=probability_flow)


def two_atoms(d):
    """At distance 2 along a diagonal axis e, about 0."""
    e = torch.ones(1, d, dtype=torch.float64) / d**0.5
    return e, atoms(torch.cat([-e, e]))


@BOTH
@pytest.mark.parametrize("d", [1, 2, 5])
def test_two_atoms_attain_the_slope_of_the_flow(process, d):
    e, two = two_atoms(d)
    end = flow(two, process, torch.cat([1e-6 * e, -1e-6 * e]), 600)
    slope, S = ((end[0] - end[1]).norm() / 2e-6).item(), flow_slope(process, 1, DELTA, T)
    assert slope > 0.9 * S  # a constant 10 % smaller is exceeded
    assert slope == pytest.approx(S, rel=6e-3)  # the steps'


@BOTH
def test_no_random_cloud_has_a_steeper_flow_and_none_contracts_by_more_than_one_atom(process):
    rng, largest = numpy_rng(0, "test", "flow"), 0.0
    for trial in range(15):
        d = int(rng.integers(1, 6))
        cloud = torch.from_numpy(rng.standard_normal((int(rng.integers(2, 6)), d)))
        x = process.decay(T) * cloud.mean(0) + torch.from_numpy(rng.standard_normal((20, d))) / 2
        y = x + 1e-3 * torch.from_numpy(rng.standard_normal((20, d)))
        ends = flow(atoms(cloud), process, torch.stack([x, y]), 80)
        ratio = (ends[0] - ends[1]).norm(dim=1) / (x - y).norm(dim=1)
        S = flow_slope(process, torch.pdist(cloud).max().item() / 2, DELTA, T)
        least = math.sqrt(process.bridge(DELTA, T)[1] * math.exp(process.rate * (T - DELTA)))
        assert ratio.max() <= S * 1.01 and ratio.min() >= least * 0.99, trial
        largest = max(largest, ratio.max().item() / S)
    assert largest > 0.7


@BOTH
def test_on_a_line_the_slope_is_attained_in_wasserstein_distance_with_the_noised_data_as_one_start(process):
    """Mass of mu_T within 0.01 of 0 is shifted by a bump: W_q of the ends over W_q of the starts tends to S."""
    _, two = two_atoms(1)
    x = torch.linspace(-0.01, 0.01, 401, dtype=torch.float64)[:, None]  # nearly all points of mu_T stay in their place
    shift = 1e-4 * (1 - (x / 0.01).square()).square()
    ends = flow(two, process, torch.stack([x, x + shift]), 600)
    S = flow_slope(process, 1, DELTA, T)
    for q in (1, 2):
        before, after = (np.mean((b - a).abs().numpy() ** q) ** (1 / q) for a, b in ((x, x + shift), ends))
        assert 0.98 * S < after / before <= S * (1 + 6e-3), q


@BOTH
def test_the_flow_carries_the_noised_law_to_the_less_noised_one(process):
    _, two = two_atoms(1)
    start, end = (quantiles(two.noised(process, t), 199) for t in (T, DELTA))
    torch.testing.assert_close(flow(two, process, start, 500), end, rtol=0, atol=1e-2)
