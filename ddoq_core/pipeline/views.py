"""The views of the distilled images in one epoch: order, crop, flip and CutMix, all drawn by key.

In: the number of images, the label seed, the epoch. Out: a table of draws with one row per image (`Views`), and the
views themselves. Nothing depends on the batch size: image i's row is the same however the epoch is cut into batches,
and its CutMix partner is the next image in the epoch's order. A view can be made again at any time, so soft labels
need not store it. Unlike in D4M, where one box and one mixing share serve a whole batch, every image has its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from ..randomness import numpy_rng
from .pixels import fetched

VIEW_KNOBS = ("seed", "crop_scale", "flip", "cutmix")  # knobs of a profile that `draw_views` uses
RATIO = (3 / 4, 4 / 3)  # aspect ratios of a crop, as in torchvision's RandomResizedCrop
N_TRIES = 10  # tries until a crop fits, as there; after that the whole image


@dataclass(frozen=True)
class Views:
    """The draws of one epoch; row i belongs to image i. Lengths are in pixels."""

    order: Int64[Tensor, " n"]  # image at each position of the epoch; every image once
    partner: Int64[Tensor, " n"]  # image pasted in by CutMix
    crop: Float[Tensor, "n 4"]  # top, left, height, width
    flip: Bool[Tensor, " n"]  # mirrored left to right
    box: Int64[Tensor, "n 4"]  # top, left, bottom, right of the pasted part; empty without CutMix
    share: Float[Tensor, " n"]  # lambda: share of the area that stays the image's own

    def to(self, device: str) -> "Views":
        return Views(**{name: value.to(device) for name, value in vars(self).items()})


def draw_views(
    n: int, size: int, label_seed: int, epoch: int, *, seed: int, crop_scale: float, flip: bool, cutmix: bool
) -> Views:
    """Draw one epoch's views of n square images by the key (seed, "augment", label_seed, epoch).

    All draws are made whether used or not, so switching CutMix or flips off does not change the others.

    Args:
        size: side of the images in pixels.
        crop_scale: the smallest area of a crop, as a share of the image's area.
    """
    rng = numpy_rng(seed, "augment", label_seed, epoch)
    order = rng.permutation(n)
    crop = random_resized_crop(rng, n, size, crop_scale)
    mirrored = (rng.random(n) < 0.5) & flip
    box = _cutmix_box(rng, n, size) * cutmix
    partner = np.empty_like(order)
    partner[order] = np.roll(order, -1)
    share = 1 - (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / size**2
    table = (order, partner, crop.astype(np.float32), mirrored, box, share.astype(np.float32))
    return Views(*map(torch.from_numpy, table))


def random_resized_crop(rng: np.random.Generator, n: int, size: int, crop_scale: float) -> np.ndarray:
    """Rows (top, left, height, width) of RandomResizedCrop: uniform area share and uniform log aspect ratio."""
    area = size**2 * rng.uniform(crop_scale, 1, (n, N_TRIES))
    ratio = np.exp(rng.uniform(*np.log(RATIO), (n, N_TRIES)))
    corner = rng.random((n, 2))
    sides = np.round(np.sqrt(np.stack([area / ratio, area * ratio], axis=-1)))
    sides = np.concatenate([sides, np.full((n, 1, 2), float(size))], axis=1)
    first = ((sides >= 1) & (sides <= size)).all(-1).argmax(1)
    side = sides[np.arange(n), first]
    return np.concatenate([np.floor(corner * (size - side + 1)), side], axis=1)


def _cutmix_box(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Rows (top, left, bottom, right): lambda ~ Beta(1, 1), side sqrt(1 - lambda), any centre, clipped."""
    half = np.floor(size * np.sqrt(rng.random(n)))[:, None] // 2
    centre = rng.integers(0, size, (n, 2))
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return np.clip(corners, 0, size).astype(np.int64)


def views_of(pixels: UInt8[Tensor, "n C H W"], views: Views, rows: Int64[Tensor, " b"]) -> Float[Tensor, "b C H W"]:
    """Images `rows` of the whole set as the epoch shows them, in [0, 1]: cropped, flipped, mixed.

    The pixels may be elsewhere, as in a mapped file; the results are on the device of the views.
    """
    needed, place = torch.unique(torch.cat([rows, views.partner[rows]]), return_inverse=True)
    whole = fetched(pixels, needed, views.crop.device).float() / 255
    shown = cropped(whole, views.crop[needed], views.flip[needed])
    own, other = shown[place[: len(rows)]], shown[place[len(rows) :]]
    top, left, bottom, right = views.box[rows, :, None].unbind(1)
    at = torch.arange(pixels.shape[-1], device=views.box.device)
    inside = ((at >= top) & (at < bottom))[:, None, :, None] & ((at >= left) & (at < right))[:, None, None, :]
    return torch.where(inside, other, own)


def cropped(
    images: Float[Tensor, "b C H W"], crop: Float[Tensor, "b 4"], flip: Bool[Tensor, " b"]
) -> Float[Tensor, "b C H W"]:
    """Each image's crop, resized bilinearly to full size (as torchvision's resized_crop), and mirrored where `flip`."""
    size = images.shape[-1]
    output = (torch.arange(size, device=images.device) + 0.5) / size
    corner, side = crop[:, :2, None], crop[:, 2:, None]
    at = (output * side).clamp(min=0.5).minimum(side - 0.5) + corner  # no pixel from outside the crop
    y, x = (2 * at / size - 1).unbind(1)
    x = torch.where(flip[:, None], x.flip(1), x)
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def mixed(values: Float[Tensor, "n ..."], views: Views, rows: Int64[Tensor, " b"]) -> Float[Tensor, "b ..."]:
    """The lambda-average of the values of an image and of the image pasted into it."""
    share = views.share[rows].reshape(-1, *[1] * (values.ndim - 1))
    return share * values[rows] + (1 - share) * values[views.partner[rows]]


def rebatch(stream: Iterable[tuple[Tensor, ...]], sizes: Iterable[int]) -> Iterator[tuple[Tensor, ...]]:
    """Cut a stream of rows (tensors of equal length) into batches of these sizes, which add up to the stream."""
    stream, waiting = iter(stream), ()
    for size in sizes:
        while not waiting or len(waiting[0]) < size:
            piece = next(stream)
            waiting = tuple(map(torch.cat, zip(waiting, piece, strict=True))) if waiting else piece
        yield tuple(t[:size] for t in waiting)
        waiting = tuple(t[size:] for t in waiting)
