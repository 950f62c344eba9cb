"""How unequal the cells of three quantizers are: in which dimension which of them leaves light cells."""

import pytest
import torch

from ddoq_book.cell_masses import effective_share, mass_ratio, quantizer_spreads, quantizer_spreads_table
from ddoq_book.ch14.digit_latents import digit_latents
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.measures import LOPSIDED


def test_equal_masses_are_worth_all_and_a_single_one_is_worth_itself():
    assert effective_share(torch.full((7,), 3)) == pytest.approx(1)
    assert effective_share(torch.tensor([5, 0, 0, 0])) == pytest.approx(1 / 4)
    assert effective_share(torch.tensor([3.0, 1.0])) == pytest.approx(16 / (2 * 10))
    assert mass_ratio(torch.tensor([6, 0, 2, 3])) == 3  # an empty cell has no ratio


def test_one_pass_leaves_cells_far_lighter_than_lloyd_does_in_high_dimension():
    lloyd, one_pass, d4m, own = quantizer_spreads(digit_latents(784, 6), 10, numpy_rng(0, "test", "digits"))
    assert (lloyd.quantizer, one_pass.quantizer, d4m.quantizer) == ("Lloyd", "one pass", "scikit-learn")
    assert one_pass.ratio > 5 * lloyd.ratio >= 5
    assert one_pass.effective < lloyd.effective - 0.1
    assert lloyd.excess == 0 < min(one_pass.excess, d4m.excess) and own.excess == d4m.excess
    assert own.effective != d4m.effective  # scikit-learn's counts are not those of its cells


def test_in_the_plane_it_leaves_them_more_equal_where_the_density_varies():
    normal = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lloyd, one_pass, d4m, _ = quantizer_spreads([normal], 32, numpy_rng(0, "test", "plane"))
    assert lloyd.effective < min(one_pass.effective, d4m.effective)


def test_the_table_has_a_block_for_each_set_of_clouds():
    clouds = [LOPSIDED.sample(300, numpy_rng(0, "test", "cloud"))]
    found = {name: quantizer_spreads(clouds, 3, numpy_rng(0, "test", name)) for name in ("a", "b")}
    table = quantizer_spreads_table(found, "Cloud", 3)
    assert table.column("Cloud") == ["a"] * 4 + ["b"] * 4 and "K = 3" in table.notes[0]
