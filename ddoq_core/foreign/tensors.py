"""Published files of distilled tensors (`images_best.pt` and similar ones) as a distilled set of this package.

In: a file of images [n, C, h, w]. Files next to it, with another word instead of `images`, may hold labels [n] or
[n, classes] and a learned rate, as MTT, TESLA and DATM save them. One file of DC, DSA or DM (`res_*.pt`) holds images
and labels of several experiments; the first is read. Files are loaded as weights only, so no code in them runs. Out:
the images in [0, 1] in the canonical layout, their soft labels and the rate; and every assumption as a line of text.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from safetensors.torch import save_file
from torch import Tensor

from ..data.dataset import Dataset
from ..data.image_files import resized
from ..data.imagenet import IMAGENET_MEAN, IMAGENET_STD
from ..data.in_memory import fitted
from ..errors import InputError
from ..pipeline.distilled import LABELS, LEARNED, DistilledDataset, write_image, write_metadata
from ..store.artifacts import Store, Workspace
from .folder import ForeignSet
from .weights import brief

NORMALISED = {  # mean and deviation by channel in those programs (get_dataset in DC's utils.py, copied by the others)
    "mnist": ((0.1307,), (0.3081,)),
    "mnist5k": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2861,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagefolder": (IMAGENET_MEAN, IMAGENET_STD),
}
PUBLISHED_RATE = 0.01  # of DC and DM, which do not learn a rate
SCALAR = np._core.multiarray.scalar  # of the accuracies that DM saves with its images
NUMBERS = [(SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
NUMBERS += [np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType]


def read_foreign_tensors(
    store: Store, file: Path, dataset: Dataset, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> ForeignSet:
    """Read a file with K images for each class of the data set as a distilled set.

    Args:
        mean: of each channel, or one for all; it was subtracted from the images before distillation.
        std: the images were then divided by it. Give both or neither; the default is that of `NORMALISED`, unless the
            images are in [0, 1].
    Raises:
        InputError: not a valid file of tensors; not the same number of images or labels for each class of the data set;
            a value that is not finite; a rate that is not positive.
    """
    images, labels, of_experiment = _images_and_labels(file)
    _check_images(file, images, dataset)
    order, shares, of_labels = _by_class(file, labels, len(images), dataset.n_classes)
    pixels, scale = _pixels(file, images.detach()[order], dataset, mean, std)
    (rate, of_rate), ipc = _rate(file), len(images) // dataset.n_classes
    size = f"{ipc} of each of {dataset.n_classes} classes, {images.shape[3]} x {images.shape[2]} pixels{of_experiment}"

    def build(work: Workspace) -> None:
        for row, image in enumerate(pixels):
            write_image(work, *divmod(row, ipc), image.float() / 255)
        counts = torch.ones(dataset.n_classes, ipc, dtype=torch.int64)
        write_metadata(work, dataset, counts, seed=None, sources=[f"{file.name}[{i}]" for i in order.tolist()])
        if shares is not None:
            work.replace(LABELS, lambda path: save_file({"shares": shares[order].contiguous()}, path))
        work.json(LEARNED, {"rate": rate})

    content = hashlib.sha256(pixels.numpy().tobytes() + (b"" if shares is None else shares[order].numpy().tobytes()))
    content.update(json.dumps([file.name, order.tolist(), rate]).encode())
    parameters = {"content": content.hexdigest(), "classes": dataset.classes}
    label = re.sub(r"[^\w.-]", "_", file.resolve().parent.name, flags=re.ASCII)[:40]
    made = DistilledDataset(store.make("foreign", build, parameters=parameters, modules=(__name__,), label=label))
    lines = [f"images: {size}", f"scale: {scale}", f"labels: {of_labels}", f"learning rate: {of_rate}"]
    return ForeignSet(made, "uniform", lines, soft=shares is not None)


def _load(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # many kinds: a file cut off, not an archive, a pickle of other things than tensors
        reason = brief(" ".join(str(error).split()))
        raise InputError(
            f"{path} is not a valid file of tensors ({reason}); download it again, or save tensors"
        ) from error


def _beside(file: Path, *words: str) -> Path | None:
    """The file with the same name except for that word; whitened and plain images share it."""
    names = [file.name.replace("_zca", "").replace("images", word, 1) for word in words if "images" in file.name]
    return next((file.with_name(name) for name in names if file.with_name(name).is_file()), None)


def _images_and_labels(file: Path) -> tuple[object, object, str]:
    """Images, labels or None, and their experiment."""
    read, beside = _load(file), _beside(file, "labels")
    if not isinstance(read, dict):
        return read, beside and _load(beside), ""
    data = read.get("data")
    if not isinstance(data, list) or not data or not isinstance(data[0], list | tuple) or len(data[0]) != 2:
        raise InputError(f"{file} holds {brief(', '.join(map(str, read)))}, but no images; give the file of the images")
    return *data[0], f", experiment 1 of {len(data)}"


def _check_images(file: Path, images: object, dataset: Dataset) -> None:
    shape = list(images.shape) if isinstance(images, Tensor) else [type(images).__name__]
    square = len(shape) == 4 and shape[1] == dataset.channels and shape[2] == shape[3] > 0
    if not square or not shape[0] or shape[0] % dataset.n_classes:
        raise InputError(
            f"{file} holds {brief(shape)}, not square images of {dataset.channels} channels, the same number of each "
            f"of the {dataset.n_classes} classes of {dataset.name}; set dataset to that of the images"
        )
    broken = torch.nonzero(~images.isfinite().flatten(1).all(1)).flatten()
    if len(broken):
        raise InputError(f"{file}: image {broken[0]} has a value that is not finite; download it again")


def _by_class(
    file: Path, labels: object, n: int, n_classes: int
) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n classes"] | None, str]:
    """Rows of the images class by class; the classes' shares in each label, if labels are soft; and a description."""
    in_turn = torch.arange(n) // (n // n_classes)
    if labels is None:
        return torch.arange(n), None, "no file; assumed in the order of these programs, class 0 first, then class 1"
    known = isinstance(labels, Tensor) and labels.shape in ((n,), (n, n_classes)) and bool(labels.isfinite().all())
    soft = known and labels.ndim == 2
    labels = labels.detach().float() if known else None
    classes = labels.argmax(1) if soft else labels.long() if known else in_turn.new_tensor([])
    even = known and classes.min() >= 0 and (classes.bincount(minlength=n_classes) * n_classes == n).all()
    if not soft and not (even and (classes == labels).all()):
        raise InputError(
            f"the labels of {file} are neither {n} classes from 0 to {n_classes - 1}, the same number of each, nor "
            f"numbers [{n}, {n_classes}]; put the labels of these images next to it"
        )
    if not soft:
        return classes.argsort(stable=True), None, "hard"
    first = classes if even else in_turn  # the largest learned label may differ from the class of the image
    are_shares = (labels >= 0).all() and ((labels.sum(1) - 1).abs() < 1e-3).all()
    text = f"soft, {'shares' if are_shares else 'logits, taken through a softmax'}; "
    text += f"in {int((classes != first).sum())} of {n} the largest is not that of the image's class"
    return first.argsort(stable=True), labels if are_shares else labels.softmax(1), text


def _rate(file: Path) -> tuple[float, str]:
    path = _beside(file, "lr", "syn_lr")
    if path is None:
        return PUBLISHED_RATE, f"{PUBLISHED_RATE}, that of DC and DM, since no learned rate is next to it"
    read = _load(path)
    value = read.item() if isinstance(read, Tensor) and read.numel() == 1 else read
    if not isinstance(value, float) or not 0 < value < math.inf:
        raise InputError(f"{path} holds {brief(read)}, but a learned rate is one positive number; replace or remove it")
    return value, f"{value:.4g}, learned, from {path.name}"


def _pixels(
    file: Path, images: Tensor, dataset: Dataset, mean: Sequence[float], std: Sequence[float]
) -> tuple[UInt8[Tensor, "n C S S"], str]:
    """8-bit images, resized like the data set's own; and how they were mapped to [0, 1]."""
    given, whitened = bool(mean or std), "zca" in file.name
    if images.dtype == torch.uint8:
        found, text = images.float() / 255, "bytes"
    elif not given and (whitened or (images.min() >= 0 and images.max() <= 1)):
        found, text = images.float(), "as it is" + (", since zca in the name says that it was restored" * whitened)
    else:
        mean, std = (mean, std) if given else NORMALISED.get(dataset.name, (dataset.mean, dataset.std))
        if {len(mean), len(std)} - {1, images.shape[1]} or not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0:
            raise InputError(
                f"--mean {list(mean)} and --std {list(std)} must each be one number, or one for each of "
                f"{images.shape[1]} channels, with positive deviations; give both, or neither"
            )
        shift, factor = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        found, source = (
            images.float() * factor + shift,
            "given" if given else f"of {dataset.name} in those programs; no ZCA",
        )
        text = f"de-normalised by mean {list(mean)} and deviation {list(std)}, {source}"
    outside = 100 * float(((found < 0) | (found > 1)).float().mean())
    found, text = found.clamp(0, 1), f"{text}; {outside:.1f} % of the values were outside [0, 1] and are clipped"
    if isinstance(dataset.test.pixels, Tensor):
        return fitted((found * 255).round().to(torch.uint8), dataset.image_size), text
    return (resized(found, dataset.image_size) * 255).round().to(torch.uint8), text
