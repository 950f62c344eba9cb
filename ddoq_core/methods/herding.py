"""Herding (Welling 2009): real images whose mean feature follows the mean of their class.

As in Zhao et al.'s table (2021), it chooses greedily in each class, on features before the last layer of a network
trained on all real images; labels are hard. Each distillation has its own network, trained by the teacher's recipe.
"""

from collections.abc import Iterator

import torch

from ..config.profile import NETWORK, knob
from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .method import Method, MethodRun
from .shared.coreset import chosen_set, class_features, feature_network
from .shared.representatives import herded


class Knobs:
    """The network for the features."""

    coreset_network: str = knob(
        "convnet-32", "network whose features select the core-sets", like=NETWORK,
        methods=("herding", "k_centre", "craig"), since="0.2",
    )  # fmt: skip


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    network = feature_network(run, run.profile.coreset_network, distill_seed)

    def choice(label: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, features, _ = class_features(run, network, label)
        return index[herded(features.double(), ipc)], torch.ones(ipc, dtype=torch.int64)

    return chosen_set(run, "herding", ipc, distill_seed, choice, inputs=[network], module=__name__)


def fits(account: Account) -> set[tuple[str, int]]:
    """One network for each distillation."""
    return {(account.profile.coreset_network, seed) for _, seed in account.sets}


def _cost(account: Account) -> Iterator[Cost]:
    return account.chosen("herding", "herding", account.classifier(account.profile.coreset_network))


METHOD = Method(
    name="herding", title="Herding", reference="welling2009herding", distill=_distill, cost=_cost, fits=fits,
    small={"coreset_network": "convnet-4"},
)  # fmt: skip
