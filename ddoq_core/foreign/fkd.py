"""Soft labels in the layout of FKD, which the released programs of SRe2L and D4M read: `epoch_E/batch_B.tar`.

In: a distilled set and a teacher. Out: a folder of batches, each a list saved by `torch.save`: crops as shares of
height and width [b, 4], mirrored or not [b], the image to paste from [b], lambda, the box of the batch, the teacher's
logits [b, classes]. In this layout each batch has one box, so the views are drawn for it, by key, and differ from those
of `relabel`. As in those programs, a seed decides which images are in a batch, and no file names them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.data import BatchSampler, RandomSampler

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..pipeline.pixels import mapped_pixels
from ..pipeline.relabel import teacher_logits
from ..pipeline.teacher import load_teacher
from ..pipeline.views import cropped, random_resized_crop
from ..processes import bar
from ..randomness import numpy_rng
from ..store.artifacts import Artifact, Store, Workspace

FKD_SEED = 42  # --fkd-seed of those programs, which selects the images of a batch


def write_fkd(
    store: Store, distilled: DistilledDataset, dataset: Dataset, teacher: Artifact, profile: Profile, folder: Path
) -> Path:
    """Write labels for `labelled_epochs` epochs, in batches of `batch_size`; existing files are kept.

    Raises:
        InputError: the profile's students and teacher see different sizes, which the layout does not allow.
    """
    if profile.teacher_size and profile.teacher_size != profile.image_size:
        raise InputError("the layout of FKD needs one size for teacher and students; set teacher_size=0")
    pixels, network = mapped_pixels(store, distilled), load_teacher(teacher, profile.device)
    work, order = Workspace(folder), batches_of(len(pixels), profile.batch_size, profile.labelled_epochs)
    for epoch, batches in enumerate(bar(order, total=profile.labelled_epochs, desc="FKD labels")):
        for number, rows in enumerate(batches):
            name = f"epoch_{epoch}/batch_{number}.tar"
            if not (folder / name).exists():
                config = _batch(network, dataset, pixels[rows], profile, epoch, number)
                work.chunk(name, lambda path, config=config: torch.save(config, path))
    return folder


def batches_of(n: int, size: int, epochs: int) -> Iterator[list[list[int]]]:
    """Rows of the images of every batch, epoch by epoch, in the order in which those programs draw them."""
    sampler = RandomSampler(range(n), generator=torch.Generator().manual_seed(FKD_SEED))
    return (list(BatchSampler(sampler, size, drop_last=False)) for _ in range(epochs))


def _batch(
    network: nn.Module, dataset: Dataset, pixels: UInt8[Tensor, "b C H W"], profile: Profile, epoch: int, number: int
) -> list:
    """One batch as it is saved."""
    rng, n, side = numpy_rng(profile.seed, "fkd", epoch, number), len(pixels), pixels.shape[-1]
    crop = torch.from_numpy(random_resized_crop(rng, n, side, profile.crop_scale)).float()
    mirrored = torch.from_numpy((rng.random(n) < 0.5) & profile.flip)
    images = cropped(pixels.to(profile.device).float() / 255, crop.to(profile.device), mirrored.to(profile.device))
    index, share, box = None, None, None
    if profile.cutmix:
        index, share = torch.from_numpy(rng.permutation(n)), float(rng.beta(1, 1))
        box = _box(rng, side, share)
        images = pasted(images, index.to(profile.device), box)
    return [crop / side, mirrored, index, share, box, teacher_logits(network, dataset, images).cpu()]


def _box(rng: np.random.Generator, side: int, share: float) -> list[int]:
    """Top, left, bottom, right of the pasted box: sides of sqrt(1 - lambda), any centre, cut off at the border."""
    half, centre = int(side * (1 - share) ** 0.5) // 2, rng.integers(0, side, 2)
    return [int(at) for at in np.clip([*(centre - half), *(centre + half)], 0, side)]


def pasted(images: Float[Tensor, "b C H W"], index: Tensor, box: list[int]) -> Float[Tensor, "b C H W"]:
    """Each image with the box pasted from the image at `index`."""
    top, left, bottom, right = box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[index, :, top:bottom, left:right]
    return mixed
