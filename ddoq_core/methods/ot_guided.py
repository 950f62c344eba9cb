"""Sampling guided by transport to the weighted codebook: a second use of the paper's masses, for guidance.

Images of a class are sampled from pure noise. In the middle of the reverse process their predicted clean latents, with
mass 1/K each, move down the gradient of the transport cost to the codebook of the class with the masses v / n of its
cells. The method follows DMGD (arXiv:2605.03877), guided by k-means' counts, and Cui et al. (2025), guided by real
latents. As published (DMGD): Euclidean cost, steps 30 to 45 of 50, scale 0.05 to 0.5, no tuning. Different here: all
images of a class move together (in DMGD one after another with the earlier ones fixed); the plan is exact instead of 5
Sinkhorn iterations, since entropy would share the points among nearby images and keep them together; labels are hard or
the teacher's; the codebook has K points (in DMGD 10).
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

FROM, TO = 0.4, 0.1  # shares of the steps left when guidance begins and ends: from step 30 to step 45 of 50


class Knobs:
    """The strength of the guidance."""

    ot_scale: float = knob(0.5, "scale of the guidance by transport (ot_guided); 0 turns it off", low=0.0, since="0.2")


def transport_gradient(
    x: Float[Tensor, "K d"], points: Float[Tensor, "m d"], masses: Float[Tensor, " m"]
) -> Float[Tensor, "K d"]:
    """Gradient of the transport cost with respect to points of mass 1/K, times K: each point moves against it.

    By the envelope theorem it is the gradient of the Euclidean cost under the optimal plan.
    """
    cost = torch.cdist(x, points)
    plan = ot.emd(np.full(len(x), 1 / len(x)), masses.cpu().numpy(), cost.cpu().numpy())
    away = (x[:, None] - points) / cost.clamp_min(1e-9)[:, :, None]
    return len(x) * (torch.from_numpy(plan).to(x)[:, :, None] * away).sum(1)


def led_by_transport(points: Float[Tensor, "m c h w"], masses: Float[Tensor, " m"], scale: float) -> Guide:
    """A guide down the gradient, in the middle of the process."""

    def guide(clean: Float[Tensor, "b c h w"], left: float) -> Float[Tensor, "b c h w"]:
        if not (scale and TO <= left <= FROM):
            return clean
        gradient = transport_gradient(clean.flatten(1).double(), points.flatten(1).double(), masses.double())
        return clean - scale * gradient.to(clean).view_as(clean)

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
