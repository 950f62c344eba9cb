"""The two parts of the error: each vanishes where it must, and pairs share their noise."""

import numpy as np
import pytest
import torch

from ddoq_book.ch21.error_split import (
    PARTS,
    _denoised_pairs,
    error_split_figure,
    error_split_table,
    error_splits,
    freed_square,
)
from ddoq_core.theory.bounds import renoised_total_variation

from .test_theory_gap import found  # noqa: F401 - a fixture: two classes of random latents under a random prior


@pytest.fixture
def splits(found):  # noqa: F811
    return error_splits(found, [0.4], 6)


def test_the_square_of_a_mean_is_freed_of_chance():
    x = 0.3 + torch.from_numpy(np.random.default_rng(0).standard_normal((200_000, 5)))
    assert freed_square(x) == pytest.approx(0.09, abs=0.004)  # not freed it would be 0.29


def test_the_two_of_a_pair_have_the_same_noise_and_no_two_pairs_do(found):  # noqa: F811
    same = found.clouds[0].latents[:1].expand(2, 3, -1)
    ends = _denoised_pairs(found, torch.stack([same, same]), found.run.profile)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-4)
    assert torch.pdist(ends[0].flatten(0, 1)).min() > 0.01


def test_without_noise_real_latents_are_left_alone_and_the_codebooks_error_is_all(found):  # noqa: F811
    still = error_splits(found, [0.0], 12)[0]
    assert still.squares["real"] == pytest.approx([0, 0], abs=1e-6)
    assert still.squares["run"] == pytest.approx(still.squares["quantization"], abs=1e-6)
    assert still.signal == 1 and (still.tv == 1).all()


def test_the_total_variation_at_T_keeps_to_its_bound(found, splits):  # noqa: F811
    for at in splits:
        G = np.array([cloud.codebook_errors[1] ** 2 for cloud in found.clouds])
        assert at.bound == pytest.approx(renoised_total_variation(at.signal / (1 - at.signal)) * G)
        assert (at.tv <= np.minimum(at.bound, 1)).all()


def test_table_and_figure_have_every_strength(splits):
    assert [row[0] for row in error_split_table(splits, 6).rows] == ["0.4", "0.7"]
    assert len(error_split_figure(splits).axes[0].lines) == len(PARTS)
