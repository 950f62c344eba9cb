"""Distances between real and distilled images: of gradients, row by row, and of mean features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SMALL = 1e-6  # added to the product of two lengths, as published


def parameter_gradients(loss: Float[Tensor, ""], network: nn.Module, *, graph: bool = False) -> tuple[Tensor, ...]:
    """Gradient of a loss with respect to all parameters of a network; with a graph, it can be differentiated."""
    return torch.autograd.grad(loss, tuple(network.parameters()), create_graph=graph)


def row_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Distance of two gradients (Zhao et al. 2021): the sum over all rows of 1 - cosine.

    A row belongs to an output unit: a kernel [out, in, h, w] has rows of in h w numbers. Parameters with one dimension
    (biases and norms) are left out.
    """
    total = torch.zeros(())
    for a, b in zip(found, wanted, strict=True):
        if a.ndim > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total.to(a) + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + SMALL)).sum()
    return total


def absolute_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Float[Tensor, ""]:
    """DREAM's distance of two gradients on digits: the sum of absolute differences of the kernels.

    In a convolutional network the linear layer, biases and norms are left out.
    """
    return torch.stack([(a - b).abs().sum() for a, b in zip(found, wanted, strict=True) if a.ndim == 4]).sum()


def embedded(network: nn.Module, images: Float[Tensor, "n C H W"]) -> Float[Tensor, "n d"]:
    """Features before the classifier of a ConvNet, for normalised images."""
    return network.features(images).flatten(1)


def distance_of_means(found: Float[Tensor, "m d"], wanted: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Squared distance of two means (DM): a sum over coordinates, so a method's rate depends on d."""
    return (found.mean(0) - wanted.mean(0)).square().sum()


def class_loss(network: nn.Module, images: Float[Tensor, "n C H W"], label: int) -> Float[Tensor, ""]:
    """Cross-entropy of normalised images of one class."""
    return F.cross_entropy(network(images), torch.full((len(images),), label, device=images.device))
