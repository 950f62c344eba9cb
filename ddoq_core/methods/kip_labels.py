"""KIP with learned labels (Nguyen et al., 2021). They help the kernel and may harm networks; see `kip`."""

from collections.abc import Iterator
from dataclasses import replace

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .kip import METHOD as KIP
from .kip import kernel_cost, kernel_points
from .method import MethodRun


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return kernel_points(run, "kip_labels", ipc, distill_seed, __name__, labelled=True)


def _cost(account: Account) -> Iterator[Cost]:
    return kernel_cost(account, "kip_labels", "KIP, labels", account.profile.kip_steps)


METHOD = replace(
    KIP, name="kip_labels", title="KIP-FC, labels learned", reference="nguyen2021infinitely", images="kip_labels",
    distill=_distill, cost=_cost, small={},
)  # fmt: skip
