"""Fewer numbers for the same distances: n samples in R^d with n < d need only n coordinates.

Quantization sees distances between samples and means of samples, and nothing else of R^d. A class of ImageNet has
1,300 latents of 16,384 numbers: in the coordinates of their span everything costs a twelfth.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .voronoi import Quantizer, check_samples, quantize


@dataclass(frozen=True)
class Span:
    """Samples in coordinates with the same distances, and the way back."""

    samples: Float[Tensor, "n d"]
    coordinates: Float[Tensor, "n m"]  # m = min(n, d)
    centre: Float[Tensor, " d"]
    basis: Float[Tensor, "d m"]  # orthonormal columns

    def lift(self, found: Quantizer) -> Quantizer:
        """A quantizer of the coordinates as one of the samples, its cells recounted exactly."""
        return quantize(self.samples, self.centre + found.points @ self.basis.T, found.history)


def span_of(samples: Float[Tensor, "n d"]) -> Span:
    """Coordinates of the samples in their own span, by a QR decomposition; the samples as they are when n >= d.

    Raises:
        InputError: a sample that is not finite.
    """
    check_samples(samples, 1)
    n, d = samples.shape
    if n >= d:
        return Span(samples, samples, samples.new_zeros(d), torch.eye(d, dtype=samples.dtype, device=samples.device))
    centre = samples.mean(0)
    basis, R = torch.linalg.qr((samples - centre).T)  # samples - centre = R^T basis^T
    return Span(samples, R.T.contiguous(), centre, basis)
