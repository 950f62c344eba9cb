"""What is matched between real and distilled images: gradients, row by row, and means of features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SMALL = 1e-6  # added to the product of two lengths, as published


def parameter_gradients(loss: Float[Tensor, ""], network: nn.Module, *, graph: bool = False) -> tuple[Tensor, ...]:
    """Gradient of a loss with respect to all parameters of a network, with a graph if it is to be learned through."""
    return torch.autograd.grad(loss, tuple(network.parameters()), create_graph=graph)


def row_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Distance of two gradients (Zhao et al. 2021): the sum over all rows of 1 - cosine.

    A row belongs to an output unit: of a kernel [out, in, h, w] it has in h w numbers. Parameters of one dimension,
    biases and norms, do not count.
    """
    total = torch.zeros(())
    for a, b in zip(found, wanted, strict=True):
        if a.ndim > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total.to(a) + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + SMALL)).sum()
    return total


def absolute_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Distance of two gradients as DREAM has it on digits: the sum of absolute differences of the kernels.

    Of a network of convolutions the linear layer is left out, and so are biases and norms.
    """
    return torch.stack([(a - b).abs().sum() for a, b in zip(found, wanted, strict=True) if a.ndim == 4]).sum()


def embedded(network: nn.Module, images: Float[Tensor, "n C H W"]) -> Float[Tensor, "n d"]:
    """What reaches the classifier of a ConvNet, of normalised images."""
    return network.features(images).flatten(1)


def distance_of_means(found: Float[Tensor, "m d"], wanted: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Squared distance of two means (DM): a sum over coordinates, so that the rate of a method depends on d."""
    return (found.mean(0) - wanted.mean(0)).square().sum()


def class_loss(network: nn.Module, images: Float[Tensor, "n C H W"], label: int) -> Float[Tensor, ""]:
    """Cross-entropy of normalised images of one class."""
    return F.cross_entropy(network(images), torch.full((len(images),), label, device=images.device))
