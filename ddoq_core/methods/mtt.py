"""Trajectory matching, MTT (Cazenavette et al., 2022): eq. 4 with its exact gradient, on the floats.

The row `tesla` has the same gradient, and both compute it one graph at a time, with less memory. The rows differ in
what their authors published. Here trajectories and student steps are augmented by DSA, the batches of a step are cut
from one order of the whole set, pixels may leave [0, 1], and students are trained on them at the learned rate. TESLA's
knobs set trajectories, matched part, steps and first rate.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Artifact, Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .method import Method, MethodRun
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.learned import (
    MOMENTUM,
    Learned,
    descend,
    floats_of,
    keyed,
    learned_set,
    pixels_of,
    real_start,
)
from .shared.siamese import augmented, drawn, families_of
from .shared.trajectories import called_with, experts, trajectory, vector_network
from .shared.unroll import PartsLoss, distance_to, unrolled
from .tesla import BATCH, LOWEST_RATE, RATE_OF_RATE, batches

Images = Callable[[tuple[Tensor, ...], int], Tensor]  # all images, given the learned parts and a step
MATCHED = ("tesla_network", "tesla_steps", "tesla_matched", "tesla_starts", "tesla_first_rate")


class Knobs:
    """Length and rate of the trajectory matching."""

    mtt_steps: int = knob(
        300, "optimisation steps for the images (MTT, HaBa)", low=1, methods=("mtt", "haba"), since="0.2"
    )
    mtt_rate: float = knob(
        100.0, "rate of the steps on normalised pixels (MTT, HaBa)", low=0.0, methods=("mtt", "haba"), since="0.2"
    )


class Ways:
    """The trajectories of a run, and the start and end of the part that a step matches."""

    def __init__(self, run: MethodRun, taught: Artifact) -> None:
        self.run, p = run, run.profile
        self.ways = [trajectory(taught, e).to(p.device) for e in range(p.tesla_experts)]
        self.network = vector_network(run.dataset, p)

    def part(self, rng: np.random.Generator) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
        """Start and goal of a part of a trajectory, M epochs apart."""
        p, way = self.run.profile, self.ways[rng.integers(len(self.ways))]
        matched = min(p.tesla_matched, len(way) - 1)
        begin = rng.integers(min(p.tesla_starts, len(way) - matched))
        return way[begin], way[begin + matched]

    def loss(self, labels: Tensor, rng: np.random.Generator, images_of: Images | None = None) -> PartsLoss:
        """The student's loss at every step: a batch of the images, with one family and parameters for each image.

        Args:
            images_of: all images, from the learned parts and the step; None takes the only part.
        """
        p = self.run.profile
        rows = batches(len(labels), p.tesla_steps, rng)
        draws = [drawn(rng, families_of(p.flip), rows.shape[1]) for _ in rows]

        def loss(theta: Tensor, parts: tuple[Tensor, ...], i: int) -> Float[Tensor, ""]:
            images = images_of(parts, i) if images_of else parts[0]
            logits = called_with(self.network, theta, augmented(images[rows[i]], draws[i]))
            return F.cross_entropy(logits, labels[rows[i]])

        return loss


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p = run.profile
    taught = experts(run.store, run.dataset, p, siamese=True)

    def learn(work: Workspace, key: tuple) -> Learned:
        ways, images = Ways(run, taught), real_start(run, ipc, distill_seed)
        rate = torch.tensor(p.tesla_first_rate, device=p.device)
        labels = torch.arange(run.dataset.n_classes, device=p.device).repeat_interleave(ipc)
        groups = [{"params": [images], "lr": p.mtt_rate}, {"params": [rate], "lr": RATE_OF_RATE}]
        optimiser = torch.optim.SGD(groups, momentum=MOMENTUM)

        def step(t: int) -> float:
            rng = keyed(key, t)
            start, goal = ways.part(rng)
            end = distance_to(goal, (goal - start).square().sum())
            found = unrolled(ways.loss(labels, rng), (images,), rate.expand(p.tesla_steps), start, end)
            images.grad, rate.grad = found.parts[0], found.rates.sum()
            optimiser.step()
            rate.clamp_(min=LOWEST_RATE)
            return found.value

        losses = descend(work, p.mtt_steps, "mtt", step, {"images": images, "rate": rate, "optimiser": optimiser})
        return Learned(pixels_of(run.dataset, images), losses, {"rate": rate[None]})

    knobs = (*MATCHED, "mtt_steps", "mtt_rate")
    return learned_set(run, "mtt", ipc, distill_seed, learn, knobs=knobs, module=__name__, inputs=(taught,))


def learned_rate(distilled: DistilledDataset) -> float:
    """The learning rate that was learned with the images; its students start at it."""
    return float(floats_of(distilled)["rate"])


def unrolled_cost(account: Account, ipc: int, steps: int) -> float:
    """Operations of steps on the images: a matched step costs as much as four trainings on its batch."""
    p, network = account.profile, account.classifier(account.profile.tesla_network)
    return steps * p.tesla_steps * min(ipc * account.images.n_classes, BATCH) * 4 * network.training


def _cost(account: Account) -> Iterator[Cost]:
    p, network = account.profile, account.classifier(account.profile.tesla_network)
    yield account.trajectories("mtt_experts")
    for ipc in account.levels:
        memory = NETWORK_WEIGHT * network.parameters * p.tesla_steps
        yield account.learned("mtt", "MTT", ipc, unrolled_cost(account, ipc, p.mtt_steps), memory, more=1)


METHOD = Method(
    name="mtt", title="MTT", reference="cazenavette2022mtt", distill=_distill, ipc="tesla_ipc", protocol=dc_protocol,
    rate=learned_rate, fit=train_on_floats, cost=_cost, uses=("random_real",), small={"mtt_steps": 2, "mtt_rate": 1.0},
)  # fmt: skip
