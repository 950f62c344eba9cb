"""CRAIG (Mirzasoleiman et al. 2020): real images whose weighted gradients approximate those of all images.

It solves facility location in each class on the gradients of the last layer, softmax - one-hot, of a network trained on
all real images; the weight of an image is the number of images that it serves. This is k-medoids on gradients: its
weights have the role of the masses of Voronoi cells in DDOQ. As published, subsets have 10 % of the images or more and
are chosen again in every epoch; here they are chosen once, at the end of the network's training.
"""

from collections.abc import Iterator

import torch

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .herding import fits
from .method import Method, MethodRun
from .shared.coreset import chosen_set, class_features, feature_network, last_layer_gradients
from .shared.representatives import facilities


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    network = feature_network(run, run.profile.coreset_network, distill_seed)

    def choice(label: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, _, logits = class_features(run, network, label)
        kept, served = facilities(last_layer_gradients(logits.double(), label), ipc)
        return index[kept], served

    return chosen_set(run, "craig", ipc, distill_seed, choice, inputs=[network], module=__name__)


def _cost(account: Account) -> Iterator[Cost]:
    return account.chosen("craig", "CRAIG", account.classifier(account.profile.coreset_network))


METHOD = Method(
    name="craig", title="CRAIG", reference="mirzasoleiman2020craig", distill=_distill, weights="proportional",
    cost=_cost, fits=fits,
)  # fmt: skip
