"""Distribution matching, DM (Zhao & Bilen, 2023): images whose mean feature in random networks is that of their class.

min_S E sum_c |mean psi(A x) - mean psi(A s)|^2: psi gives the features before the classifier of a random, untrained
network, drawn anew in every step; A is a Siamese augmentation, drawn anew for every class; x is a batch of real images
of class c; s its distilled images. As published: gradient descent with momentum 0.5 on normalised pixels, rate 1 (10
for 100 images per class or more), start from real images. Different in the publication: 20,000 steps, 256 real images,
width 128; see the knobs.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import NETWORK, knob
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .method import Method, MethodRun
from .shared.distances import distance_of_means, embedded
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.learned import (
    MOMENTUM,
    Learned,
    RealBatches,
    descend,
    fresh_network,
    keyed,
    learned_set,
    pixels_of,
    real_start,
)
from .shared.siamese import augmented, drawn, families_of

MATCHING = ("matching_network", "matching_batch")  # knobs of all rows that match batches


class Knobs:
    """The networks, and the length and rate of the matching."""

    matching_network: str = knob(
        "convnet-32", "network in which DM, DC, DSA, DREAM, GLaD, LD3M and the robust row match", like=NETWORK,
        methods=("dm", "dc", "dsa", "dream", "glad", "glad_codebook", "ld3m", "robust"), since="0.2",
    )  # fmt: skip
    matching_batch: int = knob(
        128, "real images of a class in a step of these rows", low=1,
        methods=("dm", "dc", "dsa", "glad", "glad_codebook", "ld3m", "robust"), since="0.2",
    )  # fmt: skip
    dm_steps: int = knob(1500, "optimisation steps for the images (DM)", low=1, since="0.2")
    dm_rate: float = knob(1.0, "rate of the steps on normalised pixels (DM)", low=0.0, since="0.2")


def dm_gradient(
    run: MethodRun, real: RealBatches, images: Float[Tensor, "n C H W"], ipc: int, key: tuple
) -> tuple[float, Float[Tensor, "n C H W"]]:
    """DM's loss with the network and the draws of a key, and its gradient with respect to normalised images."""
    p = run.profile
    network = fresh_network(run, p.matching_network, *key, "network").requires_grad_(False)
    if not hasattr(network, "features"):
        raise InputError(f"matching_network = {p.matching_network} has no `features`; set matching_network=convnet-32")
    total, found, rng = 0.0, torch.zeros_like(images), keyed(key)
    for label in range(run.dataset.n_classes):
        draw, rows = drawn(rng, families_of(p.flip)), slice(label * ipc, (label + 1) * ipc)
        with torch.no_grad():
            wanted = embedded(network, augmented(real.batch(label, p.matching_batch, rng), draw))
        own = images[rows].detach().requires_grad_()
        loss = distance_of_means(embedded(network, augmented(own, draw)), wanted)
        (found[rows],) = torch.autograd.grad(loss, own)
        total += loss.item()
    return total, found


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    def learn(work: Workspace, key: tuple) -> Learned:
        real, images = RealBatches(run.dataset, run.profile.device), real_start(run, ipc, distill_seed)
        optimiser = torch.optim.SGD([images], lr=run.profile.dm_rate, momentum=MOMENTUM)

        def step(t: int) -> float:
            loss, images.grad = dm_gradient(run, real, images, ipc, (*key, t))
            optimiser.step()
            return loss

        losses = descend(work, run.profile.dm_steps, "dm", step, {"images": images, "optimiser": optimiser})
        return Learned(pixels_of(run.dataset, images), losses)

    knobs = (*MATCHING, "dm_steps", "dm_rate")
    return learned_set(run, "dm", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def _cost(account: Account) -> Iterator[Cost]:
    """Forward passes of the real images; forward and backward passes of the distilled images."""
    p, network, C = account.profile, account.classifier(account.profile.matching_network), account.images.n_classes
    for ipc in account.levels:
        passes = C * (min(p.matching_batch, account.images.per_class) * network.forward + ipc * network.training)
        yield account.learned("dm", "DM", ipc, p.dm_steps * passes, NETWORK_WEIGHT * network.parameters)


METHOD = Method(
    name="dm", title="DM", reference="zhao2023dm", distill=_distill, protocol=dc_protocol, fit=train_on_floats,
    cost=_cost, uses=("random_real",),
    small={"matching_network": "convnet-4", "matching_batch": 4, "dm_steps": 2},
)  # fmt: skip
