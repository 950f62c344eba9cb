"""TESLA (Cui et al., 2023): images on which a few steps of a student follow the trajectory of experts on real data.

In: trajectories theta_t of experts on the real training images, and random real images as a start. Out: the images,
changed so that N steps of rate a on them lead from theta_t to theta_(t+M), and the learned rate a. The objective is
trajectory matching (eq. 4), L = |theta^S_N - theta_(t+M)|^2 / |theta_(t+M) - theta_t|^2, theta^S_0 = theta_t,
theta^S_(i+1) = theta^S_i - a g_i, where g_i is the gradient of the loss on a mini-batch of the images S at theta^S_i.

The published gradient is a different one. It treats every theta^S_i as constant: with l = dL/dtheta^S_N it is
dL/dS = -a sum_i d(g_i . l)/dS, dL/da = -sum_i g_i . l. But theta^S_i depends on S and a, so eq. 4 has another gradient,
that of MTT: the same sums with l_i instead of l, where l_(N-1) = l and l_(i-1) = l_i - a d(g_i . l_i)/dtheta^S_i. That
derivative needs only the graph that exists for S, so `shared.unroll` sweeps backwards and is exact, with TESLA's
memory: the graph of one step, for any N.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import NETWORK, Profile, knob
from ..data.dataset import Dataset
from ..pipeline.distilled import DistilledDataset, write_image, write_metadata
from ..pipeline.teacher import affine_maps, moved
from ..processes import bar
from ..randomness import numpy_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.checkpoints import Checkpoint
from ..threads import threads
from .account import NETWORK_WEIGHT, SYNTHESIS, Account, Cost
from .method import Method, MethodRun, SetSize, published_epochs
from .random_real import random_real
from .shared.trajectories import experts, trajectory, vector_loss, vector_network
from .shared.unroll import distance_to, unrolled

BATCH = 50  # images per step, so that its cost does not grow with the set
RATE_OF_RATE = 1e-4
LOWEST_RATE = 1e-3  # lower bound of the learned rate, so that steps descend
MOMENTUM = 0.5  # of the updates of images and rate, as published
CHECKPOINT = "checkpoint.pt"

# function of parameters, images and the number of the step
StepLoss = Callable[[Float[Tensor, " P"], Float[Tensor, "n C H W"], int], Float[Tensor, ""]]


class Knobs:
    """The trajectories, and how they are matched."""

    tesla_ipc: list[int] = knob(
        [1, 10], "images per class for which TESLA is run", low=1, methods=("tesla", "mtt", "haba")
    )
    tesla_network: str = knob(
        "convnet-32", "network whose trajectories TESLA matches", like=NETWORK,
        methods=("tesla", "mtt", "haba", "el2n", "grand", "easy"),
    )  # fmt: skip
    tesla_experts: int = knob(
        6, "number of trajectories on the real images", low=1, methods=("tesla", "mtt", "haba", "el2n", "grand", "easy")
    )
    tesla_epochs: int = knob(
        3, "epochs of a trajectory", low=1, methods=("tesla", "mtt", "haba", "el2n", "grand", "easy")
    )
    tesla_iterations: int = knob(200, "optimisation steps for the images (TESLA)", low=1)
    tesla_steps: int = knob(10, "student steps in each optimisation step", low=1, methods=("tesla", "mtt", "haba"))
    tesla_rate: float = knob(10.0, "rate of the optimisation steps (TESLA)", low=0.0)
    tesla_matched: int = knob(
        1, "epochs of a trajectory that student steps match, M", low=1, methods=("tesla", "mtt", "haba"), since="0.2"
    )
    tesla_starts: int = knob(
        2,
        "number of epochs, from the first, at which a matched part may begin",
        low=1,
        methods=("tesla", "mtt", "haba"),
        since="0.2",
    )
    tesla_first_rate: float = knob(
        0.03,
        "initial rate of the student's steps; the rate is learned",
        low=0.0,
        methods=("tesla", "mtt", "haba"),
        since="0.2",
    )


@dataclass(frozen=True)
class Match:
    """The student's distance from the goal, as a share of the expert's distance (eq. 4), and its gradient."""

    loss: float
    images: Float[Tensor, "n C H W"]
    rate: Float[Tensor, ""]


def matching(
    loss: StepLoss, images: Float[Tensor, "n C H W"], rate: Float[Tensor, ""], start: Float[Tensor, " P"],
    goal: Float[Tensor, " P"], steps: int, *, exact: bool = True,
) -> Match:  # fmt: skip
    """Eq. 4 for one part of one trajectory, and its gradient, one step's graph at a time.

    Args:
        start: theta_t of the expert.
        goal: theta_(t+M) of the expert.
        exact: False treats the student's parameters as constant, as published.
    """
    way = (goal - start).square().sum()
    found = unrolled(
        lambda theta, parts, i: loss(theta, *parts, i), (images,), rate.expand(steps), start, distance_to(goal, way),
        exact=exact,
    )  # fmt: skip
    return Match(found.value, found.parts[0], found.rates.sum())


def tesla(store: Store, dataset: Dataset, profile: Profile, *, ipc: int, distill_seed: int) -> DistilledDataset:
    """The images of `random_real`, changed by descent on eq. 4; with `learned.json`.

    Every update draws an expert, a start on its trajectory, mini-batches and one small affine map per image and step.
    Then the images are projected to [0, 1], since they are stored as PNG.
    """
    taught = experts(store, dataset, profile)
    first = random_real(store, dataset, profile, ipc=ipc, distill_seed=distill_seed)

    def build(work: Workspace) -> None:
        images, learned = _learn(work, taught, first, dataset, profile, (profile.seed, "tesla", ipc, distill_seed))
        for row, image in enumerate(images):
            write_image(work, row // ipc, row % ipc, image)
        write_metadata(work, dataset, torch.ones(dataset.n_classes, ipc, dtype=torch.int64), seed=distill_seed)
        work.json("learned.json", learned)
        work.discard(CHECKPOINT)

    knobs = profile.keyed("seed", "flip", "tesla_network", "tesla_iterations", "tesla_steps", "tesla_rate")
    knobs |= profile.keyed("tesla_matched", "tesla_starts", "tesla_first_rate")
    parameters = knobs | {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    with threads(profile.threads):
        return DistilledDataset(
            store.make(
                "tesla", build, parameters=parameters, inputs=[taught, first.artifact], modules=(__name__,),
                label=f"ipc{ipc:03d}-seed{distill_seed}", plan=profile.subset("threads", "device"),
            )
        )  # fmt: skip


def _learn(
    work: Workspace, taught: Artifact, first: DistilledDataset, dataset: Dataset, profile: Profile, key: tuple
) -> tuple[Float[Tensor, "n C H W"], dict]:
    """The images, and the learned rate with the mean of eq. 4 over the first and the last tenth of the updates."""
    T, N, device = profile.tesla_iterations, profile.tesla_steps, profile.device
    ways = [trajectory(taught, e).to(device) for e in range(profile.tesla_experts)]
    network = vector_network(dataset, profile)
    images, labels = first.images().to(device), first.labels.to(device)
    rate = torch.tensor(profile.tesla_first_rate, device=device)
    groups = [{"params": [images], "lr": profile.tesla_rate}, {"params": [rate], "lr": RATE_OF_RATE}]
    optimiser = torch.optim.SGD(groups, momentum=MOMENTUM)
    checkpoint = Checkpoint(work, CHECKPOINT, {"images": images, "rate": rate, "optimiser": optimiser})
    losses = checkpoint.resume([])  # eq. 4 after every update
    for t in bar(range(len(losses), T), desc="tesla", initial=len(losses), total=T, leave=False):
        rng = numpy_rng(*key, t)
        way = ways[rng.integers(len(ways))]
        matched = min(profile.tesla_matched, len(way) - 1)
        begin = rng.integers(min(profile.tesla_starts, len(way) - matched))
        rows = batches(len(images), N, rng)
        maps = affine_maps(rows.numel(), profile.flip, rng).reshape(*rows.shape, 2, 3)

        def loss(theta: Tensor, x: Tensor, i: int, rows: Tensor = rows, maps: Tensor = maps) -> Float[Tensor, ""]:
            change = lambda seen: moved(seen, maps[i].to(seen))  # noqa: E731
            return vector_loss(network, dataset, theta, x[rows[i]], labels[rows[i]], change)

        match = matching(loss, images, rate, way[begin], way[begin + matched], N)
        images.grad, rate.grad = match.images, match.rate
        optimiser.step()
        images.clamp_(0, 1)
        rate.clamp_(min=LOWEST_RATE)
        losses.append(match.loss)
        checkpoint.keep(losses)
    tenth = -(-T // 10)
    means = {"start_loss": float(np.mean(losses[:tenth])), "end_loss": float(np.mean(losses[-tenth:]))}
    return images, {"rate": float(rate)} | means


def batches(n: int, steps: int, rng: np.random.Generator) -> Int64[Tensor, "steps b"]:
    """Rows of every step's images: passes over the whole set in random order, cut into batches."""
    b = min(n, BATCH)
    passes = [rng.permutation(n) for _ in range(-(-steps * b // n))]
    return torch.from_numpy(np.concatenate(passes)[: steps * b].reshape(steps, b))


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return tesla(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """The public evaluation of trajectory matching: 1,000 epochs of gradient descent.

    It starts at the learned rate and uses a tenth of it after half of the epochs, with batches of 256 and a decay of
    5e-4. Mild crops replace the published augmentation (crops, shifts, scales).
    """
    return "hard", {
        "optimiser": "sgd",
        "lr_schedule": "tenth",
        "epochs": published_epochs(1000, profile),
        "batch_size": 256,
        "weight_decay": 5e-4,
        "cutmix": False,
        "crop_scale": 0.7,
    }


def _learned_rate(distilled: DistilledDataset) -> float:
    """The learning rate that was learned with the images; its students start at it."""
    return distilled.artifact.json("learned.json")["rate"]


def _cost(account: Account) -> Iterator[Cost]:
    """The trajectories; then, for each matched step, its gradient and the gradient of that: four passes."""
    p, images, network = account.profile, account.images, account.classifier(account.profile.tesla_network)
    weight = NETWORK_WEIGHT * network.parameters
    yield account.trajectories("tesla_experts")
    for ipc in account.levels:
        passes = p.tesla_iterations * p.tesla_steps * min(ipc * images.n_classes, BATCH) * 4
        yield Cost(
            step="tesla", stage=SYNTHESIS, title="TESLA: match", ipc=ipc, times=account.times(ipc),
            flops=passes * network.training, writes=account.pictures(ipc), memory=weight * p.tesla_steps,
        )  # fmt: skip


METHOD = Method(
    name="tesla", title="TESLA", reference="cui2023tesla", distill=_distill, ipc="tesla_ipc", protocol=protocol,
    rate=_learned_rate, cost=_cost, uses=("random_real",),
    small={
        "tesla_ipc": [1, 2], "tesla_network": "convnet-4", "tesla_experts": 2, "tesla_epochs": 2,
        "tesla_iterations": 2, "tesla_steps": 2,
    },
)  # fmt: skip
