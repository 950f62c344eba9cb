"""Algorithm 4, line 3, and eq. 33: weights from counts."""

import math

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import companion_weights

COUNTS = torch.tensor([[1, 2, 5, 8], [100, 1, 0, 27]])


def test_proportional_weights_are_k_times_the_cell_mass_with_mean_1():
    w = companion_weights(COUNTS, "proportional")
    torch.testing.assert_close(w[0], 4 * COUNTS[0].double() / 16)
    torch.testing.assert_close(w.mean(1), torch.ones(2, dtype=torch.float64))


def test_sqrt_weights_are_equation_33_and_their_mean_is_at_most_1():
    w = companion_weights(COUNTS, "sqrt")
    assert w[0, 3] == pytest.approx(math.sqrt(4) * math.sqrt(8 / 16))
    assert (w.mean(1) <= 1).all()
    torch.testing.assert_close(w.square().mean(1), torch.ones(2, dtype=torch.float64))


def test_uniform_weights_are_all_1():
    assert (companion_weights(COUNTS, "uniform") == 1).all()


@pytest.mark.parametrize(("alpha", "scheme"), [(0, "uniform"), (1.0, "proportional")])
def test_exponents_0_and_1_are_the_uniform_and_proportional_schemes(alpha, scheme):
    torch.testing.assert_close(companion_weights(COUNTS, alpha), companion_weights(COUNTS, scheme))


def test_exponent_one_half_is_equation_33_brought_to_mean_1():
    root = companion_weights(COUNTS, "sqrt")
    torch.testing.assert_close(companion_weights(COUNTS, 0.5), root / root.mean(1, keepdim=True))


@pytest.mark.parametrize("scheme", ["uniform", "proportional", "sqrt", 0.3])
def test_equal_cells_weigh_1_under_every_scheme(scheme):
    assert companion_weights(torch.tensor([7, 7, 7]), scheme).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("scheme", ["uniform", "proportional", "sqrt", 0.3])
def test_weights_of_a_class_do_not_depend_on_the_other_classes(scheme):
    assert torch.equal(companion_weights(COUNTS, scheme)[1], companion_weights(COUNTS[1], scheme))


def test_a_large_exponent_leaves_the_largest_cells_alone():
    assert companion_weights(COUNTS, 1e4).tolist() == [[0, 0, 0, 4], [4, 0, 0, 0]]
    assert companion_weights(torch.tensor([3, 8, 8]), 1e300).tolist() == [0, 1.5, 1.5]


@pytest.mark.parametrize("scheme", ["root", -1, math.nan, math.inf, -math.inf])
def test_an_unknown_scheme_is_refused(scheme):
    with pytest.raises(InputError, match="it must be uniform, proportional, sqrt, or an exponent"):
        companion_weights(COUNTS, scheme)


def test_a_class_without_counts_is_refused():
    with pytest.raises(InputError, match="all empty"):
        companion_weights(torch.tensor([[1, 2], [0, 0]]), "sqrt")
