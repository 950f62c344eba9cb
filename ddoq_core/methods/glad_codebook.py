"""GLaD from DDOQ's codebook: the latents start as the centroids of their class.

It shows what matching adds to quantization, on the same prior and with equal weights; see the row `glad`.
"""

from collections.abc import Iterator
from dataclasses import replace

from ..pipeline.cluster import load_prototypes
from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .glad import METHOD as GLAD
from .glad import decoder, latent_cost, matched_latents
from .method import MethodRun


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    prototypes = run.prototypes(distill_seed)
    return matched_latents(
        run, "glad_codebook", ipc, distill_seed,
        start=lambda prior: load_prototypes(prototypes, ipc)[0].flatten(0, 1).to(run.profile.device),
        decode_of=decoder(run), knobs=("glad_steps", "glad_rate"), module=__name__, inputs=(prototypes,),
    )  # fmt: skip


def _cost(account: Account) -> Iterator[Cost]:
    image = account.prior().decode
    return latent_cost(account, "glad_codebook", "GLaD from a codebook", account.profile.glad_steps, image)


METHOD = replace(
    GLAD, name="glad_codebook", title="GLaD, from DDOQ's codebook", images="glad_codebook", distill=_distill,
    cost=_cost, uses=("prior", "encode", "cluster"), small={},
)  # fmt: skip
