"""Group-robust distillation (Vahidian et al., 2025): DSA with networks trained on their worst groups.

The Voronoi cells of the distilled images in the network's features divide a real batch into groups. Each group has its
CVaR, the mean of its worst share alpha of losses; the risk is the mean over the groups plus the largest. Between two
steps of the images the network is trained on this risk with real images. As published: alpha 0.8, two image steps per
network, and between them two epochs of 512 augmented real images of each class in batches of 256. The released code
appears to differ: its risk goes through numpy, so it is a constant without gradient, and its tail is that of the
smallest losses. This file follows the paper; the evaluation is DSA's.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import Profile
from ..pipeline.distilled import DistilledDataset
from ..quantization.voronoi import assign
from .account import Account, Cost
from .dsa import INNER_RATE, match_gradients, matching_cost
from .method import Method, MethodRun
from .shared.coreset import features_and_logits
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.learned import RealBatches, keyed, real_start
from .shared.siamese import augmented, drawn, families_of

ALPHA, BATCH, REAL = 0.8, 256, 512  # share of the losses; images in a batch, and of a class in an epoch
OUTER, EPOCHS = 2, 2  # image steps per network, and the network's epochs between them


def cvar(losses: Float[Tensor, " n"], alpha: float) -> Float[Tensor, ""]:
    """Conditional value at risk: the mean of the worst share alpha of the losses, one of them counted in part.

    It is min_t t + E (l - t)+ / alpha (Rockafellar and Uryasev 2000).
    """
    worst, mass = losses.sort(descending=True).values, alpha * len(losses)
    shares = (mass - torch.arange(len(losses)).to(losses)).clamp(0, 1)
    return (shares * worst).sum() / mass


def group_risk(losses: Float[Tensor, " n"], groups: Int64[Tensor, " n"], alpha: float) -> Float[Tensor, ""]:
    """Mean plus maximum of the CVaR over the nonempty groups."""
    of_each = torch.stack([cvar(losses[groups == g], alpha) for g in groups.unique()])
    return of_each.mean() + of_each.max()


def train_robustly(
    network: nn.Module, real: RealBatches, images: Float[Tensor, "n C H W"], epochs: int, key: tuple, *,
    families: tuple[str, ...],
) -> None:  # fmt: skip
    """Epochs of plain gradient descent on the risk of real batches, in place; groups are cells of the images."""
    optimiser = torch.optim.SGD(network.parameters(), lr=INNER_RATE)
    for epoch in range(epochs):
        rng = keyed(key, epoch)
        some, hard = real.mixed(REAL * len(real.pixels), rng)
        for rows in torch.from_numpy(rng.permutation(len(some))).split(BATCH):
            with torch.no_grad():
                centres, _ = features_and_logits(network, images)
            features, logits = features_and_logits(network, augmented(some[rows], drawn(rng, families, len(rows))))
            groups = assign(features.detach().cpu(), centres.cpu()).to(some.device)
            risk = group_risk(F.cross_entropy(logits, hard[rows], reduction="none"), groups, ALPHA)
            optimiser.zero_grad()
            risk.backward()
            optimiser.step()


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    inner = partial(train_robustly, families=families_of(run.profile.flip))
    return match_gradients(
        run, "robust", ipc, distill_seed, __name__, siamese=True, start=real_start, inner=inner,
        loops_of=_loops(run.profile),
    )  # fmt: skip


def _loops(profile: Profile) -> tuple[int, int]:
    return OUTER, min(EPOCHS, profile.dc_inner)


def _cost(account: Account) -> Iterator[Cost]:
    return matching_cost(account, "robust", "group-robust", _loops(account.profile), REAL)


METHOD = Method(
    name="robust", title="Group-robust DSA", reference="vahidian2024robust", distill=_distill, protocol=dc_protocol,
    fit=train_on_floats, cost=_cost, uses=("random_real",),
)  # fmt: skip
