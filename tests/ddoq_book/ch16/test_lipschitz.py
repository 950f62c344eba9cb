"""The chapter on Theorem 13: errors below their bounds, rates as they are claimed."""

import math

import pytest
import torch

from ddoq_book.ch16 import lipschitz
from ddoq_core.keys import numpy_rng
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import FOUR_ATOMS, atoms, law_on_line
from ddoq_core.theory.transport import wasserstein1_on_line

BOTH = pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)


def test_wasserstein_1_of_atoms_and_of_shifts():
    p, q = atoms(torch.tensor([[0.0], [1.0]])), atoms(torch.tensor([[0.25], [3.0]]), torch.tensor([0.5, 0.5]))
    assert wasserstein1_on_line(p, q) == pytest.approx(0.5 * 0.25 + 0.5 * 2)
    law = FOUR_ATOMS.noised(BROWNIAN, 0.3)
    moved = type(law)(law.masses, law.means + 0.7, law.scales)
    assert wasserstein1_on_line(law, moved) == pytest.approx(0.7, abs=1e-7)
    assert wasserstein1_on_line(law, atoms(torch.tensor([[-50.0]]))) == pytest.approx(50 + law.masses @ law.means[:, 0])


def test_a_mixture_is_a_law_of_scipy():
    law = law_on_line(FOUR_ATOMS.noised(BROWNIAN, 1.0))
    assert law.cdf(law.ppf(0.3)) == pytest.approx(0.3)
    assert law.var() == pytest.approx(law.expect(lambda x: x**2) - law.mean() ** 2)


@BOTH
@pytest.mark.parametrize("delta", [0.0, 0.1, 0.9])
def test_the_error_is_below_the_sharp_bound_for_every_start(process, delta):
    for start in lipschitz.starts(FOUR_ATOMS, process, 1.0, 8).values():
        error = lipschitz.expectation_error(FOUR_ATOMS, process, start, delta, 1.0)
        assert 0 < error < law_constant(process, 1.0, delta, 1.0) * start.W1
        assert start.W1 < start.W2


def test_errors_are_those_worked_out_before():
    start = lipschitz.starts(FOUR_ATOMS, BROWNIAN, 1.0, 64)["optimal"]
    for delta, error in ((0.0, 1.35e-5), (0.1, 2.96e-5), (0.9, 1.57e-4)):
        assert lipschitz.expectation_error(FOUR_ATOMS, BROWNIAN, start, delta, 1.0) == pytest.approx(error, rel=0.01)
    assert law_constant(BROWNIAN, 1.0, 0.0, 1.0) * start.W1 == pytest.approx(0.0243, abs=1e-4)


def test_slopes_of_the_rates():
    found = lipschitz.rates(FOUR_ATOMS, BROWNIAN, 1.0, 0.1, (8, 16, 32, 64))
    assert found.slope("SDE, optimal") == pytest.approx(-1.96, abs=0.06)
    assert found.slope("ODE, optimal") == pytest.approx(-0.98, abs=0.06)
    assert found.slope("W₂ at time T") == pytest.approx(-0.97, abs=0.04)
    assert found.errors["SDE, optimal points, equal masses"][-1] > 0.05  # the floor


def test_one_draw_for_each_point_is_farther_than_the_law():
    draws = lipschitz.one_draw_each(FOUR_ATOMS, BROWNIAN, 1.0, 0.1, 32, numpy_rng(0, "test"), n=5)
    start = lipschitz.starts(FOUR_ATOMS, BROWNIAN, 1.0, 32)["optimal"]
    assert draws.min() > 20 * lipschitz.expectation_error(FOUR_ATOMS, BROWNIAN, start, 0.1, 1.0)


def test_the_table_prints_the_infinite_and_the_huge():
    table = lipschitz.bounds_table(FOUR_ATOMS, 1.0, [BROWNIAN], 1.0, [4], [0.0, 0.001, 0.5])
    rows = [row for _, block in table.blocks for row in block]
    assert rows[0][2:5] == ("∞", "∞", "∞") and rows[1][2].startswith("10^43")
    assert all(float(rows[2][1]) < float(value) for value in rows[2][2:])
    assert math.isfinite(float(rows[0][5]))


def test_coupled_paths_find_the_error_of_the_exact_kernel():
    for row in lipschitz.coupled_table(FOUR_ATOMS, 1.0, BROWNIAN, 1.0, [2, 4], [0.3, 0.6], 20_000, 0).rows:
        exact, (mean, half), apart, sharp = float(row[2]), map(float, row[3].split(" ± ")), *map(float, row[4:])
        assert abs(mean - exact) < 1.7 * half  # 3.3 standard errors
        assert exact < apart < sharp


def test_the_worst_function_is_1_lipschitz_and_attains_w1():
    mu, nu = FOUR_ATOMS.noised(BROWNIAN, 0.2), atoms(torch.tensor([[0.1], [0.7]])).noised(BROWNIAN, 0.1)
    f, z = lipschitz.worst_function(mu, nu), torch.linspace(-9, 9, 9001, dtype=torch.float64)
    assert abs(f(z[1:].numpy()) - f(z[:-1].numpy())).max() <= (z[1] - z[0]).item() * (1 + 1e-9)
    p, q = (law.log_density(z[:, None]).exp() for law in (mu, nu))
    gain = torch.trapezoid(torch.from_numpy(f(z.numpy())) * (p - q), z).item()
    assert gain == pytest.approx(wasserstein1_on_line(mu, nu), abs=1e-4)


def test_propositions_10_and_11_are_equalities_where_the_table_says_so():
    (square,), (mean,), (bridge,) = (rows for _, rows in lipschitz.monotone_table(50_000, 0).blocks)
    for row, truth in ((square, math.exp(0.3 + 0.32)), (mean, math.exp(0.3))):
        value, half = map(float, row[0].split(" ± "))
        assert abs(value - truth) < 1.7 * half + 1e-3
    assert bridge[0] == "0.300000 to 0.300000"
