"""Colours and patches of the photographs: what every stationary codebook keeps, and what more points gain."""

import numpy as np
import pytest
import torch

from ddoq_book.ch11 import photographs
from ddoq_core.errors import InputError
from ddoq_core.quantization import distortion
from ddoq_core.randomness import numpy_rng

LEVELS = [2, 4, 8, 16]


@pytest.fixture(scope="module")
def images():
    return photographs.sample_photographs(4)


@pytest.fixture(scope="module")
def palettes(images):
    return {
        name: photographs.colours(image, LEVELS, 2000, numpy_rng(0, "test", name)) for name, image in images.items()
    }


@pytest.fixture(scope="module")
def tiles(images):
    return photographs.patches(list(images.values()), 6, 2000, numpy_rng(0, "test", "patches"))


def test_a_smaller_photograph_has_the_same_mean_colour(images):
    for name, image in photographs.sample_photographs(1).items():
        assert images[name].shape == (106, 160, 3)
        assert image.min() >= 0 and image.max() <= 1
        assert images[name].mean((0, 1)) == pytest.approx(image[:424].mean((0, 1)), abs=1e-12)


def test_weights_and_distortion_are_those_of_all_pixels(images, palettes):
    for name, books in palettes.items():
        pixels = torch.from_numpy(images[name].reshape(-1, 3)).float()
        for q in books.quantizers:
            assert q.counts.sum() == len(pixels)
            assert q.distortion == pytest.approx(distortion(pixels, q.points))


def test_more_colours_leave_less_of_the_variance(palettes):
    for books in palettes.values():
        assert books.levels == LEVELS
        assert (np.diff(books.shares) < 0).all() and 0 < books.shares[-1] < books.shares[0] < 1
        assert books.slope < 0


def test_cell_masses_keep_the_mean_colour_and_equal_weights_do_not(palettes):
    """A stationary grid keeps the mean: exact on the pixels it was found on, up to their choice on all of them."""
    for books in palettes.values():
        kept, lost = (photographs.mean_colour_error(books, 16, uniform=uniform) for uniform in (False, True))
        # the mean of 2,000 pixels is within 4 standard errors, and the points err less as G is below the variance
        spread = books.samples.double().var(0).sum().sqrt().item()
        assert kept < 4 * spread / 2000**0.5
        assert lost > 5 * kept


def test_patches_have_mean_0_and_come_from_every_photograph(images, tiles):
    assert tiles.shape == (2000, 36)
    assert tiles.mean(1).abs().max() < 1e-6
    one = photographs.patches([images["china"]], 6, 10, numpy_rng(0, "test"))
    assert one.shape == (10, 36)


def test_patches_weigh_very_differently(tiles):
    weights = photographs.patch_codebooks(tiles, [16], numpy_rng(0, "test", "book")).at(16).weights
    assert weights.max() > 10 * weights.min()
    assert weights.max() > 3 / 16


def test_the_figures_show_every_photograph_palette_and_patch(images, palettes, tiles):
    books = photographs.patch_codebooks(tiles, [5], numpy_rng(0, "test", "book"))
    first = photographs.palettes_figure(images, palettes, [2, 8])
    assert len(first.axes) == 12
    assert sum(bool(axes.images) for axes in first.axes) == 6
    # bars of a palette cover its width
    widths = [sum(bar.get_width() for bar in axes.patches) for axes in first.axes if axes.patches]
    assert widths == pytest.approx([1, 1, 1, 1])
    second = photographs.patches_figure(books.at(5), 6)
    assert len(second.axes[1].patches) == 5
    for figure in (first, second):
        figure.draw_without_rendering()


def test_the_table_sets_the_slope_beside_that_of_the_dimension(palettes, tiles):
    books = photographs.patch_codebooks(tiles, LEVELS, numpy_rng(0, "test", "book"))
    table = photographs.shares_table({"colours": palettes["china"], "patches": books})
    assert table.column("d") == [3, 36] and table.column("−2/d") == [-2 / 3, -2 / 36]
    assert table.column("slope") == [palettes["china"].slope, books.slope]
    assert table.column("K = 4") == [palettes["china"].shares[1], books.shares[1]]


def test_what_cannot_be_done_is_refused_in_a_line(images, palettes):
    with pytest.raises(InputError, match="shrink_factor = 0"):
        photographs.sample_photographs(0)
    with pytest.raises(InputError, match="patch_side = 200, but the photographs are 106 x 160"):
        photographs.patches([images["china"]], 200, 5, numpy_rng(0, "test"))
    with pytest.raises(InputError, match="K = 3, but there are codebooks"):
        palettes["china"].at(3)
