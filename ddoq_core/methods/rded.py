"""RDED (Sun et al., 2024): the crops of real training images whose class the teacher recognises most surely.

From every class it draws random training images, and from each a few random square crops, resized to side / factor. Of
these it keeps the one with the lowest cross-entropy under the teacher, padded with zeros to the full side (after
normalisation, as published). It takes the ipc factor^2 lowest over all images, tiles factor x factor of them to a
picture, and the teacher labels the pictures as in all rows.

As published: 300 images of a class and 5 crops of each (the knobs' defaults), crops of 0.08 to 1 of the area, bilinear
resizing, factor 1 for small images and 2 for photographs. On validation images, crops of 0.5 or more of a digit made no
detectable difference (two students each). Photographs are cropped from their square at the data set's size.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from ..config.profile import Profile, knob
from ..data.dataset import Dataset, check_class_sizes
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset, image_name, write_image, write_metadata
from ..pipeline.teacher import load_teacher
from ..processes import bar, world
from ..randomness import numpy_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..threads import threads
from .account import NETWORK_WEIGHT, SYNTHESIS, Account, Cost
from .method import SRE2L_TRAINING, Method, MethodRun, SetSize, published_epochs

SMALLEST_CROP = 0.08  # of the area, as in torchvision's RandomResizedCrop
TOGETHER = 50  # images whose crops are scored together
SQUARE = ("top", "left", "side")  # in pixels
BATCHES = {1: 10, 10: 50, 50: 100}  # published images per step for this number of images per class


class Knobs:
    """The crops."""

    rded_images: int = knob(300, "images of a class from which RDED cuts crops", low=1)
    rded_crops: int = knob(5, "random crops of each such image (RDED)", low=1)
    rded_factor: int = knob(1, "each image is tiled from factor x factor crops (RDED)", low=1)


def best_crops(store: Store, dataset: Dataset, teacher: Artifact, profile: Profile, *, distill_seed: int) -> Artifact:
    """The best crop of every drawn image and its loss, one file per class, best first; all levels share them."""
    side = _side(dataset, profile)

    def share(work: Workspace) -> None:
        network = load_teacher(teacher, profile.device)

        def write(label: int, path: Path) -> None:
            rows = _scored(network, dataset, profile, label, side, distill_seed)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))

        for label in bar(world().my_share(range(dataset.n_classes)), desc="crops"):
            work.chunk(_file(label), functools.partial(write, label))

    parameters = profile.keyed("seed", "rded_images", "rded_crops", "rded_factor")
    with threads(profile.threads):
        return store.make(
            "rded_crops", share=share, inputs=[dataset.key, teacher],
            parameters=parameters | {"distill_seed": distill_seed},
            modules=(__name__,), label=f"seed{distill_seed}", plan=profile.subset("threads", "device"),
        )  # fmt: skip


def rded(
    store: Store, dataset: Dataset, teacher: Artifact, profile: Profile, *, ipc: int, distill_seed: int
) -> DistilledDataset:
    """ipc pictures of factor x factor crops for every class; a larger set includes the crops of a smaller one.

    Raises:
        InputError: a class, or rded_images, has fewer images than the crops needed; factor does not divide the side of
            the pictures.
    """
    factor, side = profile.rded_factor, _side(dataset, profile)
    _check_sizes(dataset, profile, ipc)
    crops = best_crops(store, dataset, teacher, profile, distill_seed=distill_seed)

    def build(work: Workspace) -> None:
        sources = []
        for label in range(dataset.n_classes):
            rows = crops.jsonl(_file(label))[: ipc * factor**2]
            sources += [row["source"] for row in rows]
            if all((work.path / image_name(label, item)).exists() for item in range(ipc)):
                continue
            images = dataset.train.images([row["index"] for row in rows])
            squares = torch.tensor([[row[name] for name in SQUARE] for row in rows])
            for item, image in enumerate(tiled(cut_out(images, squares, side), factor)):
                write_image(work, label, item, image)
        counts = torch.ones(dataset.n_classes, ipc, dtype=torch.int64)
        write_metadata(work, dataset, counts, seed=distill_seed, sources=sources if factor == 1 else ())

    parameters = profile.keyed("seed", "rded_factor") | {"ipc": ipc, "distill_seed": distill_seed}
    with threads(profile.threads):
        return DistilledDataset(
            store.make(
                "rded", build, parameters=parameters | {"classes": dataset.classes}, inputs=[dataset.key, crops],
                modules=(__name__,), label=f"ipc{ipc:03d}-seed{distill_seed}", plan=profile.subset("threads"),
            )
        )  # fmt: skip


@torch.no_grad()
def _scored(
    network: nn.Module, dataset: Dataset, profile: Profile, label: int, side: int, distill_seed: int
) -> list[dict]:
    members = dataset.train.of_class(label)
    rng = numpy_rng(profile.seed, "rded", distill_seed, label)
    drawn = members[rng.permutation(len(members))[: profile.rded_images]]
    squares = random_squares(rng, len(drawn), profile.rded_crops, dataset.image_size, SMALLEST_CROP)
    found = []
    for part in torch.arange(len(drawn)).split(TOGETHER):
        images = dataset.train.images(drawn[part]).to(profile.device).repeat_interleave(profile.rded_crops, 0)
        crops = cut_out(images, squares[part].flatten(0, 1), side)
        losses, best = teacher_losses(network, dataset, crops, label).reshape(len(part), -1).min(1)
        for index, of_image, i, loss in zip(drawn[part].tolist(), squares[part], best, losses.tolist(), strict=True):
            square = dict(zip(SQUARE, of_image[i].tolist(), strict=True))
            found.append({"source": dataset.train.ids[index], "index": index, "loss": loss} | square)
    return sorted(found, key=lambda row: row["loss"])


def random_squares(
    rng: np.random.Generator, images: int, crops: int, size: int, smallest: float
) -> Int64[Tensor, "images crops 3"]:
    """Squares (top, left, side) in pixels: area uniform above the smallest share, place uniform."""
    side = np.round(size * np.sqrt(rng.uniform(smallest, 1, (images, crops, 1)))).clip(1)
    corner = np.floor(rng.random((images, crops, 2)) * (size - side + 1))
    return torch.from_numpy(np.concatenate([corner, side], axis=-1).astype(np.int64))


def cut_out(
    images: Float[Tensor, "b C S S"], squares: Int64[Tensor, "b 3"], size: int
) -> Float[Tensor, "b C {size} {size}"]:
    """A square of each image, resized."""
    parts = [x[None, :, t : t + s, l : l + s] for x, (t, l, s) in zip(images, squares.tolist(), strict=True)]
    return torch.cat([F.interpolate(part, (size, size), mode="bilinear", antialias=True) for part in parts])


def teacher_losses(
    network: nn.Module, dataset: Dataset, crops: Float[Tensor, "b C s s"], label: int
) -> Float64[Tensor, " b"]:
    """Cross-entropy of each crop under the teacher, in the middle of a full-sized picture of zeros."""
    room = dataset.image_size - crops.shape[-1]
    before, after = room // 2, room - room // 2
    logits = network(F.pad(dataset.normalise(crops), (before, after, before, after)))
    return -logits.double().log_softmax(1)[:, label].cpu()  # in single precision a sure teacher's losses would be equal


def tiled(crops: Float[Tensor, "n C s s"], factor: int) -> Float[Tensor, "k C S S"]:
    """k = n / factor^2 pictures; picture i consists of crops i, i + k, i + 2k, ..., row by row."""
    k, (channels, side) = len(crops) // factor**2, crops.shape[1:3]
    grid = crops.reshape(factor, factor, k, channels, side, side)
    return grid.permute(2, 3, 0, 4, 1, 5).reshape(k, channels, factor * side, factor * side)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """RDED's labels and training: the teacher labels every view, and the rate ends at a half of its start.

    From its released code: the batch by images per class, doubled for 100 classes or more, at most the whole set (for
    other numbers of images, that of the next lower one); views of at least 1 / factor of the area; 1e-3, the rate of
    ResNets and ConvNets; decay; CutMix; T; 300 epochs (`published_epochs`). The profile sets mirroring
    (published: always). The shuffling of crops in each view is left out; it has no effect for factor 1.
    """
    batch = BATCHES[max(level for level in BATCHES if level <= size.ipc)]
    batch *= 2 if size.n_classes >= 100 else 1
    changes = {
        "batch_size": min(batch, size.n),
        "crop_scale": 1 / profile.rded_factor,
        "lr_schedule": "half-cosine",
        "epochs": published_epochs(300, profile),
    }
    return "soft", SRE2L_TRAINING | changes


def _file(label: int) -> str:
    return f"class{label:05d}.jsonl"


def _side(dataset: Dataset, profile: Profile) -> int:
    """Pixels along a side of a crop at its final size."""
    factor = profile.rded_factor
    if dataset.image_size % factor:
        raise InputError(
            f"rded_factor = {factor} does not divide images of {dataset.image_size} pixels; "
            f"change rded_factor or image_size"
        )
    return dataset.image_size // factor


def _check_sizes(dataset: Dataset, profile: Profile, ipc: int) -> None:
    factor = profile.rded_factor
    wanted = ipc * factor**2
    need = f"ipc = {ipc}" if factor == 1 else f"ipc = {ipc} with rded_factor = {factor} takes {wanted} crops"
    mend = "lower ipc" if factor == 1 else "lower ipc or rded_factor"
    if profile.rded_images < wanted:
        raise InputError(f"{need}, but rded_images = {profile.rded_images}; raise rded_images or {mend}")
    check_class_sizes(dataset.sized_classes, wanted, need, mend)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return rded(run.store, run.dataset, run.teacher, run.profile, ipc=ipc, distill_seed=distill_seed)


def _cost(account: Account) -> Iterator[Cost]:
    """Every crop once through the teacher, for all levels; the pictures need no operations."""
    p, images, teacher = account.profile, account.images, account.classifier(account.profile.teacher)
    kept = min(p.rded_images, images.per_class) * images.n_classes
    yield Cost(
        step="rded_crops", stage=SYNTHESIS, title="RDED: score crops", times=account.seeds,
        flops=kept * p.rded_crops * teacher.forward, reads=kept * images.bytes,
        memory=NETWORK_WEIGHT * teacher.parameters,
    )  # fmt: skip
    yield from account.put_together("rded", "RDED: put together")


METHOD = Method(
    name="rded", title="RDED", reference="sun2024rded", distill=_distill, protocol=protocol, cost=_cost,
    small={"rded_images": 10, "rded_crops": 2},
)  # fmt: skip
