"""The tests of Proposition 8 have power: they accept the right score and reject one that is 10 % too weak."""

import pytest
import torch

from ddoq_book.ch15.reversal import power_table, returned_laws
from ddoq_book.ch15.score_strength import joint_moments_p, scaled_score
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import FOUR_ATOMS


@pytest.fixture(scope="module")
def found():
    sizes = [1, 2, 5], 2500, 100, 0.05, 1.0, 0
    return {"exact": returned_laws(*sizes), "10 % too weak": returned_laws(*sizes, 0.9)}


def test_a_score_that_is_10_percent_too_weak_is_rejected_and_the_exact_one_is_not(found):
    """18 hypotheses for each score, at 5 % in all; by moments given the start most of the false ones are seen."""
    exact, weak = ([at.moments_p for at in laws] for laws in found.values())
    assert min(exact) > 0.05 / 18
    assert sum(p < 0.05 / 18 for p in weak) >= 10 and min(weak) < 1e-9


def test_distribution_functions_alone_see_little_of_it(found):
    rows = {row[0]: row[1:] for row in power_table(found).rows}
    assert rows["exact"] == (18, 0, 0)
    n, by_functions, by_moments = rows["10 % too weak"]
    assert n == 18 and by_functions < 5 < by_moments


@pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK])
def test_draws_of_the_kernel_itself_pass_and_shifted_ones_fail(process):
    x = FOUR_ATOMS.noised(process, 1.0).sample(4000, numpy_rng(0, "test", "starts"))
    rng = numpy_rng(0, "test", "kernel", process.name)
    law = FOUR_ATOMS.reversed(process, x, torch.ones(4000) / 4000, 0.1, 1.0)
    masses = law.masses.reshape(4000, 4).cumsum(1)
    j = (masses < masses[:, -1:] * torch.from_numpy(rng.random((4000, 1)))).sum(1)
    at = torch.arange(4000) * 4 + j
    y = law.means[at] + law.scales[at][:, None] * torch.from_numpy(rng.standard_normal((4000, 1)))
    assert joint_moments_p(FOUR_ATOMS, process, x, y, 0.1, 1.0) > 0.01
    assert joint_moments_p(FOUR_ATOMS, process, x, 1.1 * y, 0.1, 1.0) < 1e-3


def test_a_scaled_score_is_scaled_at_every_time_and_the_law_is_not():
    half, x = scaled_score(FOUR_ATOMS, 0.5), torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    a, b = half.noised(BROWNIAN, 0.7), FOUR_ATOMS.noised(BROWNIAN, 0.7)
    torch.testing.assert_close(a.score(x), b.score(x) / 2)
    torch.testing.assert_close(a.log_density(x), b.log_density(x))
