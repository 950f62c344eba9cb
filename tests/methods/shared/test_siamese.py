"""DSA: one draw for all images, or one for each; differentiable; the ranges that are published."""

import numpy as np
import pytest
import torch

from ddoq_core.methods.shared.siamese import FAMILIES, Draw, augmented, drawn, families_of
from ddoq_core.randomness import torch_rng


def images(n: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.randn(n, channels, 16, 16, dtype=torch.float64, generator=torch_rng(0, "images"))


def draw(family: str, *u: float) -> Draw:
    return Draw(family, torch.tensor([[*u, *([0.5] * (3 - len(u)))]], dtype=torch.float64))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draw_does_the_same_to_every_image_in_any_company(family):
    one = drawn(np.random.default_rng(3), (family,))
    torch.testing.assert_close(augmented(images(), one)[2:], augmented(images()[2:], one))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draw_with_a_row_for_each_image_is_that_of_each_alone(family):
    each = drawn(np.random.default_rng(3), (family,), 4)
    assert each.uniform.unique(dim=0).shape == (4, 3)
    for i, image in enumerate(images()):
        torch.testing.assert_close(
            augmented(images(), each)[i], augmented(image[None], Draw(family, each.uniform[i : i + 1]))[0]
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_with_respect_to_the_images_is_that_of_differences(family):
    one = drawn(np.random.default_rng(5), (family,), 2)
    x = images(2, 1)[..., :8, :8].clone().requires_grad_()
    torch.autograd.gradcheck(lambda x: augmented(x, one), (x,))


def test_the_middle_of_every_range_changes_nothing():
    for family in ("crop", "rotate"):
        torch.testing.assert_close(augmented(images(), draw(family, 0.5, 0.5)), images())
    torch.testing.assert_close(augmented(images(), draw("colour", 0.5, 0.5, 0.5)), images())


def test_a_shift_is_by_whole_pixels_with_zeros_from_outside():
    x = images()
    found = augmented(x, draw("crop", 0.999, 0.5))  # to the right end of what is seen: by 2 of 16 pixels
    torch.testing.assert_close(found[..., :14], x[..., 2:])
    assert found[..., 14:].abs().max() == 0


def test_a_mirror_image_is_one_in_half_of_the_draws_and_none_for_digits():
    torch.testing.assert_close(augmented(images(), draw("flip", 0.2)), images().flip(3))
    torch.testing.assert_close(augmented(images(), draw("flip", 0.7)), images())
    assert "flip" in families_of(True) and "flip" not in families_of(False)


def test_a_hole_is_a_square_of_half_the_side_of_zeros_cut_off_at_the_border():
    found = augmented(images() + 9, draw("cutout", 0.5, 0.0))
    hole = found[0, 0] == 0
    assert hole.sum() == 8 * 4 and hole[4:12, :4].all()


def test_colours_change_by_no_more_than_is_published():
    x = images()
    brighter = augmented(x, draw("colour", 1.0, 0.5, 0.5)) - x
    torch.testing.assert_close(brighter, torch.full_like(x, 0.5))
    grey = augmented(x, draw("colour", 0.5, 0.0, 0.5))
    torch.testing.assert_close(grey, x.mean(1, keepdim=True).expand_as(x))
    flat = augmented(x, draw("colour", 0.5, 0.5, 0.0))
    mean = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(flat - mean, (x - mean) / 2)


def test_turns_and_scales_stay_in_their_ranges():
    corner = torch.zeros(1, 1, 65, 65, dtype=torch.float64)
    corner[0, 0, 32, 48] = 1  # 16 pixels to the right of the middle
    for u, angle in ((0.0, -15), (1.0, 15)):
        at = (augmented(corner, draw("rotate", u))[0, 0] > 0.2).nonzero().double().mean(0) - 32
        assert torch.rad2deg(torch.atan2(at[0], at[1])).abs() == pytest.approx(abs(angle), abs=2)
    for u, place in ((0.0, 16 * 1.2), (1.0, 16 / 1.2)):
        mass = augmented(corner, draw("scale", u, 0.5))[0, 0].sum(0)
        assert (mass * torch.arange(65)).sum() / mass.sum() - 32 == pytest.approx(place, abs=0.6)
