"""k-centre greedy (Sener & Savarese 2018): real images such that no image of their class is far from them.

In each class, with the features of herding, it takes the image nearest to the mean, and then repeatedly the one
farthest from the chosen images. Published tables differ in the first image, which matters at one image per class.
"""

from collections.abc import Iterator

import torch

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .herding import fits
from .method import Method, MethodRun
from .shared.coreset import chosen_set, class_features, feature_network
from .shared.representatives import spread_out


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    network = feature_network(run, run.profile.coreset_network, distill_seed)

    def choice(label: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, features, _ = class_features(run, network, label)
        return index[spread_out(features.double(), ipc)], torch.ones(ipc, dtype=torch.int64)

    return chosen_set(run, "k_centre", ipc, distill_seed, choice, inputs=[network], module=__name__)


def _cost(account: Account) -> Iterator[Cost]:
    return account.chosen("k_centre", "k-centre", account.classifier(account.profile.coreset_network))


METHOD = Method(
    name="k_centre", title="k-centre", reference="sener2018coreset", distill=_distill, cost=_cost, fits=fits,
)  # fmt: skip
