"""The usual evaluation of methods that learn pixels, as they were published: students are trained on the floats.

Gradient descent with momentum 0.9 and decay 5e-4, batches of 256 (or all), a tenth of the rate after half of the
epochs, hard or learned labels, DSA drawn separately for each image, no crops and no CutMix; the result is that of the
last epoch.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...config.profile import Profile
from ...data.dataset import Dataset
from ...pipeline.distilled import DistilledDataset
from ...pipeline.fit_student import CHECKPOINT, MOMENTUM, RATE_KNOBS, rate
from ...pipeline.train_student import LEARNED_LABELS
from ...processes import bar, world
from ...randomness import numpy_rng
from ...store.artifacts import Workspace
from ...store.checkpoints import Checkpoint
from ..method import SetSize, published_epochs
from .learned import floats_of
from .siamese import augmented, drawn, families_of

Shown = tuple[Float[Tensor, "n C H W"], Int64[Tensor, " n"]]  # images and their classes
DC_EVALUATION = {
    "optimiser": "sgd",
    "learning_rate": 0.01,
    "lr_schedule": "tenth",
    "batch_size": 256,
    "weight_decay": 5e-4,
    "cutmix": False,
}


def dc_protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """The evaluation of DC, DSA and DM, with the 1,000 epochs of DSA."""
    return LEARNED_LABELS, DC_EVALUATION | {"epochs": published_epochs(1000, profile)}


def fitting(images: Float[Tensor, "n C S S"], size: int) -> Float[Tensor, "n C {size} {size}"]:
    """Images at the students' size, not clamped: with `teacher_size` pictures are larger than what students see."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True)


def train_on_floats(
    work: Workspace, network: nn.Module, distilled: DistilledDataset, dataset: Dataset, profile: Profile, key: tuple, *,
    families: Callable[[bool], tuple[str, ...]] = families_of,
    shown_of: Callable[[dict[str, Tensor], Dataset, int, tuple], Shown] | None = None,
) -> None:  # fmt: skip
    """Train a student in place on the floats of a learned set; on its learned labels by squared error, if it has any.

    Args:
        key: of the draws.
        families: of the augmentation, for a data set with or without mirror images.
        shown_of: for sets that do not hold images: a function of the learned tensors, the data set, ipc and the key of
            an epoch that returns the images of the epoch (with pixels from 0 to 1) and their classes.
    """
    kept = {name: t.to(profile.device) for name, t in floats_of(distilled).items()}
    images, hard = fitting(kept["images"], dataset.image_size), distilled.labels.to(profile.device)
    kind = torch.optim.AdamW if profile.optimiser == "adamw" else partial(torch.optim.SGD, momentum=MOMENTUM)
    optimiser = kind(network.parameters(), lr=profile.learning_rate, weight_decay=profile.weight_decay)
    checkpoint = Checkpoint(work, CHECKPOINT, {"network": network, "optimiser": optimiser})
    done = checkpoint.resume(0)
    network.train()
    for epoch in bar(range(done, profile.epochs), desc="student", initial=done, total=profile.epochs, leave=False):
        rng = numpy_rng(*key, epoch)
        if shown_of:
            images, hard = shown_of(kept, dataset, distilled.ipc, (*key, epoch))
            images = fitting(images, dataset.image_size)
        for group in optimiser.param_groups:
            group["lr"] = rate(epoch, **profile.subset(*RATE_KNOBS))
        for rows in torch.from_numpy(rng.permutation(len(images))).split(profile.batch_size):
            seen = dataset.normalise(images[rows])
            if some := families(profile.flip):
                seen = augmented(seen, drawn(rng, some, len(rows)))
            logits = network(seen)
            if "labels" in kept:
                loss = (logits - kept["labels"][rows]).square().sum(1).mean() / 2
            else:
                loss = F.cross_entropy(logits, hard[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if world().main:  # all processes train the same student
            checkpoint.keep(epoch + 1)
