"""WMDD (Liu et al., 2025): images whose features are the Wasserstein barycentre of their class.

Step 1 finds the measure on K points of equal mass that is nearest in W_2 to a trained network's features of a class.
For one measure this is k-means with cells of equal mass. Step 2 finds, from noise, images whose features are these
points, whose statistics in every BatchNorm layer, weighted by the masses of the points, are those of the class, and
which the network assigns to their class. Step 3, soft labels, is as in all rows. As published: Adam from 0.25 along a
cosine, betas (0.5, 0.9); distance of features as a norm, not squared; the first layer's statistics ten times;
statistics at 10 (ImageNette). Different in the publication: 2,000 steps, points found by POT from noise, crops, shifts
and mirror images of photographs, and one norm of the features over a batch of all classes, where here each class has
its own. The network is the one that SRe2L inverts. The row `wmdd_masses` also learns masses.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import ot
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import knob
from ..data.dataset import Dataset
from ..pipeline.distilled import DistilledDataset
from ..pipeline.teacher import EVALUATION_BATCH, load_teacher
from ..quantization.lloyd import best_of_restarts
from ..randomness import numpy_rng
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .method import Method, MethodRun
from .shared.coreset import class_features, features_and_logits
from .shared.learned import Learned, descend, learned_set, pixels_of
from .sre2l import BETAS, FIRST, noise, squeeze

MOVES = 20  # most moves of the points of equal mass
RESTARTS = 3

Centres = tuple[Float[Tensor, "K d"], Int64[Tensor, " K"]]  # points, and the number of images that each represents
Moments = list[tuple[Float[Tensor, " c"], Float[Tensor, " c"]]]  # mean and variance of the inputs of every norm


class Knobs:
    """The length and rate of the learning, and the factor of the statistics."""

    wmdd_steps: int = knob(
        500, "steps of Adam on the images (WMDD)", low=1, methods=("wmdd", "wmdd_masses"), since="0.2"
    )
    wmdd_rate: float = knob(0.25, "Adam's first rate (WMDD)", low=0.0, methods=("wmdd", "wmdd_masses"), since="0.2")
    wmdd_statistics: float = knob(
        10.0, "factor of the BatchNorm statistics in the loss (WMDD)", low=0.0, methods=("wmdd", "wmdd_masses"),
        since="0.2",
    )  # fmt: skip


def free_masses(samples: Float[Tensor, "n d"], K: int, rng: np.random.Generator) -> Centres:
    """The nearest measure on K points with free masses: k-means with the masses of its cells."""
    found = best_of_restarts(samples, K, n_restarts=RESTARTS, rng=rng)
    return found.points, found.counts


def equal_masses(samples: Float[Tensor, "n d"], K: int, rng: np.random.Generator) -> Centres:
    """A measure on K points of mass 1/K each, near the samples in W_2: points move to the means of their samples.

    The exact optimal plan assigns samples to points; no move raises its cost. Starts from k-means.
    """
    points, _ = free_masses(samples, K, rng)
    n, before = len(samples), np.inf
    for _ in range(MOVES):
        cost = torch.cdist(samples.double(), points.double()).square()
        plan = ot.emd(np.full(n, 1 / n), np.full(K, 1 / K), cost.numpy(), numItermax=10**7)
        plan = torch.from_numpy(plan)
        total = float((plan * cost).sum())
        if total >= before * (1 - 1e-6):
            break
        before, points = total, K * plan.mT @ samples.double()
    return points.to(samples), torch.full((K,), n // K)


def layer_inputs(network: nn.Module, images: Float[Tensor, "n C H W"]) -> tuple[list[Tensor], Tensor, Tensor]:
    """Inputs of every BatchNorm layer, features and logits, for normalised images."""
    norms, seen = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)], []
    hooks = [norm.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0])) for norm in norms]
    try:
        features, logits = features_and_logits(network, images)
    finally:
        for hook in hooks:
            hook.remove()
    return seen, features, logits


@torch.no_grad()
def class_moments(network: nn.Module, dataset: Dataset, label: int, device: str) -> Moments:
    """Mean and variance of the inputs of every norm over all real images of a class."""
    sums: list[list[Tensor]] = []
    for rows in dataset.train.of_class(label).split(EVALUATION_BATCH):
        inputs, _, _ = layer_inputs(network, dataset.normalise(dataset.train.images(rows)).to(device))
        parts = [[x.double().sum((0, 2, 3)), x.double().square().sum((0, 2, 3)), x[:, 0].numel()] for x in inputs]
        sums = [[a + b for a, b in zip(s, p, strict=True)] for s, p in zip(sums, parts, strict=True)] if sums else parts
    return [((s / n).float(), (q / n - (s / n).square()).float()) for s, q, n in sums]


def statistics_gap(inputs: list[Tensor], wanted: Moments, masses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Distance of the weighted statistics of images from the wanted ones; the first layer counts ten times."""
    gaps, shares = [], (masses / masses.sum())[:, None, None, None]
    for x, (mean, var) in zip(inputs, wanted, strict=True):
        own_mean = (shares * x).sum(0).mean((1, 2))
        own_var = (shares * (x - own_mean[:, None, None]).square()).sum(0).mean((1, 2))
        gaps.append((own_mean - mean).norm() + (own_var - var).norm())
    return FIRST * gaps[0] + sum(gaps[1:])


def barycentric(
    run: MethodRun, name: str, ipc: int, distill_seed: int, module: str,
    centres: Callable[[Float[Tensor, "n d"], int, np.random.Generator], Centres],
) -> DistilledDataset:  # fmt: skip
    """The set of WMDD for one way of finding points and masses."""
    p, data, squeezed = run.profile, run.dataset, squeeze(run)

    def learn(work: Workspace, key: tuple) -> Learned:
        network = load_teacher(squeezed, p.device).requires_grad_(False)
        points, counts, moments = [], [], []
        for label in range(data.n_classes):
            _, features, _ = class_features(run, squeezed, label)
            found, masses = centres(features, ipc, numpy_rng(*key, "centres", label))
            points.append(found.to(p.device))
            counts.append(masses)
            moments.append(class_moments(network, data, label, p.device))
        low, high = (data.normalise(torch.full((1, data.channels, 1, 1), v, device=p.device)) for v in (0.0, 1.0))
        places = [(label, item) for label in range(data.n_classes) for item in range(ipc)]
        images = torch.stack([noise(data, p.seed, name, distill_seed, *place) for place in places]).to(p.device)
        images.requires_grad_()
        optimiser = torch.optim.Adam([images], lr=p.wmdd_rate, betas=BETAS)

        def step(t: int) -> float:
            total = torch.zeros((), device=p.device)
            for label, own in enumerate(images.split(ipc)):
                inputs, features, logits = layer_inputs(network, own)
                hard = torch.full((ipc,), label, device=p.device)
                total = total + F.cross_entropy(logits, hard) + (features - points[label]).norm()
                total = total + p.wmdd_statistics * statistics_gap(inputs, moments[label], counts[label].to(own))
            optimiser.param_groups[0]["lr"] = p.wmdd_rate * (1 + math.cos(math.pi * t / p.wmdd_steps)) / 2
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            with torch.no_grad():
                images.copy_(images.clamp(low, high))
            return total.item()

        losses = descend(work, p.wmdd_steps, name, step, {"images": images.data, "optimiser": optimiser})
        return Learned(pixels_of(data, images.detach()), losses, counts=counts)

    knobs = ("wmdd_steps", "wmdd_rate", "wmdd_statistics")
    return learned_set(run, name, ipc, distill_seed, learn, knobs=knobs, module=module, inputs=(squeezed,))


def fits_inverted(account: Account) -> set[tuple[str, int]]:
    """The network to invert, if it is not the teacher."""
    p = account.profile
    return {(p.inversion_network, 0)} if p.inversion_network != p.teacher else set()


def barycentric_cost(account: Account, step: str, title: str) -> Iterator[Cost]:
    """Features and moments of all real images; then forward and backward passes of the images."""
    p, network = account.profile, account.classifier(account.profile.inversion_network)
    for ipc in account.levels:
        learned = p.wmdd_steps * ipc * account.images.n_classes * (network.training - network.forward)
        flops = 2 * account.images.n * network.forward + learned
        yield account.learned(step, title, ipc, flops, NETWORK_WEIGHT * network.parameters)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return barycentric(run, "wmdd", ipc, distill_seed, __name__, equal_masses)


def _cost(account: Account) -> Iterator[Cost]:
    return barycentric_cost(account, "wmdd", "WMDD")


METHOD = Method(
    name="wmdd", title="WMDD", reference="liu2025wmdd", distill=_distill, cost=_cost, fits=fits_inverted,
    small={"wmdd_steps": 2},
)  # fmt: skip
