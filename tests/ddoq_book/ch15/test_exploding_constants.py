"""Lemma 12 with both constants, and what explodes as delta goes to 0."""

import math

import numpy as np
import pytest
import torch

from ddoq_book.ch15 import exploding_constants
from ddoq_core.keys import numpy_rng
from ddoq_core.theory.bounds import flow_slope, law_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK, probability_flow, reverse
from ddoq_core.theory.transport import wasserstein1_on_line, wasserstein2_on_line


def test_no_cloud_exceeds_lemma_12_with_the_radius_or_with_half_the_diameter():
    for found in exploding_constants.monotonicity([1, 2, 5], 200, 1).values():
        assert found.by_radius.max() <= 1 and found.by_diameter.max() <= 1 + 1e-12
        assert found.by_diameter.max() > 0.98  # and that is sharp
        assert found.two_atoms == pytest.approx(1, abs=1e-6)


def test_half_the_diameter_can_be_less_than_the_radius_by_nearly_the_root_of_2():
    ball, half_diameter, largest = exploding_constants.simplex_radii(100)
    assert (ball, half_diameter, largest) == pytest.approx((0.99, 0.5, 0.5))


@pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)
def test_the_flow_at_the_middle_of_two_atoms_is_as_steep_as_the_root_of_the_worst_path(process):
    h = 1e-6
    start = torch.tensor([[h], [-h]], dtype=torch.float64)
    end = reverse(
        exploding_constants.TWO_ATOMS,
        process,
        start,
        0.3,
        1.0,
        n_steps=2000,
        rng=numpy_rng(0, "unused"),
        step=probability_flow,
    )
    assert (end[0] - end[1]).item() / (2 * h) == pytest.approx(flow_slope(process, 1, 0.3, 1.0), rel=2e-3)


def test_the_slopes_of_the_flow_worked_out_before():
    values = [flow_slope(BROWNIAN, 1, delta, 1) for delta in (0.1, 0.01, 0.001)]
    assert values == pytest.approx([28.4659, 3.1447e20, 2.6921e215], rel=1e-4)


def pair(h, delta):
    """Where two starts at h and -h at time 1 end at delta."""
    starts = torch.tensor([[[h]], [[-h]]], dtype=torch.float64)
    return [exploding_constants.TWO_ATOMS.reversed(BROWNIAN, x, torch.ones(1), delta, 1.0) for x in starts]


def test_at_zero_w1_is_lipschitz_in_the_start_and_w2_only_of_order_one_half():
    for h in (0.1, 0.01):
        right, left = (
            exploding_constants.TWO_ATOMS.reversed(
                BROWNIAN, torch.tensor([[side * h]], dtype=torch.float64), torch.ones(1), 0.0, 1.0
            )
            for side in (1, -1)
        )
        mass = (right.masses - left.masses).abs().max().item()
        assert mass == pytest.approx(math.tanh(h))
        assert 2 * mass <= law_constant(BROWNIAN, 1, 0, 1) * 2 * h  # W_1: that mass moves by 2
        assert 2 * mass**0.5 > 2 * h * 2  # W_2


@pytest.mark.parametrize(("delta", "ratio"), [(0.2, 1.26), (0.1, 2.53)])
def test_w2_of_two_near_starts_grows_where_w1_does_not(delta, ratio):
    right, left = (
        exploding_constants.TWO_ATOMS.reversed(BROWNIAN, torch.tensor([[side * 1e-3]]), torch.ones(1), delta, 1.0)
        for side in (1, -1)
    )
    levels = np.unique(np.concatenate([np.linspace(0, 1, 1001)[1:-1], 0.5 + np.linspace(-0.01, 0.01, 4001)]))
    assert wasserstein2_on_line(right, left, levels) / 2e-3 == pytest.approx(ratio, rel=0.01)
    assert wasserstein1_on_line(right, left) / 2e-3 == pytest.approx(1, abs=1e-5)
