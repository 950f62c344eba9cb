"""The cost of a method: one Cost for every kind of artifact that it makes, computed from an account of the run.

If a method fits a network on real images, or starts from another method's images, it declares them in `fits` and
`uses`, and does not count them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..config.profile import Profile

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
NETWORK_WEIGHT, TRAINED_WEIGHT = 4, 16  # bytes per parameter of a classifier: alone; with gradient and two moments
BEFORE, CLUSTERING, SYNTHESIS, LABELLING, TRAINING = STAGES = (  # a preparation, and the steps of the paper's Table 2
    "Before",
    "1 Latent clustering",
    "2 Synthesis",
    "3 Soft label",
    "4 Training",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of making one artifact of a run. `times` is the number of such artifacts in the run."""

    step: str  # the folder name of its artifacts
    stage: str  # one of STAGES
    title: str  # its name in tables
    network: str = ""  # if there are several
    ipc: int | None = None  # None: all levels, or all real images
    times: int
    flops: float = 0
    reads: float = 0  # bytes from disk
    writes: float = 0  # bytes to disk
    memory: float = 0  # bytes of parameters (prior, classifiers) or of the latents of a class (cluster)
    together: int = 0  # images in a part of a batch, which a network is trained on at once
    activations: float = 0  # bytes kept by the network for the backward pass, per image
    mapped: float = 0  # bytes of the file of pixels; only a batch of it is in memory


@runtime_checkable
class RealImages(Protocol):
    """The sizes of the real training images."""

    n: int
    n_classes: int
    channels: int
    bytes: float  # of one image as stored
    per_class: int

    def read(self, passes: int) -> float:
        """Bytes read in this many passes over the images."""


@runtime_checkable
class Network(Protocol):
    """A classifier and its operations on one image."""

    parameters: int
    forward: int
    training: int  # forward and backward


@runtime_checkable
class CountedPrior(Protocol):
    """The generative prior and its operations on one image."""

    latent_shape: tuple[int, int, int]
    parameters: int
    encode: int
    decode: int
    call: int  # one prediction of the noise
    embed: int  # the conditioning of one class
    train_network: int  # a training step of the network that predicts the noise

    def calls(self, profile: Profile, *, from_noise: bool = False) -> int:
        """Noise predictions for one image, including those for guidance."""


@dataclass(frozen=True)
class Account:
    """The data that determine the cost of one method."""

    profile: Profile
    images: RealImages
    sets: frozenset[tuple[int, int]]  # IPC and distillation seed of every set in the run
    students: frozenset[tuple[str, int]]  # network and seed of its students
    classifier: Callable[[str], Network]  # by name
    prior: Callable[[], CountedPrior]

    @property
    def levels(self) -> list[int]:
        """Images per class of its sets, in increasing order."""
        return sorted({ipc for ipc, _ in self.sets})

    @property
    def seeds(self) -> int:
        """Number of distillations, each with its own seed."""
        return len({seed for _, seed in self.sets})

    def times(self, ipc: int) -> int:
        """Number of sets at one level."""
        return sum(level == ipc for level, _ in self.sets)

    def pictures(self, ipc: int) -> int:
        """Bytes of a set of images, uncompressed; PNG makes them smaller."""
        return ipc * self.images.n_classes * self.images.channels * self.profile.picture_size**2

    @property
    def number(self) -> int:
        """Bytes per number in the prior's weights, or in a latent on disk."""
        return BYTES[self.profile.precision]

    def denoised(self, step: str, title: str) -> Iterator[Cost]:
        """Sets of images from the prior: from stored prototypes (step `synthesize`), or from noise."""
        p, prior, from_noise = self.profile, self.prior(), step != "synthesize"
        image = prior.calls(p, from_noise=from_noise) * prior.call + prior.decode
        texts = self.images.n_classes + (p.guidance_scale > 1)
        for ipc in self.levels:
            m = ipc * self.images.n_classes
            yield Cost(
                step=step, stage=SYNTHESIS, title=title, ipc=ipc, times=self.times(ipc),
                flops=m * image + texts * prior.embed, writes=self.pictures(ipc), memory=self.number * prior.parameters,
                reads=0 if from_noise else m * self.number * math.prod(prior.latent_shape),
            )  # fmt: skip

    def trajectories(self, step: str) -> Cost:
        """Networks trained on the real images, which several rows share."""
        p, network = self.profile, self.classifier(self.profile.tesla_network)
        weight = NETWORK_WEIGHT * network.parameters
        return Cost(
            step=step, stage=BEFORE, title="trajectories", times=int(bool(self.sets)),
            flops=p.tesla_experts * p.tesla_epochs * self.images.n * network.training, reads=self.images.read(1),
            writes=weight * p.tesla_experts * (p.tesla_epochs + 1), memory=weight,
        )  # fmt: skip

    def chosen(self, step: str, title: str, network: Network | None = None, flops: float = 0) -> Iterator[Cost]:
        """Sets of copied real images; a network, if given, first sees every training image.

        Args:
            flops: operations for an image, if they are not one forward pass.
        """
        n, seen = self.images.n, flops or (network.forward if network else 0)
        for ipc in self.levels:
            yield Cost(
                step=step, stage=SYNTHESIS, title=f"{title}: choose", ipc=ipc, times=self.times(ipc), flops=n * seen,
                reads=self.images.read(1) if network else ipc * self.images.n_classes * self.images.bytes,
                writes=self.pictures(ipc), memory=NETWORK_WEIGHT * network.parameters if network else 0,
            )  # fmt: skip

    def learned(self, step: str, title: str, ipc: int, flops: float, memory: float, more: int = 0) -> Cost:
        """A learned set at one level: its pictures, the same images as floats, and `more` other numbers."""
        kept = self.pictures(ipc)
        return Cost(
            step=step, stage=SYNTHESIS, title=f"{title}: learn", ipc=ipc, times=self.times(ipc), flops=flops,
            reads=self.images.read(1), writes=kept + BYTES["float32"] * (kept + more), memory=memory,
        )  # fmt: skip

    def put_together(self, step: str, title: str) -> Iterator[Cost]:
        """Sets of all levels, copied from parts without any operations."""
        for ipc in self.levels:
            size = self.pictures(ipc)
            yield Cost(step=step, stage=SYNTHESIS, title=title, ipc=ipc, times=self.times(ipc), reads=size, writes=size)
