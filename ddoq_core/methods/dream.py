"""DREAM (Liu et al., 2023): gradient matching with representative instead of random real images in a batch.

The representatives of a class are the images nearest to the k-means centres of its features in the current network,
found anew every ten steps; D is the sum of absolute differences of the gradients of the kernels (squares on colour
images in the publication). Clustering of real features is only the *sampler* here, while in DDOQ it is the codebook. As
published: start from the representatives of an untrained network, pixels clamped to [0, 1], the network trained on some
real images, with colours and shifts of each, after every step by descent at 0.01 with momentum 0.9 and decay 5e-4, rate
1e-4 IPC/10 (digits), the same augmentation of colour, shift and hole for real and distilled images. Different in the
publication: 200,000 steps (fewer need a larger rate), 128 representatives, a new network after 100 steps, 4 pictures of
half the side in an image, CutMix of the real images; students with CutMix in batches of 64, where here they are DSA's.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import knob
from ..pipeline.distilled import DistilledDataset
from ..quantization.lloyd import best_of_restarts
from ..quantization.voronoi import squared_distances
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .dsa import SECOND_ORDER
from .method import Method, MethodRun
from .shared.distances import absolute_distance, class_loss, embedded, parameter_gradients
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.learned import MOMENTUM, Learned, RealBatches, descend, fresh_network, keyed, learned_set
from .shared.siamese import augmented, drawn

FAMILIES, OF_NETWORK = ("colour", "crop", "cutout"), ("colour", "crop")
ANEW = 10  # steps between two searches for representatives
INNER = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
INNER_BATCH = 64


class Knobs:
    """The representatives, and the length of the gradient matching."""

    dream_steps: int = knob(600, "optimisation steps for the images (DREAM)", low=1, since="0.2")
    dream_network_steps: int = knob(20, "steps under one network (DREAM)", low=1, since="0.2")
    dream_representatives: int = knob(32, "representatives of a class (DREAM)", low=1, since="0.2")
    dream_real: int = knob(500, "real images to train the network on after a step (DREAM)", low=1, since="0.2")
    dream_rate: float = knob(
        1e-4, "rate on pixels at ten images per class; proportional to ipc (DREAM)", low=0.0, since="0.2"
    )


def representatives(features: Float[Tensor, "n d"], k: int, key: tuple) -> Int64[Tensor, " k"]:
    """The nearest sample to every k-means centre; two centres may have the same one."""
    centres = best_of_restarts(features, k, n_restarts=1, rng=keyed(key, "representatives")).points
    return squared_distances(features, centres).argmin(0)


@torch.no_grad()
def _representatives(network: nn.Module, real: RealBatches, k: int, key: tuple) -> Int64[Tensor, "classes k"]:
    """Rows of each class's images; a class with too few images repeats some."""
    found = []
    for label, pixels in enumerate(real.pixels):
        features = torch.cat([embedded(network, real.shown(some)).cpu() for some in pixels.split(256)])
        rows = representatives(features, min(k, len(features)), (*key, label))
        found.append(rows[torch.arange(k) % len(rows)])
    return torch.stack(found)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, data = run.profile, run.dataset

    def learn(work: Workspace, key: tuple) -> Learned:
        real = RealBatches(data, p.device)
        network = fresh_network(run, p.matching_network, *key, "network", 0)
        inner = torch.optim.SGD(network.parameters(), **INNER)
        start = _representatives(network, real, ipc, (*key, "start"))
        images = torch.cat([px[rows] for px, rows in zip(real.pixels, start, strict=True)]).float().to(p.device) / 255
        chosen = _representatives(network, real, p.dream_representatives, (*key, 0))
        optimiser = torch.optim.SGD([images], lr=p.dream_rate * ipc / 10, momentum=MOMENTUM)

        def step(t: int) -> float:
            if t % p.dream_network_steps == 0:
                network.load_state_dict(fresh_network(run, p.matching_network, *key, "network", t).state_dict())
                inner.state.clear()
            if t % p.dream_network_steps % ANEW == 0:
                chosen.copy_(_representatives(network, real, p.dream_representatives, (*key, t)))
            rng, total, found = keyed(key, t), 0.0, torch.zeros_like(images)
            for label in range(data.n_classes):
                draw, rows = drawn(rng, FAMILIES), slice(label * ipc, (label + 1) * ipc)
                batch = augmented(real.shown(real.pixels[label][chosen[label]]), draw)
                own = images[rows].detach().requires_grad_()
                wanted = parameter_gradients(class_loss(network, batch, label), network)
                shown = augmented(data.normalise(own), draw)
                gap = absolute_distance(
                    parameter_gradients(class_loss(network, shown, label), network, graph=True), wanted
                )
                (found[rows],) = torch.autograd.grad(gap, own)
                total += gap.item()
            images.grad = found
            optimiser.step()
            images.clamp_(0, 1)
            _learn_real(network, inner, *real.mixed(p.dream_real, rng), (*key, t, "inner"))
            return total

        parts = {"images": images, "optimiser": optimiser, "network": network, "inner": inner, "chosen": chosen}
        return Learned(images, descend(work, p.dream_steps, "dream", step, parts))

    knobs = (
        "matching_network",
        "dream_steps",
        "dream_network_steps",
        "dream_representatives",
        "dream_real",
        "dream_rate",
    )
    return learned_set(run, "dream", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def _learn_real(
    network: nn.Module, optimiser: torch.optim.SGD, images: Float[Tensor, "n C H W"], labels: Tensor, key: tuple
) -> None:
    """One pass of the network over some real images, in place."""
    rng = keyed(key)
    for rows in torch.from_numpy(rng.permutation(len(images))).split(INNER_BATCH):
        optimiser.zero_grad()
        shown = augmented(images[rows], drawn(rng, OF_NETWORK, len(rows)))
        F.cross_entropy(network(shown), labels[rows]).backward()
        optimiser.step()


def _cost(account: Account) -> Iterator[Cost]:
    """Gradients of representatives and images, the network's training, and features every ten steps."""
    p, network, C = account.profile, account.classifier(account.profile.matching_network), account.images.n_classes
    for ipc in account.levels:
        trained = C * (p.dream_representatives + SECOND_ORDER * ipc) + p.dream_real
        flops = p.dream_steps * (trained * network.training + account.images.n / ANEW * network.forward)
        yield account.learned("dream", "DREAM", ipc, flops, NETWORK_WEIGHT * network.parameters)


METHOD = Method(
    name="dream", title="DREAM", reference="liu2023dream", distill=_distill, protocol=dc_protocol, fit=train_on_floats,
    cost=_cost,
    small={"dream_steps": 2, "dream_network_steps": 1, "dream_representatives": 3, "dream_real": 6},
)  # fmt: skip
