"""Errors in expectation: Theorem 13 for every start, the rates of Corollary 15."""

import pytest
import torch

from ddoq_book.ch16.expectation_errors import (
    constant_of_measure,
    error_rates,
    one_draw_each,
    start_measures,
    worst_function,
)
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import FOUR_ATOMS, atoms
from ddoq_core.theory.transport import expectation_error, wasserstein1_on_line

BOTH = pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)


@BOTH
@pytest.mark.parametrize("delta", [0.0, 0.1, 0.9])
def test_the_error_is_below_the_sharp_bound_for_every_start(process, delta):
    for start in start_measures(FOUR_ATOMS, process, 1.0, 8).values():
        error = expectation_error(FOUR_ATOMS, process, start.measure, delta, 1.0)
        assert 0 < error < law_constant(process, 1.0, delta, 1.0) * start.W1
        assert start.W1 < start.W2


def test_errors_are_those_worked_out_before():
    start = start_measures(FOUR_ATOMS, BROWNIAN, 1.0, 64)["optimal"]
    for delta, error in ((0.0, 1.35e-5), (0.1, 2.96e-5), (0.9, 1.57e-4)):
        assert expectation_error(FOUR_ATOMS, BROWNIAN, start.measure, delta, 1.0) == pytest.approx(error, rel=0.01)
    assert law_constant(BROWNIAN, 1.0, 0.0, 1.0) * start.W1 == pytest.approx(0.0243, abs=1e-4)


def test_the_worst_function_is_1_lipschitz_and_attains_w1():
    mu, nu = FOUR_ATOMS.noised(BROWNIAN, 0.2), atoms(torch.tensor([[0.1], [0.7]])).noised(BROWNIAN, 0.1)
    f, z = worst_function(mu, nu), torch.linspace(-9, 9, 9001, dtype=torch.float64)
    assert abs(f(z[1:].numpy()) - f(z[:-1].numpy())).max() <= (z[1] - z[0]).item() * (1 + 1e-9)
    p, q = (law.log_density(z[:, None]).exp() for law in (mu, nu))
    gain = torch.trapezoid(torch.from_numpy(f(z.numpy())) * (p - q), z).item()
    assert gain == pytest.approx(wasserstein1_on_line(mu, nu), abs=1e-4)


def test_slopes_of_the_rates():
    found = error_rates(FOUR_ATOMS, BROWNIAN, 1.0, 0.1, (8, 16, 32, 64))
    assert found.slope("SDE, optimal") == pytest.approx(-1.96, abs=0.06)
    assert found.slope("ODE, optimal") == pytest.approx(-0.98, abs=0.06)
    assert found.slope("W₂ at time T") == pytest.approx(-0.97, abs=0.04)
    assert found.errors["SDE, optimal points, equal masses"][-1] > 0.05  # the floor


def test_one_draw_for_each_point_is_farther_than_the_law():
    draws = one_draw_each(FOUR_ATOMS, BROWNIAN, 1.0, 0.1, 32, numpy_rng(0, "test"), n=5)
    start = start_measures(FOUR_ATOMS, BROWNIAN, 1.0, 32)["optimal"]
    assert draws.min() > 20 * expectation_error(FOUR_ATOMS, BROWNIAN, start.measure, 0.1, 1.0)


@BOTH
@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_the_constant_of_a_measure_is_attained_by_one_of_its_starts_and_by_none_exceeded(process, delta):
    places = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    rates = []
    for x in places:
        ends = [FOUR_ATOMS.reversed(process, (x + h)[None], torch.ones(1), delta, 1.0) for h in (-1e-3, 1e-3)]
        rates.append(wasserstein1_on_line(*ends) / 2e-3)
    found = constant_of_measure(FOUR_ATOMS, process, delta, 1.0)
    assert 0.99 * found < max(rates) < found * (1 + 1e-4)  # a constant 10 % smaller would be exceeded


def test_the_constant_of_the_four_atoms_is_far_below_that_of_all_measures_which_two_atoms_have():
    R = torch.tensor([[-1.0], [1.0]])
    for process, value in ((BROWNIAN, 0.4128), (ORNSTEIN_UHLENBECK, 0.4192)):
        assert constant_of_measure(FOUR_ATOMS, process, 0.0, 1.0) == pytest.approx(value, abs=5e-5)
        of_two = constant_of_measure(atoms(R), process, 0.2, 1.0)
        assert of_two == pytest.approx(law_constant(process, 1.0, 0.2, 1.0), rel=1e-9)


def test_a_start_of_a_law_that_is_not_proved_log_concave_is_found_and_its_bounds_hold():
    start = start_measures(FOUR_ATOMS, BROWNIAN, 0.1, 6)["optimal"]
    error = expectation_error(FOUR_ATOMS, BROWNIAN, start.measure, 0.0, 0.1)
    assert 0 < error < law_constant(BROWNIAN, 1.0, 0.0, 0.1) * start.W1
