"""FRePo (Zhou, Nezhadarya & Ba, 2022): ridge regression on features of networks that are trained on the images.

f(X) = K_XS (K_SS + lambda)^-1 Y with K = phi phi^T, phi a network's features. The loss, half the squared error on real
images plus a margin on the learned labels, is differentiated only with respect to images and labels. A pool of networks
of staggered ages supplies phi: each step draws one, uses it, and trains it for one step on S; a network that is too old
is replaced by a new one. As published: pool of 10, age below 100, lambda 1e-6, Adam at 3e-4 for the networks, labels
(one-hot - 1/C) / sqrt(C / 10), a cosine decay of the rate to a tenth. Different in the publication: LAMB at 3e-4,
500,000 steps, 1,024 real images, networks of 128 to 512 channels with batch norm, students at a constant rate with
averaged weights instead of the cosine; see the knobs.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import NETWORK, knob
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .kip import protocol
from .method import Method, MethodRun
from .shared.distances import embedded
from .shared.evaluation import train_on_floats
from .shared.learned import (
    Learned,
    RealBatches,
    descend,
    fresh_network,
    keyed,
    learned_set,
    pixels_of,
    real_start,
)
from .shared.ridge import centred_one_hot, half_squares, ridge_prediction

RIDGE = 1e-6
POOL, OLDEST = 10, 100
INNER_RATE = 3e-4


class Knobs:
    """The networks, and the length of the learning."""

    frepo_network: str = knob("convnet-32", "networks in the pool (FRePo)", like=NETWORK, since="0.2")
    frepo_batch: int = knob(256, "real images per step (FRePo)", low=1, since="0.2")
    frepo_steps: int = knob(2500, "optimisation steps for images and labels (FRePo)", low=1, since="0.2")
    frepo_rate: float = knob(1e-3, "Adam's first rate on normalised pixels and labels (FRePo)", low=0.0, since="0.2")


def feature_loss(
    own: Float[Tensor, "n d"], labels: Float[Tensor, "n C"], real: Float[Tensor, "m d"], targets: Float[Tensor, "m C"]
) -> Float[Tensor, ""]:
    """Half the squared error of ridge regression on features, plus the margin of the labels."""
    own, real = own.double(), real.double()
    predicted = ridge_prediction(real @ own.mT, own @ own.mT, labels, RIDGE)
    return half_squares(predicted, targets) - margin(labels)


def margin(labels: Float[Tensor, "n C"]) -> Float[Tensor, ""]:
    """Mean over labels of the gap between the two largest entries, at most 1/C."""
    first, second = labels.topk(2, dim=1).values.unbind(1)
    return (first - second).clamp(max=1 / labels.shape[1]).mean()


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, C = run.profile, run.dataset.n_classes

    def learn(work: Workspace, key: tuple) -> Learned:
        real, images = RealBatches(run.dataset, p.device), real_start(run, ipc, distill_seed).requires_grad_()
        hard = torch.arange(C, device=p.device).repeat_interleave(ipc)
        labels = (centred_one_hot(hard, C) / math.sqrt(C / 10)).requires_grad_()
        optimiser = torch.optim.Adam([images, labels], lr=p.frepo_rate)
        pool = [fresh_network(run, p.frepo_network, *key, "network", i) for i in range(POOL)]
        inner = [torch.optim.Adam(network.parameters(), lr=INNER_RATE) for network in pool]
        ages = torch.arange(POOL) * (OLDEST // POOL)

        def step(t: int) -> float:
            rng = keyed(key, t)
            i = int(rng.integers(POOL))
            optimiser.param_groups[0]["lr"] = p.frepo_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * t / p.frepo_steps)))
            batch, of_batch = real.mixed(p.frepo_batch, rng)
            with torch.no_grad():
                of_real = embedded(pool[i], batch)
            loss = feature_loss(embedded(pool[i], images), labels, of_real, centred_one_hot(of_batch, C))
            images.grad, labels.grad = torch.autograd.grad(loss, (images, labels))
            optimiser.step()
            _grow(run, pool[i], inner[i], images.detach(), labels.detach(), ages, i, (*key, "network", POOL + t))
            return loss.item()

        parts = {"images": images.data, "labels": labels.data, "optimiser": optimiser, "ages": ages}
        parts |= {f"network{i}": network for i, network in enumerate(pool)}
        parts |= {f"inner{i}": one for i, one in enumerate(inner)}
        losses = descend(work, p.frepo_steps, "frepo", step, parts)
        return Learned(pixels_of(run.dataset, images.detach()), losses, {"labels": labels})

    knobs = ("frepo_network", "frepo_batch", "frepo_steps", "frepo_rate")
    return learned_set(run, "frepo", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def _grow(
    run: MethodRun, network: torch.nn.Module, optimiser: torch.optim.Adam, images: Float[Tensor, "n C H W"],
    labels: Float[Tensor, "n classes"], ages: Tensor, i: int, key: tuple,
) -> None:  # fmt: skip
    """One step of a network of the pool on the distilled images, or a new network instead of an old one."""
    loss = half_squares(network(images).double(), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    ages[i] += 1
    if ages[i] >= OLDEST:
        network.load_state_dict(fresh_network(run, run.profile.frepo_network, *key).state_dict())
        optimiser.state.clear()
        ages[i] = 0


def _cost(account: Account) -> Iterator[Cost]:
    """Features of the real images; features of the distilled images and a training step, both with gradients."""
    p, network = account.profile, account.classifier(account.profile.frepo_network)
    for ipc in account.levels:
        n = ipc * account.images.n_classes
        flops = p.frepo_steps * (min(p.frepo_batch, account.images.n) * network.forward + 2 * n * network.training)
        memory = 4 * POOL * NETWORK_WEIGHT * network.parameters
        yield account.learned("frepo", "FRePo", ipc, flops, memory, more=n * account.images.n_classes)


METHOD = Method(
    name="frepo", title="FRePo", reference="zhou2022frepo", distill=_distill, protocol=protocol, fit=train_on_floats,
    cost=_cost, uses=("random_real",), small={"frepo_network": "convnet-4", "frepo_batch": 12, "frepo_steps": 2},
)  # fmt: skip
