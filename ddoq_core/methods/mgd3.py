"""MGD3 (Chan-Santiago et al., 2025): each image is pulled to its own mode while it is sampled from noise.

Modes are the K centroids of the class. The predicted clean latent is pulled towards its mode by a share of the
distance, until half of the steps are left. DDOQ starts at the mode; MGD3 is pulled to it. As published, the share is
0.1 times the step's noise. The code was not available; here the share is the same at every step. Masses are not used.
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..pipeline.cluster import load_prototypes
from ..pipeline.distilled import DistilledDataset
from ..priors.load import Guide
from .account import Account, Cost
from .method import Method, MethodRun
from .shared.latent import guided_set

STOP = 0.5  # share of the steps without the pull, at the end


class Knobs:
    """The strength of the pull."""

    mgd3_pull: float = knob(
        0.1, "share of the distance to the mode in each step (MGD3)", low=0.0, high=1.0, since="0.2"
    )


def drawn_to(modes: Float[Tensor, "b c h w"], pull: float) -> Guide:
    """A guide to one mode for each image."""
    return lambda clean, left: clean + pull * (modes.to(clean) - clean) if left > STOP else clean


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    prototypes = run.prototypes(distill_seed)
    modes, _ = load_prototypes(prototypes, ipc)
    return guided_set(
        run, "mgd3", ipc, distill_seed, lambda label: drawn_to(modes[label], run.profile.mgd3_pull), module=__name__,
        knobs=("mgd3_pull",), inputs=(prototypes,),
    )  # fmt: skip


def _cost(account: Account) -> Iterator[Cost]:
    return account.denoised("mgd3", "guided to modes")


METHOD = Method(
    name="mgd3", title="MGD³", reference="chansantiago2025mgd3", distill=_distill, cost=_cost,
    uses=("prior", "encode", "cluster"),
)  # fmt: skip
