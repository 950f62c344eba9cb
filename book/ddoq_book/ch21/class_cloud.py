"""One class of latents, and how far a weighted set of draws is from it: distances, errors in expectation, moments.

mu is the uniform law on the training latents of the class. The unit of distance is that of the codebook with its cell
masses.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.quantization.voronoi import squared_distances
from ddoq_core.theory.transport import wasserstein2


@dataclass(frozen=True, eq=False)
class ClassCloud:
    """The latents and the codebook of one class, in float64; mu is the uniform law on its training latents."""

    row: int  # row in the prior's label table
    latents: Float[Tensor, "n d"]
    held_out: Float[Tensor, "m d"]  # latents of validation images
    points: Float[Tensor, "K d"]
    masses: Float[Tensor, " K"]

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """E Z."""
        return self.latents.mean(0)

    @property
    def variance(self) -> float:
        """E|Z - E Z|^2."""
        return (self.latents - self.mean).square().sum(1).mean().item()

    @property
    def radius(self) -> float:
        """Radius R of a ball about the mean that contains the support of mu."""
        return (self.latents - self.mean).norm(dim=1).max().item()

    @property
    def codebook_errors(self) -> tuple[float, float]:
        """W_1 and W_2 from mu to the codebook with its cell masses (Proposition 2): mean and root mean square."""
        squared = squared_distances(self.latents, self.points).amin(1).clamp_min(0)
        return squared.sqrt().mean().item(), squared.mean().sqrt().item()


def quantities(
    cloud: ClassCloud, y: Float[Tensor, "K R d"], w: Float[Tensor, " K"], places: Float[Tensor, "m d"]
) -> dict[str, float]:
    """How far sum_k w_k (law of the draws at k) is from mu: W_2, errors in expectation, moments.

    Units: W_2 of the codebook for W_2, W_1 of the codebook for errors in expectation, percent of the variance of mu for
    moments. The variance of the mean of R draws is subtracted from the square of a mean.
    """
    R, (e1, e2), V = y.shape[1], cloud.codebook_errors, cloud.variance / 100
    flat, masses, even = y.flatten(0, 1), (w / R).repeat_interleave(R), torch.full_like(w, 1 / len(w))
    equal = (even / R).repeat_interleave(R)
    errors, errors_uniform = (expectation_errors(cloud, flat, m, places) / e1 for m in (masses, equal))
    centre, inside, spread, one_draw = moments(y, w)
    nearest = distance(flat, cloud.latents) / distance(cloud.held_out, cloud.latents).mean()
    return {
        "W2": wasserstein2(flat, masses, cloud.latents) / e2,
        "uniform W2": wasserstein2(flat, equal, cloud.latents) / e2,
        "W2 of one": wasserstein2(y[:, 0], w, cloud.latents) / e2,
        "error": errors.mean().item(),
        "uniform error": errors_uniform.mean().item(),
        "worst": errors.max().item(),
        "variance": spread / V,
        "uniform variance": moments(y, even)[2] / V,
        "within": 100 * inside / spread if spread else 0.0,  # there is no variance if K = 1 and nothing is noised
        "mean": ((centre - cloud.mean).square().sum().item() - one_draw / R) / V,
        "one draw": one_draw / V,
        "nearest": 100 * (masses @ nearest).item(),
    }


def moments(y: Float[Tensor, "K R d"], w: Float[Tensor, " K"]) -> tuple[Float[Tensor, " d"], float, float, float]:
    """Mean of the draws; unbiased variances within a place, of all draws, and of the mean of one draw per place."""
    R, means = y.shape[1], y.mean(1)
    at_place = (y - means[:, None]).square().sum((1, 2)) / max(R - 1, 1)
    centre, one_draw = w @ means, (w.square() @ at_place).item()
    spread = (w @ (y - centre).square().sum(2).mean(1)).item() + one_draw / R
    return centre, (w @ at_place).item(), spread, one_draw


def expectation_errors(
    cloud: ClassCloud, y: Float[Tensor, "N d"], masses: Float[Tensor, " N"], places: Float[Tensor, "m d"]
) -> Float[Tensor, " m+1"]:
    """|E_nu f - E_mu f| for 1-Lipschitz f: the distances to each of m places, and to the codebook.

    For the codebook itself the last is W_1, the largest possible error (Theorem 5).
    """
    goals = [*places[:, None], cloud.points]
    return torch.stack([(masses @ distance(y, goal) - distance(cloud.latents, goal).mean()).abs() for goal in goals])


def distance(x: Float[Tensor, "n d"], points: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    """min_j |x - p_j|."""
    return squared_distances(x, points).amin(1).clamp_min(0).sqrt()
