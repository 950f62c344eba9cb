"""The views of an epoch: keyed, torchvision's crops, one CutMix box per image, whatever the batch size."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ddoq_core.pipeline.views import cropped, draw_views, mixed, rebatch, views_of
from ddoq_core.randomness import torch_rng

SIZE = 32
KNOBS = {"seed": 0, "crop_scale": 0.08, "flip": True, "cutmix": True}


@pytest.fixture(scope="module")
def pixels():
    """Forty images of noise."""
    return torch.randint(0, 256, (40, 3, SIZE, SIZE), generator=torch_rng(0, "pixels")).to(torch.uint8)


@pytest.fixture(scope="module")
def views():
    """Views of four thousand images, enough for frequencies."""
    return draw_views(4000, SIZE, 0, 0, **KNOBS)


def test_an_epoch_shows_every_image_once_and_pairs_it_with_the_next(views):
    assert views.order.sort().values.equal(torch.arange(4000))
    assert views.partner[views.order].equal(views.order.roll(-1))


def test_a_crop_and_a_flip_are_those_of_torchvision(pixels):
    views = draw_views(40, SIZE, 0, 3, **KNOBS)
    made = cropped(pixels / 255, views.crop, views.flip)
    for image, crop, flip, mine in zip(pixels / 255, views.crop.int().tolist(), views.flip, made, strict=True):
        theirs = tv.resized_crop(image, *crop, [SIZE, SIZE], antialias=False)
        torch.testing.assert_close(mine, theirs.flip(-1) if flip else theirs, atol=1e-5, rtol=0)


def test_crops_lie_in_the_image_and_keep_the_asked_share_and_shape(views):
    top, left, height, width = views.crop.T
    assert (views.crop[:, :2] >= 0).all() and (top + height <= SIZE).all() and (left + width <= SIZE).all()
    whole = (height == SIZE) & (width == SIZE)
    slack = 1.2  # sides are whole pixels
    assert (height * width / SIZE**2 >= 0.08 / slack).all()
    assert (((width / height >= 0.75 / slack) & (width / height <= slack * 4 / 3)) | whole).all()


def test_half_of_the_images_are_mirrored_and_none_when_flips_are_off(views):
    assert abs(views.flip.float().mean() - 0.5) < 0.04
    assert not draw_views(4000, SIZE, 0, 0, **KNOBS | {"flip": False}).flip.any()


def test_switching_one_augmentation_off_leaves_the_other_draws_alone(views):
    without = draw_views(4000, SIZE, 0, 0, **KNOBS | {"flip": False, "cutmix": False})
    assert without.order.equal(views.order) and without.crop.equal(views.crop)
    assert (without.share == 1).all() and without.box.sum() == 0


def test_the_share_is_the_area_that_the_box_leaves(views):
    top, left, bottom, right = views.box.T
    assert ((top >= 0) & (top <= bottom) & (bottom <= SIZE) & (left >= 0) & (left <= right) & (right <= SIZE)).all()
    torch.testing.assert_close(views.share, 1 - (bottom - top) * (right - left) / SIZE**2)
    inside = (top > 0) & (left > 0) & (bottom < SIZE) & (right < SIZE)  # not clipped: lambda was uniform
    assert views.share.min() >= 0 and views.share[inside].max() <= 1


def test_cutmix_pastes_the_partners_view_into_the_box_and_nowhere_else(pixels):
    views = draw_views(40, SIZE, 0, 1, **KNOBS)
    rows = torch.arange(40)
    plain = cropped(pixels / 255, views.crop, views.flip)
    mix = views_of(pixels, views, rows)
    for i, (top, left, bottom, right) in enumerate(views.box.tolist()):
        expected = plain[i].clone()
        expected[:, top:bottom, left:right] = plain[views.partner[i], :, top:bottom, left:right]
        torch.testing.assert_close(mix[i], expected)


def test_a_view_does_not_depend_on_the_batch_it_is_made_in(pixels):
    views = draw_views(40, SIZE, 0, 2, **KNOBS)
    together = views_of(pixels, views, views.order)
    apart = torch.cat([views_of(pixels, views, rows) for rows in views.order.split(7)])
    torch.testing.assert_close(apart, together)


def test_the_draws_follow_seed_label_seed_and_epoch_and_nothing_else():
    def crops(label_seed, epoch, seed):
        return draw_views(10, SIZE, label_seed, epoch, **KNOBS | {"seed": seed}).crop

    assert crops(1, 2, 0).equal(crops(1, 2, 0))
    for other in ((1, 2, 5), (2, 2, 0), (1, 3, 0)):
        assert not crops(*other).equal(crops(1, 2, 0))


def test_an_image_alone_is_never_mixed_with_another(pixels):
    views = draw_views(1, SIZE, 0, 0, **KNOBS)
    made = views_of(pixels[:1], views, torch.tensor([0]))
    torch.testing.assert_close(made, cropped(pixels[:1] / 255, views.crop, views.flip))


def test_a_mixture_weighs_both_images_by_their_area(views):
    values = torch.arange(4000.0)
    i = int(views.order[5])
    expected = views.share[i] * i + (1 - views.share[i]) * int(views.order[6])
    torch.testing.assert_close(mixed(values, views, torch.tensor([i]))[0], expected)


@pytest.mark.parametrize("sizes", [[1] * 23, [10, 10, 3], [23], [3, 0, 20]])
def test_a_stream_is_cut_into_batches_of_these_sizes_in_order(sizes):
    rows = torch.arange(23)
    batches = [b for b, _ in rebatch(((r, 2 * r) for r in rows.split(4)), sizes)]
    assert torch.cat(batches).equal(rows)
    assert [len(b) for b in batches] == sizes
