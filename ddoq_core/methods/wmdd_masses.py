"""WMDD with learned masses of its barycentre, used as weights: DDOQ's weights in another space.

For one measure the optimum is k-means with the masses of its cells. It was published as an option that is off by
default. The loss of an image is weighted by its mass divided by the mean mass. See the row `wmdd`.
"""

from collections.abc import Iterator
from dataclasses import replace

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .method import MethodRun
from .wmdd import METHOD as WMDD
from .wmdd import barycentric, barycentric_cost, free_masses


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return barycentric(run, "wmdd_masses", ipc, distill_seed, __name__, free_masses)


def _cost(account: Account) -> Iterator[Cost]:
    return barycentric_cost(account, "wmdd_masses", "WMDD, masses")


METHOD = replace(
    WMDD, name="wmdd_masses", title="WMDD, masses learned", images="wmdd_masses", distill=_distill, cost=_cost,
    weights="proportional", small={},
)  # fmt: skip
