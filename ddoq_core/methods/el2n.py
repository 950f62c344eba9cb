"""EL2N (Paul et al. 2021): the training images with the largest errors early in training.

The score of an image is the mean over networks of |softmax - one-hot|. As published, it is taken after 10 to 20 of 200
epochs over ten networks, and the hardest images are kept. With a few images per class the hardest are outliers: see the
row `easy`. The networks are TESLA's trajectories after `score_epoch` epochs; each distillation uses its own half.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import knob
from ..pipeline.distilled import DistilledDataset
from ..pipeline.teacher import EVALUATION_BATCH
from ..randomness import numpy_rng
from ..store.artifacts import Artifact
from .account import Account, Cost
from .method import Method, MethodRun
from .shared.coreset import chosen_set, last_layer_gradients
from .shared.trajectories import called_with, experts, trajectory, vector_network

# a score for each image, given a network, its parameters, normalised images and their class
Score = Callable[[nn.Module, Float[Tensor, " P"], Float[Tensor, "n C H W"], int], Float[Tensor, " n"]]


class Knobs:
    """When images are scored."""

    score_epoch: int = knob(
        1, "epoch of the trajectories at which EL2N and GraNd score the images", low=0,
        methods=("el2n", "grand", "easy"), since="0.2",
    )  # fmt: skip


@torch.no_grad()
def errors_of(
    network: nn.Module, theta: Float[Tensor, " P"], images: Float[Tensor, "n C H W"], label: int
) -> Float[Tensor, " n"]:
    """EL2N with one network: between 0 and the square root of 2."""
    return last_layer_gradients(called_with(network, theta, images), label).norm(dim=1)


def rated(
    run: MethodRun, taught: Artifact, distill_seed: int, label: int, score: Score
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Indices of the training images of a class, and their mean score over this distillation's half of the networks."""
    p, data = run.profile, run.dataset
    half = numpy_rng(p.seed, "rated", distill_seed).permutation(p.tesla_experts)[: -(-p.tesla_experts // 2)]
    thetas = [trajectory(taught, e)[min(p.score_epoch, p.tesla_epochs)].to(p.device) for e in sorted(half.tolist())]
    network, index, found = vector_network(data, p), data.train.of_class(label), []
    for rows in index.split(EVALUATION_BATCH):
        images = data.normalise(data.train.images(rows)).to(p.device)
        found.append(torch.stack([score(network, theta, images, label) for theta in thetas]).mean(0).cpu())
    return index, torch.cat(found)


def extreme(
    run: MethodRun, step: str, ipc: int, distill_seed: int, score: Score, module: str, *, hardest: bool, factor: int = 1
) -> DistilledDataset:
    """The images of every class with the highest or lowest scores, factor x factor to a picture."""
    taught = experts(run.store, run.dataset, run.profile)

    def choice(label: int) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " ipc"]]:
        index, scores = rated(run, taught, distill_seed, label, score)
        order = scores.argsort(descending=hardest, stable=True)
        return index[order[: ipc * factor**2]], torch.ones(ipc, dtype=torch.int64)

    parameters = run.profile.keyed("seed", "score_epoch") | {"factor": factor}
    return chosen_set(
        run, step, ipc, distill_seed, choice, inputs=[taught], module=module, parameters=parameters, factor=factor
    )


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return extreme(run, "el2n", ipc, distill_seed, errors_of, __name__, hardest=True)


def scored(account: Account, step: str, title: str, what: str) -> Iterator[Cost]:
    """Scores of all training images by half of the networks, each a `forward` pass or a `training` step."""
    network = account.classifier(account.profile.tesla_network)
    passes = -(-account.profile.tesla_experts // 2)
    return account.chosen(step, title, network, passes * getattr(network, what))


def _cost(account: Account) -> Iterator[Cost]:
    yield account.trajectories("tesla_experts")
    yield from scored(account, "el2n", "EL2N", "forward")


METHOD = Method(
    name="el2n", title="EL2N, hardest", reference="paul2021el2n", distill=_distill, cost=_cost,
)  # fmt: skip
