"""SRe²L (Yin et al., 2023): images that a trained network assigns to their class, with matching BatchNorm statistics.

Squeeze: train a network f on the real training images. Recover: find images x of every class y, from noise, by
min_x CE(f(x), y) + a sum_l s_l (|mean_l - mean_l(x)|_2 + |var_l - var_l(x)|_2) over the BatchNorm layers l, where
mean_l and var_l are f's running statistics of the real images, mean_l(x) and var_l(x) (biased, as published) those of
the batch, s_1 = 10 and s_l = 1 otherwise. Relabel: the teacher labels them, as in all rows.

As published: pixels start from N(0, 1); Adam with betas (0.5, 0.9) and a cosine decay of its rate from 0.25 to 0; every
step sees the whole batch through one crop, one mirroring (if the data set has them) and one roll, by up to 32 pixels of
224 and 4 of 32; images are clamped to the valid range. Crops have at least 0.08 of the area for ImageNet and Tiny
ImageNet, and CIFAR has no crops, so there are none below 64 pixels here. A published batch is one image of each of 100
classes. With fewer classes, a batch of about 100 has several images of each, all made for any ipc, so a larger set
includes a smaller one. On mnist5k's validation images (10 images per class, means of three students) a = 1 gave 97%
with soft labels, as did ten batches of ten, and 63% against their 53% with hard labels; a = 0.1 gave 95% and 44%.
"""

import functools
import math
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import NETWORK, knob
from ..data.dataset import Dataset
from ..errors import InputError
from ..networks.classifiers import make_network
from ..pipeline.distilled import DistilledDataset, image_name, write_image, write_metadata
from ..pipeline.teacher import fit_classifier, load_teacher
from ..pipeline.views import cropped, random_resized_crop
from ..processes import bar, world
from ..randomness import numpy_rng, torch_rng
from ..store.artifacts import Artifact, Workspace
from ..threads import threads
from .account import NETWORK_WEIGHT, SYNTHESIS, Account, Cost
from .method import Method, MethodRun

BATCH = 100  # images recovered together
# knobs of a profile that shape an image
INVERSION = ("seed", "flip", "inversion_iterations", "inversion_rate", "inversion_statistics")
BETAS = (0.5, 0.9)
FIRST = 10.0  # factor of the first layer's statistics
SMALLEST_CROP = 0.08
PHOTOGRAPH = 64  # smallest side in pixels of images that are cropped, as published for Tiny ImageNet and ImageNet
JITTER = 7  # the largest roll is the side divided by this

Bound = Callable[[float], float]  # smallest area of a crop after a share of the steps
Image = tuple[int, int]  # class and item


class Knobs:
    """The inversion."""

    inversion_network: str = knob(
        "convnet-32-bn", "network with BatchNorm that SRe2L and CDA invert", like=NETWORK,
        methods=("sre2l", "cda", "wmdd", "wmdd_masses"),
    )  # fmt: skip
    inversion_iterations: int = knob(500, "steps of Adam on the images (SRe2L, CDA)", low=1, methods=("sre2l", "cda"))
    inversion_rate: float = knob(0.25, "Adam's rate on the images (SRe2L, CDA)", low=0.0, methods=("sre2l", "cda"))
    inversion_statistics: float = knob(
        1.0, "factor of the BatchNorm statistics in the loss (SRe2L, CDA)", low=0.0, methods=("sre2l", "cda")
    )


def distil(run: MethodRun, ipc: int, distill_seed: int, name: str, bound: Bound, module: str) -> DistilledDataset:
    """The first `ipc` images of every class, recovered with crops of at least `bound` of the area.

    Blocks of items are separate artifacts, so that sets of all sizes share them.

    Args:
        name: of the method, its artifacts and draws.
        module: the module whose source makes the artifacts.
    Raises:
        InputError: the inverted network has no BatchNorm.
    """
    network, dataset, profile = squeeze(run), run.dataset, run.profile
    made = {"modules": (module,), "plan": profile.subset("threads", "device")}
    knobs = profile.keyed(*INVERSION)
    shared = knobs | {"distill_seed": distill_seed}

    def block(batches: list[list[Image]]) -> Artifact:
        def share(work: Workspace) -> None:
            inverted = load_teacher(network, profile.device).requires_grad_(False)
            for batch in world().my_share(batches):
                if all((work.path / image_name(*image)).exists() for image in batch):
                    continue
                images = invert(inverted, dataset, batch, (name, distill_seed), bound, device=profile.device, **knobs)
                for image, x in zip(batch, images, strict=True):
                    write_image(work, *image, x)

        first = batches[0][0][1]
        label = f"item{first:05d}-seed{distill_seed}"
        return run.store.make(
            f"{name}_images", share=share, parameters=shared | {"first": first}, inputs=[dataset.key, network],
            label=label, **made,
        )  # fmt: skip

    def build(work: Workspace) -> None:
        for batches, images in zip(cut, parts, strict=True):
            for file in (image_name(c, k) for batch in batches for c, k in batch if k < ipc):
                work.chunk(file, functools.partial(shutil.copyfile, images.path / file))
        write_metadata(work, dataset, torch.ones(dataset.n_classes, ipc, dtype=torch.int64), seed=distill_seed)

    parameters = shared | {"ipc": ipc, "classes": dataset.classes}
    cut = list(blocks(dataset.n_classes, ipc))
    with threads(profile.threads):
        parts = [block(batches) for batches in cut]
        return DistilledDataset(
            run.store.make(
                name, build, parameters=parameters, inputs=parts, label=f"ipc{ipc:03d}-seed{distill_seed}", **made
            )
        )


def squeeze(run: MethodRun) -> Artifact:
    """The network to invert, trained on the real training images: the teacher, or a separate one.

    Raises:
        InputError: it has no BatchNorm.
    """
    p, data = run.profile, run.dataset
    name, shape = p.inversion_network, (data.n_classes, data.channels, data.image_size)
    if not _norms(make_network(name, *shape, torch_rng(0, "replaced"))):
        other = f"{name}-bn" if name.startswith("convnet-") else "convnet-32-bn"
        raise InputError(
            f"inversion_network = {name} has no BatchNorm, whose statistics SRe2L and CDA need; "
            f"set inversion_network={other}"
        )
    return run.teacher if name == p.teacher else fit_classifier(run.store, data, p, name, 0)


def blocks(n_classes: int, ipc: int) -> Iterator[list[list[Image]]]:
    """Blocks of items that hold the first `ipc` of every class, each cut by classes into batches of about BATCH."""
    parts = -(-n_classes // BATCH)
    items = max(1, BATCH * parts // n_classes)
    for first in range(0, ipc, items):
        chunks = torch.arange(n_classes).chunk(parts)
        yield [[(c, k) for k in range(first, first + items) for c in chunk.tolist()] for chunk in chunks]


def invert(
    network: nn.Module, dataset: Dataset, batch: list[Image], which: tuple[str, int], bound: Bound, *, device: str,
    seed: int, flip: bool, inversion_iterations: int, inversion_rate: float, inversion_statistics: float,
) -> Float[Tensor, "b C H W"]:  # fmt: skip
    """One batch of images in [0, 1], from noise keyed by class and item, independent of other batches.

    Args:
        which: name of the method and distillation seed, for the keys.
    """
    T, labels = inversion_iterations, torch.tensor([c for c, _ in batch], device=device)
    low, high = (dataset.normalise(torch.full((1, dataset.channels, 1, 1), v, device=device)) for v in (0.0, 1.0))
    x = torch.stack([noise(dataset, seed, *which, *image) for image in batch]).to(device).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=inversion_rate, betas=BETAS)
    for t in bar(range(T), desc=f"{which[0]} from class {batch[0][0]} item {batch[0][1]}", leave=False):
        rng = numpy_rng(seed, which[0], "view", which[1], *batch[0], t)
        optimiser.param_groups[0]["lr"] = inversion_rate * (1 + math.cos(math.pi * t / T)) / 2
        classification, statistics = losses(network, _view(x, rng, bound(t / T), flip), labels)
        optimiser.zero_grad()
        (classification + inversion_statistics * statistics).backward()
        optimiser.step()
        with torch.no_grad():
            x.copy_(x.clamp(low, high))
    return ((x.detach() - low) / (high - low)).clamp(0, 1)


def noise(dataset: Dataset, seed: int, name: str, distill_seed: int, label: int, item: int) -> Float[Tensor, "C H W"]:
    """The start of an image: N(0, 1) for the normalised pixels."""
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    return torch.randn(shape, generator=torch_rng(seed, name, distill_seed, label, item))


def _view(
    x: Float[Tensor, "b C H W"], rng: np.random.Generator, smallest: float, flip: bool
) -> Float[Tensor, "b C H W"]:
    """The whole batch through one crop, one mirroring and one roll."""
    n, size = len(x), x.shape[-1]
    crop = torch.from_numpy(random_resized_crop(rng, 1, size, smallest)).float().to(x.device)
    mirrored = torch.tensor([rng.random() < 0.5 and flip], device=x.device)
    most = size // JITTER
    return cropped(x, crop.expand(n, 4), mirrored.expand(n)).roll(rng.integers(-most, most + 1, 2).tolist(), (2, 3))


def losses(
    network: nn.Module, images: Float[Tensor, "b C H W"], labels: Int64[Tensor, " b"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy of normalised images, and the distance of their BatchNorm statistics from those of the network."""
    distances: list[Tensor] = []

    def compare(layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        var, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        distances.append((layer.running_mean - mean).norm() + (layer.running_var - var).norm())

    hooks = [layer.register_forward_pre_hook(compare) for layer in _norms(network)]
    try:
        classification = F.cross_entropy(network(images), labels)
    finally:
        for hook in hooks:
            hook.remove()
    return classification, FIRST * distances[0] + sum(distances[1:])


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def smallest_crop(size: int) -> Bound:
    """Smallest area of a crop, as a share, at every step: photographs are cropped, small images are not."""
    return lambda part: SMALLEST_CROP if size >= PHOTOGRAPH else 1.0


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return distil(run, ipc, distill_seed, "sre2l", smallest_crop(run.dataset.image_size), __name__)


def inverting(account: Account, name: str, title: str) -> Iterator[Cost]:
    """Blocks of images, which the levels share: a forward pass and the images' part of a backward pass per step."""
    p, network = account.profile, account.classifier(account.profile.inversion_network)
    made = list(blocks(account.images.n_classes, max(account.levels, default=0)))
    n = sum(len(batch) for batch in made[0]) if made else 0
    yield Cost(
        step=f"{name}_images", stage=SYNTHESIS, title=f"{title}: invert a block", times=len(made) * account.seeds,
        flops=n * p.inversion_iterations * (network.training - network.forward),
        writes=n * account.images.channels * p.picture_size**2, memory=NETWORK_WEIGHT * network.parameters,
    )  # fmt: skip
    yield from account.put_together(name, f"{title}: put together")


def _fits(account: Account) -> set[tuple[str, int]]:
    p = account.profile
    return {(p.inversion_network, 0)} if p.inversion_network != p.teacher else set()


def _cost(account: Account) -> Iterator[Cost]:
    return inverting(account, "sre2l", "SRe²L")


METHOD = Method(
    name="sre2l", title="SRe²L", reference="yin2023sre2l", distill=_distill, cost=_cost, fits=_fits,
    small={"inversion_network": "convnet-4-bn", "inversion_iterations": 2},
)  # fmt: skip
