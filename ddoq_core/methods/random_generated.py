"""Random generated images: the prior's output for pure noise. They separate the prior's effect from the prototypes'."""

from collections.abc import Iterator

from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import generate
from .account import Account, Cost
from .method import Method, MethodRun


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return generate(run.store, run.prior, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


def _cost(account: Account) -> Iterator[Cost]:
    return account.denoised("generate", "from pure noise")


METHOD = Method(name="random_generated", title="Random generated images", distill=_distill, cost=_cost, uses=("prior",))
