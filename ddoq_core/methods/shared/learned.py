"""A learned distilled set: its loop, and the data stored with its pictures.

Pictures are PNG, so they are clamped to [0, 1] and rounded; students of the shared protocol see these. In addition,
`learned.safetensors` holds the learned values unchanged, for the method's own protocol: `images` as floats that may
leave [0, 1], and possibly `labels`, `rates` and others. `learned.json` has the objective's mean over the first and the
last tenth of the steps, which shows whether it decreased.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors.torch import save_file
from torch import Tensor

from ...data.dataset import Dataset
from ...errors import InputError
from ...finite import finite
from ...networks.classifiers import make_network
from ...pipeline.distilled import DistilledDataset, write_image, write_metadata
from ...processes import bar
from ...randomness import numpy_rng, torch_rng
from ...store.artifacts import Artifact, Workspace
from ...store.checkpoints import Checkpoint
from ...store.safe_files import read_tensors
from ...threads import threads
from ..method import MethodRun
from ..random_real import random_real

FLOATS, SUMMARY, CHECKPOINT = "learned.safetensors", "learned.json", "checkpoint.pt"
MOMENTUM = 0.5  # of gradient descent on pixels, as in most of the field
HELD = 2**30  # most bytes of real images in memory


@dataclass(frozen=True)
class Learned:
    """The result of a method, image by image in the order of the classes."""

    images: Float[Tensor, "n C H W"]  # in units of pixels from 0 to 1
    losses: list[float]  # the objective at each step
    more: dict[str, Tensor] = field(default_factory=dict)  # labels, rates, bases, ...
    counts: list[Int64[Tensor, " ipc"]] | None = None  # by class, number of real images behind each; None: 1 each


def learned_set(
    run: MethodRun, step: str, ipc: int, distill_seed: int, learn: Callable[[Workspace, tuple], Learned], *,
    knobs: tuple[str, ...], module: str, inputs: tuple[Artifact, ...] = (),
) -> DistilledDataset:  # fmt: skip
    """The set that `learn` makes, from a workspace for its checkpoint and the key of its draws.

    Args:
        step: of the artifact, and of the draws.
        knobs: knobs of the profile that shape it, besides the seed and mirroring.
        module: the module that defines it.
    Raises:
        InputError: an image that is not finite.
    """
    p, dataset = run.profile, run.dataset

    def build(work: Workspace) -> None:
        found = learn(work, (p.seed, step, ipc, distill_seed))
        images = finite(found.images.detach().cpu().float(), lambda i: f"image {i % ipc} of class {i // ipc}")
        for row, image in enumerate(images):
            write_image(work, row // ipc, row % ipc, image)
        counts = found.counts or torch.ones(dataset.n_classes, ipc, dtype=torch.int64)
        write_metadata(work, dataset, counts, seed=distill_seed)
        floats = {"images": images} | {name: t.detach().cpu().float() for name, t in found.more.items()}
        floats = {name: t.contiguous() for name, t in floats.items()}
        work.replace(FLOATS, lambda path: save_file(floats, path))
        tenth = -(-len(found.losses) // 10)
        ends = {"start_loss": found.losses[:tenth], "end_loss": found.losses[-tenth:]}
        work.json(SUMMARY, {name: float(np.mean(losses)) for name, losses in ends.items()})
        work.discard(CHECKPOINT)

    parameters = p.keyed("seed", "flip", *knobs) | {"ipc": ipc, "distill_seed": distill_seed}
    with threads(p.threads):
        return DistilledDataset(
            run.store.make(
                step, build, parameters=parameters | {"classes": dataset.classes}, inputs=[dataset.key, *inputs],
                modules=(module,), label=f"ipc{ipc:03d}-seed{distill_seed}", plan=p.subset("threads", "device"),
            )
        )  # fmt: skip


def descend(work: Workspace, steps: int, name: str, step: Callable[[int], float], parts: dict[str, Any]) -> list[float]:
    """Run all steps; an interrupted run resumes from its checkpoint and ends with the same bytes.

    Args:
        step: makes the step with this number, and returns the objective before it.
        parts: everything that a step changes: tensors, optimisers, networks.
    Returns:
        The objective of every step.
    Raises:
        InputError: an objective that is not finite.
    """
    checkpoint = Checkpoint(work, CHECKPOINT, parts)
    losses = checkpoint.resume([])
    for t in bar(range(len(losses), steps), desc=name, initial=len(losses), total=steps, leave=False):
        losses.append(float(step(t)))
        if not math.isfinite(losses[-1]):
            raise InputError(f"the objective of {name} is not finite at step {t}; lower its rate")
        checkpoint.keep(losses)
    return losses


def floats_of(distilled: DistilledDataset) -> dict[str, Tensor]:
    """The floats of a learned set; for other sets, the pictures."""
    path = distilled.artifact.path / FLOATS
    return read_tensors(path) if path.exists() else {"images": distilled.images()}


def real_start(run: MethodRun, ipc: int, distill_seed: int) -> Float[Tensor, "n C H W"]:
    """The start of most methods: the images of the row `random_real`, normalised."""
    first = random_real(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)
    return run.dataset.normalise(first.images()).to(run.profile.device)


def pixels_of(dataset: Dataset, normalised: Float[Tensor, "n C H W"]) -> Float[Tensor, "n C H W"]:
    """Normalised images in units of pixels from 0 to 1: the inverse of `dataset.normalise`."""
    shape = (1, -1, 1, 1)
    return normalised * normalised.new_tensor(dataset.std).view(shape) + normalised.new_tensor(dataset.mean).view(shape)


def fresh_network(run: MethodRun, name: str, *key: int | str) -> torch.nn.Module:
    """A network of this name with random weights drawn by the key, in training mode."""
    data = run.dataset
    return make_network(name, data.n_classes, data.channels, data.image_size, torch_rng(*key)).to(run.profile.device)


class RealBatches:
    """Real training images in memory, as many of every class as fit into HELD bytes, to draw batches from."""

    def __init__(self, dataset: Dataset, device: str) -> None:
        room = HELD // (dataset.n_classes * dataset.channels * dataset.image_size**2)
        self.dataset, self.device = dataset, device
        self.index = [self._kept(label, room) for label in range(dataset.n_classes)]
        self.pixels = [(dataset.train.images(rows) * 255).round().to(torch.uint8) for rows in self.index]

    def _kept(self, label: int, room: int) -> Int64[Tensor, " m"]:
        members = self.dataset.train.of_class(label)
        return members[: max(1, room)]

    def batch(self, label: int, n: int, rng: np.random.Generator) -> Float[Tensor, "m C H W"]:
        """n different images of a class, or all of them if it has fewer, normalised."""
        pixels = self.pixels[label]
        rows = torch.from_numpy(rng.permutation(len(pixels))[:n])
        return self.shown(pixels[rows])

    def shown(self, pixels: Tensor) -> Float[Tensor, "m C H W"]:
        """Pixels as input of a network."""
        return self.dataset.normalise(pixels.to(self.device).float() / 255)

    def mixed(self, n: int, rng: np.random.Generator) -> tuple[Float[Tensor, "m C H W"], Int64[Tensor, " m"]]:
        """About n images, the same number from every class, with their labels."""
        each = -(-n // len(self.pixels))
        parts = [self.batch(label, each, rng) for label in range(len(self.pixels))]
        labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
        return torch.cat(parts), labels.to(self.device)


def keyed(key: tuple, *more: int | str) -> np.random.Generator:
    """Generator for the draws of one step."""
    return numpy_rng(*key, *more)
