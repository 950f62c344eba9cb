"""Gradient matching with Siamese augmentation, DSA (Zhao & Bilen, 2021).

min_S E sum_t sum_c D(grad L_c(A x; theta_t), grad L_c(A s; theta_t)), with theta moving along S. In each step of the
images, every class has one draw of A for its real batch x and its distilled images s; D adds 1 - cosine over the rows
of all kernels and matrices. Between two steps of the images the network is trained on them for `inner` epochs, with
parameters of A for each image; after `outer` steps a new one is drawn. A gradient has a row for each channel, so fewer
steps of narrower networks than published need a larger rate. As published: outer and inner by images per class (LOOPS),
descent with momentum 0.5 and rate 0.1 on normalised pixels, 0.01 without momentum on the network, start from real
images. Different in the publication: 1,000 networks for any `outer`, 256 real images, unbounded inner epochs, width
128; see the knobs.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..config.profile import Profile, knob
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .dm import MATCHING
from .method import Method, MethodRun
from .shared.distances import class_loss, parameter_gradients, row_distance
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

LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}  # outer, inner, as published
INNER_RATE, INNER_BATCH = 0.01, 256
KNOBS = (*MATCHING, "dc_steps", "dc_rate", "dc_inner")
SECOND_ORDER = 3  # cost of a gradient of a gradient, in units of training on an image

# trains the network in place between two steps, given the network, real images, distilled images, epochs and a key
Inner = Callable[[nn.Module, RealBatches, Tensor, int, tuple], None]


class Knobs:
    """The length of the gradient matching."""

    dc_steps: int = knob(
        1000, "optimisation steps for the images (DC, DSA, robust)", low=1, methods=("dc", "dsa", "robust"), since="0.2"
    )
    dc_rate: float = knob(
        0.1, "rate of the steps on normalised pixels (DC, DSA, robust)", low=0.0, methods=("dc", "dsa", "robust"),
        since="0.2",
    )  # fmt: skip
    dc_inner: int = knob(
        10, "most network epochs between two steps (DC, DSA, robust)", low=1, methods=("dc", "dsa", "robust"),
        since="0.2",
    )  # fmt: skip


def loops(profile: Profile, ipc: int) -> tuple[int, int]:
    """Image steps per network, and the network's epochs between two steps; between two levels, those of the lower."""
    outer, inner = LOOPS[max(level for level in LOOPS if level <= ipc)]
    return outer, min(inner, profile.dc_inner)


def gradient_gap(
    run: MethodRun, network: nn.Module, real: RealBatches, images: Float[Tensor, "n C H W"], ipc: int, key: tuple,
    families: tuple[str, ...],
) -> tuple[float, Float[Tensor, "n C H W"]]:  # fmt: skip
    """Distance of the gradients, summed over the classes, and its gradient with respect to normalised images."""
    total, found, rng = 0.0, torch.zeros_like(images), keyed(key)
    for label in range(run.dataset.n_classes):
        rows = slice(label * ipc, (label + 1) * ipc)
        batch = real.batch(label, run.profile.matching_batch, rng)
        own = images[rows].detach().requires_grad_()
        shown = own
        if families:
            draw = drawn(rng, families)
            batch, shown = augmented(batch, draw), augmented(own, draw)
        wanted = parameter_gradients(class_loss(network, batch, label), network)
        gap = row_distance(parameter_gradients(class_loss(network, shown, label), network, graph=True), wanted)
        (found[rows],) = torch.autograd.grad(gap, own)
        total += gap.item()
    return total, found


def train_inner(
    network: nn.Module, images: Float[Tensor, "n C H W"], labels: Tensor, epochs: int, key: tuple,
    families: tuple[str, ...],
) -> None:  # fmt: skip
    """Epochs of plain gradient descent of the network on normalised images, in place."""
    optimiser = torch.optim.SGD(network.parameters(), lr=INNER_RATE)
    for epoch in range(epochs):
        rng = keyed(key, epoch)
        for rows in torch.from_numpy(rng.permutation(len(images))).split(INNER_BATCH):
            shown = augmented(images[rows], drawn(rng, families, len(rows))) if families else images[rows]
            optimiser.zero_grad()
            F.cross_entropy(network(shown), labels[rows]).backward()
            optimiser.step()


def match_gradients(
    run: MethodRun, name: str, ipc: int, distill_seed: int, module: str, *, siamese: bool, start: Callable,
    inner: Inner | None = None, loops_of: tuple[int, int] | None = None,
) -> DistilledDataset:  # fmt: skip
    """The set of DSA, or of DC without augmentation; an interrupted run resumes with its network.

    Args:
        start: function of run, ipc and distillation seed for the initial images, normalised.
        inner: trains the network between two steps; by default it is trained on the distilled images.
        loops_of: image steps per network, and epochs between two steps; None uses the published numbers.
    """
    p = run.profile
    families = families_of(p.flip) if siamese else ()
    outer, epochs = loops_of or loops(p, ipc)

    def learn(work: Workspace, key: tuple) -> Learned:
        real, images = RealBatches(run.dataset, p.device), start(run, ipc, distill_seed)
        labels = torch.arange(run.dataset.n_classes, device=p.device).repeat_interleave(ipc)
        network = fresh_network(run, p.matching_network, *key, "network", 0)
        optimiser = torch.optim.SGD([images], lr=p.dc_rate, momentum=MOMENTUM)

        def step(t: int) -> float:
            if t % outer == 0:
                drawn_anew = fresh_network(run, p.matching_network, *key, "network", t)
                network.load_state_dict(drawn_anew.state_dict())
            gap, images.grad = gradient_gap(run, network, real, images, ipc, (*key, t), families)
            optimiser.step()
            if (t + 1) % outer and inner is None:
                train_inner(network, images.detach(), labels, epochs, (*key, t, "inner"), families)
            elif (t + 1) % outer:
                inner(network, real, images.detach(), epochs, (*key, t, "inner"))
            return gap

        parts = {"images": images, "optimiser": optimiser, "network": network}
        losses = descend(work, p.dc_steps, name, step, parts)
        return Learned(pixels_of(run.dataset, images), losses)

    return learned_set(run, name, ipc, distill_seed, learn, knobs=KNOBS, module=module)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return match_gradients(run, "dsa", ipc, distill_seed, __name__, siamese=True, start=real_start)


def matching_cost(
    account: Account, step: str, title: str, loops_of: tuple[int, int] | None = None, real: int = 0
) -> Iterator[Cost]:
    """Gradients of the real and the distilled images, the latter differentiated, and the network's training.

    Args:
        loops_of: as in `match_gradients`.
        real: real images of a class on which the network is trained; 0: on the distilled images.
    """
    p, network, C = account.profile, account.classifier(account.profile.matching_network), account.images.n_classes
    for ipc in account.levels:
        outer, epochs = loops_of or loops(p, ipc)
        batch, seen = min(p.matching_batch, account.images.per_class), min(real, account.images.per_class) or ipc
        passes = C * (batch + SECOND_ORDER * ipc + seen * epochs * (outer - 1) / outer) * network.training
        yield account.learned(step, title, ipc, p.dc_steps * passes, NETWORK_WEIGHT * network.parameters)


def _cost(account: Account) -> Iterator[Cost]:
    return matching_cost(account, "dsa", "DSA")


METHOD = Method(
    name="dsa", title="DSA", reference="zhao2021dsa", distill=_distill, protocol=dc_protocol, fit=train_on_floats,
    cost=_cost, uses=("random_real",), small={"dc_steps": 2, "dc_inner": 1},
)  # fmt: skip
