"""Randomness by key."""

import torch

from ddoq_core.randomness import numpy_rng, torch_rng


def test_equal_keys_give_equal_draws_and_other_keys_others():
    draw = lambda *key: torch.randn(8, generator=torch_rng(*key)).tolist()  # noqa: E731
    assert draw(0, "step", 1, 2) == draw(0, "step", 1, 2)
    assert (
        len({tuple(draw(*k)) for k in [(0, "s", 1, 2), (0, "s", 12), (0, "s", 2, 1), (1, "s", 1, 2), (0, "t", 1, 2)]})
        == 5
    )


def test_draws_do_not_depend_on_the_global_generators():
    torch.manual_seed(1)
    first = numpy_rng(3, "a").standard_normal()
    torch.manual_seed(2)
    assert numpy_rng(3, "a").standard_normal() == first
