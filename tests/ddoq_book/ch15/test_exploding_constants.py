"""Remark 14 on two atoms: what explodes as delta goes to 0, and what does not."""

import math

import pytest
import torch

from ddoq_book.ch15.exploding_constants import TWO_ATOMS, explosion, two_ends
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import flow_slope, law_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK, probability_flow, reverse


@pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)
def test_the_flow_at_the_middle_of_two_atoms_is_as_steep_as_the_root_of_the_worst_path(process):
    h = 1e-6
    start = torch.tensor([[h], [-h]], dtype=torch.float64)
    rng = numpy_rng(0, "unused")
    end = reverse(TWO_ATOMS, process, start, 0.3, 1.0, n_steps=2000, rng=rng, step=probability_flow)
    assert (end[0] - end[1]).item() / (2 * h) == pytest.approx(flow_slope(process, 1, 0.3, 1.0), rel=2e-3)


def test_the_slopes_of_the_flow_worked_out_before():
    values = [flow_slope(BROWNIAN, 1, delta, 1) for delta in (0.1, 0.01, 0.001)]
    assert values == pytest.approx([28.4659, 3.1447e20, 2.6921e215], rel=1e-4)


def test_at_zero_w1_is_lipschitz_in_the_start_and_w2_only_of_order_one_half():
    for h in (0.1, 0.01):
        right, left = two_ends(h, 0.0, 1.0)
        mass = (right.masses - left.masses).abs().max().item()
        assert mass == pytest.approx(math.tanh(h))
        assert 2 * mass <= law_constant(BROWNIAN, 1, 0, 1) * 2 * h * (1 + 1e-6)  # W_1: that mass moves by 2
        assert 2 * mass**0.5 > 2 * h * 2  # W_2


def test_w2_of_two_near_starts_grows_where_w1_does_not():
    for found, ratio in zip(explosion([0.2, 0.1], 1.0, 1e-3), (1.26, 2.53), strict=True):
        assert pytest.approx(ratio, rel=0.01) == found.W2
        assert pytest.approx(1, abs=1e-5) == found.W1


def test_the_flow_is_between_the_laws_and_the_worst_path():
    for found in explosion([0.3, 0.2, 0.1], 1.0, 1e-3):
        assert found.W1 <= found.W2 < found.flow < found.worst_path
