"""RFAD (Loo et al., 2022): KIP's objective with a convolutional kernel approximated by random features.

Every step draws m new networks; phi(x) has the last features of all, divided by the root of their number, and
K = 2 phi phi^T + 0.01. The prediction is scored by cross-entropy (Platt's) with a learned scale exp(tau). As published:
no norms, kernels N(0, 2 / fan-in), biases N(0, 0.01), ridge 5e-3, solved in float64, real images and labels one-hot -
1/C at the start, 0.01 as the rate of tau. Different in the publication: m = 8 networks of 256 channels, 5,120 real
images per step, AdaBelief at 1e-3 for up to 100,000 steps instead of Adam, a learned linear map of the pixels, early
stopping on some training images, and students of width 1,024 without norms; see the knobs. `learned.json` has the share
of the real images that are misclassified, since the loss also falls if tau alone is learned.
"""

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..pipeline.distilled import DistilledDataset
from ..randomness import torch_rng
from ..store.artifacts import Workspace
from .account import Account, Cost
from .kip import protocol
from .method import Method, MethodRun
from .shared.evaluation import train_on_floats
from .shared.learned import Learned, RealBatches, descend, keyed, learned_set, pixels_of, real_start
from .shared.ridge import centred_one_hot, ridge_prediction

RIDGE = 5e-3
BLOCKS = 3
BIAS, OFFSET = 0.1, 0.01  # standard deviation of a bias; constant added to the kernel
RATE_OF_SCALE = 0.01


class Knobs:
    """The random features, and the length of the learning."""

    rfad_networks: int = knob(4, "networks whose features form a kernel (RFAD)", low=1, since="0.2")
    rfad_width: int = knob(32, "channels of these networks (RFAD)", low=1, since="0.2")
    rfad_batch: int = knob(1280, "real images per step (RFAD)", low=1, since="0.2")
    rfad_steps: int = knob(600, "steps of Adam (RFAD)", low=1, since="0.2")
    rfad_rate: float = knob(1e-2, "Adam's rate on normalised pixels (RFAD)", low=0.0, since="0.2")


def random_kernels(width: int, channels: int, rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Kernels and biases of one random network."""
    drawn = []
    for a, b in itertools.pairwise([channels] + [width] * BLOCKS):
        kernel = torch.randn(b, a, 3, 3, generator=rng) * math.sqrt(2 / (9 * a))
        drawn.append((kernel, BIAS * torch.randn(b, generator=rng)))
    return drawn


def random_features(
    images: Float[Tensor, "n C S S"], networks: list[list[tuple[Tensor, Tensor]]]
) -> Float[Tensor, "n D"]:
    """Last features of all networks; with more networks, their inner products converge to an expectation."""
    found = []
    for network in networks:
        x = images
        for kernel, bias in network:
            x = F.avg_pool2d(F.conv2d(x, kernel.to(x), bias.to(x), padding=1).relu(), 2)
        found.append(x.flatten(1))
    together = torch.cat(found, 1)
    return together / math.sqrt(together.shape[1])


def platt_loss(predicted: Float[Tensor, "m C"], labels: Tensor, tau: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Cross-entropy of the predictions at scale exp(tau)."""
    return F.cross_entropy(tau.exp() * predicted, labels)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, data = run.profile, run.dataset

    def learn(work: Workspace, key: tuple) -> Learned:
        real, images = RealBatches(data, p.device), real_start(run, ipc, distill_seed).requires_grad_()
        labels = centred_one_hot(torch.arange(data.n_classes).repeat_interleave(ipc), data.n_classes).to(p.device)
        tau = torch.zeros((), dtype=torch.float64, device=p.device, requires_grad=True)
        groups = [{"params": [images]}, {"params": [tau], "lr": RATE_OF_SCALE}]
        optimiser = torch.optim.Adam(groups, lr=p.rfad_rate)

        def step(t: int) -> float:
            networks = [
                random_kernels(p.rfad_width, data.channels, torch_rng(*key, "network", t, m))
                for m in range(p.rfad_networks)
            ]
            batch, of_batch = real.mixed(p.rfad_batch, keyed(key, t))
            with torch.no_grad():
                of_real = random_features(batch, networks).double()
            own = random_features(images, networks).double()
            K_ts, K_ss = (2 * x @ own.mT + OFFSET for x in (of_real, own))
            predicted = ridge_prediction(K_ts, K_ss, labels, RIDGE)
            optimiser.zero_grad()
            platt_loss(predicted, of_batch, tau).backward()
            optimiser.step()
            return (predicted.argmax(1) != of_batch).double().mean().item()

        parts = {"images": images.data, "tau": tau.data, "optimiser": optimiser}
        losses = descend(work, p.rfad_steps, "rfad", step, parts)
        return Learned(pixels_of(data, images.detach()), losses, {"labels": labels, "tau": tau.detach()[None]})

    knobs = ("rfad_networks", "rfad_width", "rfad_batch", "rfad_steps", "rfad_rate")
    return learned_set(run, "rfad", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def _cost(account: Account) -> Iterator[Cost]:
    """Convolutions of the real images once, of the distilled images three times."""
    p, channels = account.profile, account.images.channels
    sides = [p.picture_size >> block for block in range(BLOCKS)]
    inputs = [channels] + [p.rfad_width] * (BLOCKS - 1)
    forward = sum(18 * side**2 * a * p.rfad_width for side, a in zip(sides, inputs, strict=True))
    for ipc in account.levels:
        n = ipc * account.images.n_classes
        flops = p.rfad_steps * p.rfad_networks * forward * (min(p.rfad_batch, account.images.n) + 3 * n)
        yield account.learned("rfad", "RFAD", ipc, flops, 0, more=n * account.images.n_classes + 1)


METHOD = Method(
    name="rfad", title="RFAD", reference="loo2022rfad", distill=_distill, protocol=protocol, fit=train_on_floats,
    cost=_cost, uses=("random_real",),
    small={"rfad_networks": 2, "rfad_width": 4, "rfad_batch": 12, "rfad_steps": 2},
)  # fmt: skip
