"""GraNd (Paul et al. 2021): the training images whose loss has the largest gradient early in training.

The score of an image is the mean over networks of the norm of the gradient of its loss with respect to all parameters.
For the last layer alone it would be EL2N times the norm of the features (with a 1 for the bias). The hardest images are
kept, as published; networks and epoch are those of the row `el2n`.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad, vmap

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .el2n import extreme, scored
from .method import Method, MethodRun
from .shared.trajectories import called_with

TOGETHER = 20  # images whose gradients are in memory at once


def gradient_norms(
    network: nn.Module, theta: Float[Tensor, " P"], images: Float[Tensor, "n C H W"], label: int
) -> Float[Tensor, " n"]:
    """GraNd with one network."""
    target = torch.full((1,), label, device=images.device)

    def loss(theta: Tensor, image: Tensor) -> Tensor:
        return F.cross_entropy(called_with(network, theta, image[None]), target)

    of_each = vmap(partial(grad(loss), theta))
    return torch.cat([of_each(some).norm(dim=1) for some in images.split(TOGETHER)])


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return extreme(run, "grand", ipc, distill_seed, gradient_norms, __name__, hardest=True)


def _cost(account: Account) -> Iterator[Cost]:
    yield account.trajectories("tesla_experts")
    yield from scored(account, "grand", "GraNd", "training")


METHOD = Method(
    name="grand", title="GraNd, hardest", reference="paul2021el2n", distill=_distill, cost=_cost,
)  # fmt: skip
