"""Differentiable Siamese augmentation, DSA (Zhao & Bilen, 2021): one draw, applied to any number of images.

In: a generator. Out: a draw of one family with its parameters, and images changed by it, differentiably. Using the same
draw on real and distilled images makes it Siamese; a draw with a row for each image does not. Images are normalised, so
the fill value 0 is the mean. Ranges are those of the released code: brightness by up to 0.5, saturation by a factor of
0 to 2, contrast by 0.5 to 1.5; shifts by an eighth of the side; a cutout square of half the side; each axis scaled by
up to 1.2; rotations of up to 15 degrees.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FAMILIES = ("colour", "crop", "cutout", "scale", "rotate", "flip")
WITHOUT_FLIP = FAMILIES[:-1]  # for digits
OF_DC = ("crop", "scale", "rotate")  # in DC's evaluation on MNIST
SHIFT, HOLE, SCALE, TURN = 1 / 8, 1 / 2, 1.2, math.radians(15)


@dataclass(frozen=True)
class Draw:
    """One family, and its parameters as uniform numbers: one row for all images, or one for each."""

    family: str
    uniform: Float[Tensor, "b 3"]


def drawn(rng: np.random.Generator, families: tuple[str, ...], n: int = 1) -> Draw:
    """A family, drawn uniformly, with n rows of parameters."""
    family = families[rng.integers(len(families))]
    return Draw(family, torch.from_numpy(rng.random((n, 3))))


def families_of(flip: bool) -> tuple[str, ...]:
    """All families; mirror images only if the data set has them."""
    return FAMILIES if flip else WITHOUT_FLIP


def augmented(images: Float[Tensor, "n C S S"], draw: Draw) -> Float[Tensor, "n C S S"]:
    """Normalised images, each changed by the draw's only row, or by its own row."""
    u = draw.uniform.to(images).expand(len(images), 3)
    if draw.family == "colour":
        return _colour(images, u)
    if draw.family == "cutout":
        return _cut_out(images, u)
    return _moved(images, _affine(draw.family, u, images.shape[-1]))


def _colour(x: Float[Tensor, "n C S S"], u: Float[Tensor, "n 3"]) -> Float[Tensor, "n C S S"]:
    """Brightness, then saturation about the grey image, then contrast about the image's mean."""
    brightness, saturation, contrast = u[:, :, None, None, None].unbind(1)
    x = x + brightness - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (x - mean)


def _cut_out(x: Float[Tensor, "n C S S"], u: Float[Tensor, "n 3"]) -> Float[Tensor, "n C S S"]:
    """0 in a square of half the side around any pixel, cut off at the border."""
    side = x.shape[-1]
    at, half = torch.arange(side).to(x), int(side * HOLE) // 2
    centre = (u[:, :2] * side).floor()
    inside = [(at >= c[:, None] - half) & (at < c[:, None] + half) for c in centre.unbind(1)]
    return torch.where(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0.0, x)


def _affine(family: str, u: Float[Tensor, "n 3"], side: int) -> Float[Tensor, "n 2 3"]:
    """The map from places in the new image to places in the old one, both from -1 to 1."""
    maps = torch.eye(2, 3).to(u).repeat(len(u), 1, 1)
    if family == "crop":  # by whole pixels
        most = int(side * SHIFT + 0.5)
        maps[:, :, 2] = 2 * ((u[:, :2] * (2 * most + 1)).floor() - most) / side
    elif family == "flip":
        maps[:, 0, 0] = torch.where(u[:, 0] < 0.5, -1.0, 1.0).to(u)
    elif family == "scale":
        maps[:, [0, 1], [0, 1]] = 1 / SCALE + u[:, :2] * (SCALE - 1 / SCALE)
    else:
        angle = (2 * u[:, 0] - 1) * TURN
        maps[:, 0, 0] = maps[:, 1, 1] = angle.cos()
        maps[:, 0, 1], maps[:, 1, 0] = -angle.sin(), angle.sin()
    return maps


def _moved(x: Float[Tensor, "n C S S"], maps: Float[Tensor, "n 2 3"]) -> Float[Tensor, "n C S S"]:
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
