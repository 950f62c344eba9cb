"""What a method tells of its cost: one Cost for every kind of artifact that it makes, from an account of the run.

A method that is fitted on real images, or starts from another one's, does not count that: it says so in `fits`, `uses`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..config.profile import Profile

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
NETWORK_WEIGHT, TRAINED_WEIGHT = 4, 16  # bytes of a classifier's parameter: alone; with its gradient and two moments
BEFORE, CLUSTERING, SYNTHESIS, LABELLING, TRAINING = STAGES = (  # the steps of the paper's Table 2, and what is before
    "Before",
    "1 Latent clustering",
    "2 Synthesis",
    "3 Soft label",
    "4 Training",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One artifact of a run: what making it costs. `times` says how many of its kind the run makes."""

    step: str  # as the folder of its artifacts is called
    stage: str  # one of STAGES
    title: str  # as tables print it
    network: str = ""  # where there are several
    ipc: int | None = None  # None: all levels, or all real images
    times: int
    flops: float = 0
    reads: float = 0  # bytes from the disk
    writes: float = 0  # bytes to it
    memory: float = 0  # bytes of parameters (prior, classifiers) or of the latents of a class (cluster)
    together: int = 0  # images of a part of a batch, which a network is trained on at once
    activations: float = 0  # bytes that the network keeps of one of them for its backward pass
    mapped: float = 0  # bytes of the file of pixels, of which no more than a batch is in memory


@runtime_checkable
class RealImages(Protocol):
    """The sizes of the real training images."""

    n: int
    n_classes: int
    channels: int
    bytes: float  # of one image as it is kept
    per_class: int

    def read(self, passes: int) -> float:
        """Bytes read in so many passes over the images."""


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
    train_network: int  # a training step of what predicts the noise

    def calls(self, profile: Profile, *, from_noise: bool = False) -> int:
        """Predictions of the noise for one image, guidance counted."""


@dataclass(frozen=True)
class Account:
    """What the cost of one method follows from."""

    profile: Profile
    images: RealImages
    sets: frozenset[tuple[int, int]]  # IPC and distillation seed of every set that the run makes
    students: frozenset[tuple[str, int]]  # network and seed of its students
    classifier: Callable[[str], Network]  # by its name
    prior: Callable[[], CountedPrior]

    @property
    def levels(self) -> list[int]:
        """Images per class of its sets, rising."""
        return sorted({ipc for ipc, _ in self.sets})

    @property
    def seeds(self) -> int:
        """Distillations, each with a seed of its own."""
        return len({seed for _, seed in self.sets})

    def times(self, ipc: int) -> int:
        """Sets at one level."""
        return sum(level == ipc for level, _ in self.sets)

    def pictures(self, ipc: int) -> int:
        """Bytes of a set of images; pixels are counted as they are, PNG packs them."""
        return ipc * self.images.n_classes * self.images.channels * self.profile.picture_size**2

    @property
    def number(self) -> int:
        """Bytes of a number of the prior's weights, or of a latent on disk."""
        return BYTES[self.profile.precision]

    def denoised(self, step: str, title: str) -> Iterator[Cost]:
        """Sets of images of the prior: from prototypes that are read (step `synthesize`), or from noise."""
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
        """Networks trained on the real images, of which several rows take the same."""
        p, network = self.profile, self.classifier(self.profile.tesla_network)
        weight = NETWORK_WEIGHT * network.parameters
        return Cost(
            step=step, stage=BEFORE, title="trajectories", times=int(bool(self.sets)),
            flops=p.tesla_experts * p.tesla_epochs * self.images.n * network.training, reads=self.images.read(1),
            writes=weight * p.tesla_experts * (p.tesla_epochs + 1), memory=weight,
        )  # fmt: skip

    def chosen(self, step: str, title: str, network: Network | None = None) -> Iterator[Cost]:
        """Sets of real images that are copied, after a network, if any, has seen every training image."""
        n, seen = self.images.n, network.forward if network else 0
        for ipc in self.levels:
            yield Cost(
                step=step, stage=SYNTHESIS, title=f"{title}: choose", ipc=ipc, times=self.times(ipc), flops=n * seen,
                reads=self.images.read(1) if network else ipc * self.images.n_classes * self.images.bytes,
                writes=self.pictures(ipc), memory=NETWORK_WEIGHT * network.parameters if network else 0,
            )  # fmt: skip

    def learned(self, step: str, title: str, ipc: int, flops: float, memory: float, more: int = 0) -> Cost:
        """A set of one level that is learned: its pictures, the same as floats, and `more` numbers beside them."""
        kept = self.pictures(ipc)
        return Cost(
            step=step, stage=SYNTHESIS, title=f"{title}: learn", ipc=ipc, times=self.times(ipc), flops=flops,
            reads=self.images.read(1), writes=kept + BYTES["float32"] * (kept + more), memory=memory,
        )  # fmt: skip

    def put_together(self, step: str, title: str) -> Iterator[Cost]:
        """Sets of all levels that are copied from parts, at no operations."""
        for ipc in self.levels:
            size = self.pictures(ipc)
            yield Cost(step=step, stage=SYNTHESIS, title=title, ipc=ipc, times=self.times(ipc), reads=size, writes=size)
