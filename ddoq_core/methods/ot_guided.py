"""Sampling guided by transport to the weighted codebook: a second use of the paper's masses, for guidance.

Images of a class are sampled from pure noise. In an early part of the reverse process their predicted clean latents,
with mass 1/K each, move towards their targets in the optimal plan to the codebook of the class, which has the masses
v / n of its cells. The method follows DMGD (arXiv:2605.03877), guided by k-means' counts, and Cui et al. (2025), guided
by real latents. As published (DMGD): guidance at the times 45 to 30 of 50. Different here: the cost is the squared
distance, as in the paper's W_2, and a latent moves by a share of the way to its target, which means the same in every
latent space (in DMGD a distance on the unit sphere, and a step of fixed length); all images of a class move together
(in DMGD one after another with the earlier ones fixed); the plan is exact instead of 5 Sinkhorn iterations, since
entropy would share the points among nearby images and keep them together; labels are hard or the teacher's; the
codebook has K points (in DMGD 10).
"""

from collections.abc import Iterator

import numpy as np
import ot
import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..pipeline.cluster import load_prototypes
from ..pipeline.distilled import DistilledDataset
from ..priors.load import Guide
from .account import Account, Cost
from .method import Method, MethodRun
from .shared.latent import guided_set

FROM, TO = 0.92, 0.62  # shares of the steps left when guidance begins and ends: times 45 to 30 of 50
ROUNDING = 1e-9  # of such a share


class Knobs:
    """The strength of the guidance."""

    ot_scale: float = knob(
        0.1, "share of the way to the target in each step (ot_guided); 0 turns guidance off", low=0.0, high=1.0,
        since="0.2",
    )  # fmt: skip


def transport_targets(
    x: Float[Tensor, "K d"], points: Float[Tensor, "m d"], masses: Float[Tensor, " m"]
) -> Float[Tensor, "K d"]:
    """The mean of the points to which the optimal plan sends each x of mass 1/K (the barycentric projection).

    By the envelope theorem x minus its target is the gradient of half the squared W_2 with respect to x, times K.
    """
    cost = torch.cdist(x, points).square()
    plan = ot.emd(np.full(len(x), 1 / len(x)), masses.cpu().numpy(), cost.cpu().numpy())
    return len(x) * torch.from_numpy(plan).to(x) @ points


def led_by_transport(points: Float[Tensor, "m c h w"], masses: Float[Tensor, " m"], scale: float) -> Guide:
    """A guide towards the targets, in an early part of the process."""

    def guide(clean: Float[Tensor, "b c h w"], left: float) -> Float[Tensor, "b c h w"]:
        if not (scale and TO - ROUNDING <= left <= FROM + ROUNDING):
            return clean
        targets = transport_targets(clean.flatten(1).double(), points.flatten(1).double(), masses.double())
        return clean + scale * (targets.to(clean).view_as(clean) - clean)

    return guide


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    prototypes = run.prototypes(distill_seed)
    points, counts = (t.to(run.profile.device) for t in load_prototypes(prototypes, ipc))

    def guide_of(label: int) -> Guide:
        return led_by_transport(points[label], counts[label] / counts[label].sum(), run.profile.ot_scale)

    return guided_set(
        run, "ot_guided", ipc, distill_seed, guide_of, module=__name__, knobs=("ot_scale",), inputs=(prototypes,)
    )


def _cost(account: Account) -> Iterator[Cost]:
    return account.denoised("ot_guided", "guided by transport")


METHOD = Method(
    name="ot_guided", title="Transport-guided sampling", reference="cui2025guided", distill=_distill, cost=_cost,
    uses=("prior", "encode", "cluster"),
)  # fmt: skip
