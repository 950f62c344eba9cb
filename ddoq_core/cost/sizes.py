"""Inputs of a cost estimate: the number and kind of images, and a device of given speed. Imports nothing heavy."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.declared import data_sets
from ..config.profile import Profile
from ..data.folders import LeftOut, class_folders, images_in
from ..data.imagenet import listed_classes
from ..errors import InputError

FILE = 115_440  # bytes of an image file: the mean of ImageNet-1K's training images
WEIGHED = 10_000  # largest number of files of a folder, evenly over its classes, from which a mean size is taken
KNOWN = {  # training images, classes, channels, bytes of an image
    "imagenet": (1_281_167, 1000, 3, FILE),
    "imagenet_dit": (1_281_167, 1000, 3, FILE),
    "imagenette": (12_894, 10, 3, FILE),  # the ten classes of ImageNet's train/
    "imagewoof": (12_454, 10, 3, FILE),
    **data_sets(),
}


@dataclass(frozen=True)
class Images:
    """The real training images at the start of Algorithm 4."""

    n: int
    n_classes: int
    channels: int
    bytes: float  # of one image as stored
    files: bool  # whether files are read again in every pass

    @classmethod
    def of(cls, profile: Profile, n_classes: int | None = None, per_class: int | None = None) -> "Images":
        """Sizes of a profile's data set: the given ones, those counted in data_root, or those known by its name.

        `imagefolder` without data_root is known by its class_list, or by the name of the profile. Validation images,
        and images that `train_size` leaves out, are not counted.

        Raises:
            InputError: a size is below 1, only one is given, the folder is missing, or the sizes are unknown.
        """
        for name, value in (("classes", n_classes), ("images-per-class", per_class)):
            if value is not None and value < 1:
                raise InputError(f"--{name} = {value}, but it must be at least 1")
        if (n_classes is None) != (per_class is None):
            raise InputError("--classes and --images-per-class go together; give both, or neither")
        n, classes, channels, size = _sizes(profile, n_classes, per_class)
        n = min(n, profile.train_size or n)
        held_out = classes * round(profile.validation_fraction * n / classes)
        return cls(n - held_out, classes, channels, size, profile.dataset == "imagefolder")

    @property
    def per_class(self) -> int:
        return self.n // self.n_classes

    def read(self, passes: int) -> float:
        return self.n * self.bytes * (passes if self.files else 1)


def _sizes(profile: Profile, n_classes: int | None, per_class: int | None) -> tuple[int, int, int, float]:
    """Training images, classes, channels, bytes of an image."""
    is_folder = profile.dataset == "imagefolder"
    known = KNOWN.get(profile.class_list or profile.profile if is_folder else profile.dataset)
    if n_classes is not None:
        return n_classes * per_class, n_classes, *(known or KNOWN["imagenet"])[2:]
    if is_folder and profile.data_root:
        return _counted(Path(profile.data_root) / "train", profile.class_list)
    if known is None:
        raise InputError(
            f"the number of images of profile {profile.profile} is not known; set data_root, or give --classes and "
            "--images-per-class"
        )
    return known


def _counted(folder: Path, class_list: str) -> tuple[int, int, int, float]:
    """Sizes of a folder with one folder per class; no image is opened, and only some of many files are measured."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; check data_root, or empty it and give --classes and --images-per-class")
    left_out = LeftOut()
    classes = [folder / c for c in (listed_classes(class_list) if class_list else class_folders(folder, left_out))]
    files = [p for c in classes for p in images_in(c, left_out)]
    if not files:
        raise InputError(f"no image in the class folders of {folder}; check data_root")
    sizes = [p.stat().st_size for p in files[:: -(-len(files) // WEIGHED)]]
    return len(files), len(classes), 3, sum(sizes) / len(sizes)


@dataclass(frozen=True)
class Device:
    """The speed of a machine; InputError for a peak that is not positive, or an efficiency outside (0, 1]."""

    name: str
    peak: float  # TFLOP/s of its data sheet
    efficiency: float  # assumed share of the peak that a step reaches
    speeds: tuple[tuple[str, float], ...] = ()  # measured operations per second, by step
    artifact: float = 0.0  # additional seconds for each artifact: its folder and checksums
    start: float = 0.0  # seconds that a process of a run takes to start
    workers: int = 0  # students trained in parallel, each at the speed of one; 0: the speed is that of all together

    def __post_init__(self) -> None:
        if not (0 < self.peak < math.inf):
            raise InputError(f"--peak = {self.peak:g}, but it must be above 0, in TFLOP/s")
        if not 0 < self.efficiency <= 1:
            raise InputError(f"--efficiency = {self.efficiency:g}, but it must be above 0 and at most 1")

    def seconds(self, flops: float, step: str = "") -> float:
        """Seconds for a number of operations of a step."""
        return flops / dict(self.speeds).get(step, self.peak * 1e12 * self.efficiency)

    def seconds_of_artifact(self, flops: float, step: str) -> float:
        """Seconds for the operations of a step, and the additional seconds of its artifact."""
        return self.artifact + self.seconds(flops, step)

    def __str__(self) -> str:
        if self.speeds:
            return f"{self.name}, at its measured speeds"
        return f"{self.name}, {self.peak:g} TFLOP/s, of which a step reaches {100 * self.efficiency:g} %"


CARDS = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141)  # common memory sizes of GPUs, in GB
SPARE = 0.9  # usable share of a card's memory; the context and the libraries need the rest


def card_for(size: float) -> int | None:
    """GB of the smallest card that holds this many bytes; None if none does."""
    return next((card for card in CARDS if size <= SPARE * card * 1e9), None)


# The paper's GPU: dense float16 on tensor cores, by NVIDIA's data sheet. The paper's own hours (its Table 2) imply that
# encoding and synthesis reach 0.3 to 0.6 of it: `cost.tables.paper_table`.
A6000 = Device("NVIDIA A6000, dense float16", 154.8, 0.4)
A6000_FLOAT32 = 38.7  # TFLOP/s in float32, without tensor cores
# 2 cores x 2.5 GHz x 2 fused multiply-adds of 8 float32 in a cycle. The book's own run reaches a fifth to a half of
# it: chapter 33.
TWO_CORES = Device("two cores of 2.5 GHz with AVX2, float32", 0.16, 0.4)


def device_of(profile: Profile, peak: float | None = None, efficiency: float | None = None) -> Device:
    """The default device for `device` of the profile, with another peak or share if given."""
    device = A6000 if profile.device == "cuda" else TWO_CORES
    device = device if peak is None else replace(device, name="the given device", peak=peak)
    return device if efficiency is None else replace(device, efficiency=efficiency)
