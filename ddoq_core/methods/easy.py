"""The easiest images, the same number from each class, several whole images per picture (after Xiao et al. 2025).

The method prunes each class by a score, keeps easy images at small budgets, and combines shrunken images in one
picture. The score here is the lowest EL2N. It was published for ImageNet with hard labels and a stronger augmentation
of the students, whose code is not public; here the students are trained like those of all rows.
"""

from collections.abc import Iterator

from ..config.profile import knob
from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .el2n import errors_of, extreme, scored
from .method import Method, MethodRun


class Knobs:
    """The number of images in a picture."""

    easy_factor: int = knob(2, "a picture is tiled from factor x factor whole images (easy)", low=1, since="0.2")


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    factor = run.profile.easy_factor
    return extreme(run, "easy", ipc, distill_seed, errors_of, __name__, hardest=False, factor=factor)


def _cost(account: Account) -> Iterator[Cost]:
    yield account.trajectories("tesla_experts")
    yield from scored(account, "easy", "easiest", "forward")


METHOD = Method(
    name="easy", title="EL2N, easiest, tiled", reference="xiao2025rethinking", distill=_distill, cost=_cost,
    small={"easy_factor": 1},
)  # fmt: skip
