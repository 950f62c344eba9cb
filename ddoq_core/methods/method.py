"""A row of Table 1: a way to distil, and a weighting. One file of this package defines one row.

Its knobs are in the same file, in a class `Knobs` with lines as in `Profile`. They shape only this row, unless
`methods` names several rows. A profile reads them without running the file, so they may only use `NETWORK` and the
literal constants of the file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Artifact, Store
from .account import Account, Cost

OWN = "own"  # the method's own weights, or its own labels and training

# training on the teacher's softened logits, which the released codes of D4M and RDED have from SRe2L
SRE2L_TRAINING = {
    "cutmix": True,
    "temperature": 20.0,
    "loss": "forward",
    "optimiser": "adamw",
    "learning_rate": 1e-3,  # for ResNets and ConvNets
    "weight_decay": 0.01,
}


def published_epochs(epochs: int, profile: Profile) -> int:
    """The published number of epochs; for a profile with fewer than 100 epochs, fewer in proportion."""
    return min(epochs, epochs * profile.epochs // 100)


class MethodRun:
    """The parts of a run that a method may use; every step is made on first use.

    It is a class and not a Protocol, since checking an object against a Protocol would make its steps.
    """

    profile: Profile
    store: Store
    dataset: Dataset
    prior: Artifact
    teacher: Artifact
    latents: Artifact

    def prototypes(self, distill_seed: int) -> Artifact:
        """Centroids and counts of every class (Algorithm 4, lines 2-3)."""

    def class_latents(self, label: int) -> tuple[Float[Tensor, "n c h w"], Int64[Tensor, " n"]]:
        """Latents of a class, and the indices of their images in the training part."""


class SetSize(NamedTuple):
    """The size of a distilled set, known before it is made."""

    ipc: int
    n_classes: int

    @property
    def n(self) -> int:
        """Number of images."""
        return self.ipc * self.n_classes


# kind of target and knobs that differ, for a profile and the size of a set; the kind is soft, hard, or learned, for
# which the method's own loop trains on its learned set
TrainingProtocol = Callable[[Profile, SetSize], tuple[str, dict]]
WeightsOf = Callable[
    [MethodRun, DistilledDataset, int], Float[Tensor, " n"]
]  # of run, distilled set, distillation seed
StudentLoss = Callable[  # of logits, target log-probabilities, weights, temperature
    [Float[Tensor, "b classes"], Float[Tensor, "b classes"], Float[Tensor, " b"], float], Float[Tensor, ""]
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One row of Table 1; rows share labels, score and trainer, except for the fields below."""

    name: str  # in profiles and results: the name of its file
    title: str  # in tables
    reference: str = ""  # key in the bibliography
    small: dict = field(default_factory=dict)  # values of its knobs for tests

    # its images
    distill: Callable[[MethodRun, int, int], DistilledDataset] | None = (
        None  # called with a run, images per class and a distillation seed
    )
    images: str = ""  # name of its sets of images, if other methods share them; else the method's own
    ipc: str = ""  # knob with its levels, if it does not run at all levels

    # the training of its students
    weights: str | float | WeightsOf | None = "uniform"  # of its images in the loss; None uses the profile's
    protocol: TrainingProtocol | None = None  # as published, if it differs from the shared one
    rate: Callable[[DistilledDataset], float] | None = None  # the learning rate of its protocol, if it is learned
    loss: StudentLoss | None = None  # instead of `weighted_kl`
    schedule: Callable[[float], float] | None = None  # share of the learning rate after a share of the epochs
    fit: Callable[..., None] | None = None  # its protocol's loop; takes workspace, network, set, data, profile, key

    # without a distilled set: called with store, data set, profile, student, seed
    train: Callable[[Store, Dataset, Profile, str, int], Artifact] | None = None
    result: str = "result.json"  # file with the score, in the artifact that `train` makes

    # its cost
    cost: Callable[[Account], Iterable[Cost]] | None = None  # every artifact that only this method makes
    weighing: Callable[[Account], Iterable[Cost]] = lambda account: ()  # artifacts for the weights of its images
    uses: tuple[str, ...] = ()  # prior, encode, cluster, or the images of another method
    fits: Callable[[Account], set[tuple[str, int]]] = lambda account: set()  # classifiers on all real images, by seed

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", self.images or self.name)

    @property
    def module(self) -> str:
        """The module that defines it."""
        return f"{__package__}.{self.name}"

    def runs_at(self, profile: Profile, ipc: int) -> bool:
        """Whether a run of this profile includes the row at this number of images per class."""
        return not self.ipc or ipc in getattr(profile, self.ipc)

    def own_training(self, profile: Profile, distilled: DistilledDataset) -> tuple[str, dict]:
        """Its protocol for a distilled set, with the learned rate if there is one."""
        target, changes = self.protocol(profile, SetSize(distilled.ipc, len(distilled.classes)))
        return target, changes | ({"learning_rate": self.rate(distilled)} if self.rate else {})

    def weights_of(self, profile: Profile) -> str | float:
        """The weighting for a profile; `own` if it is a function."""
        weights = profile.weights if self.weights is None else self.weights
        return OWN if callable(weights) else weights

    def trained(self, profile: Profile) -> tuple[str, str, str]:
        """What its students depend on besides labels and seeds; methods with equal values share students."""
        weights = self.weights_of(profile)
        alone = self.loss or self.schedule or weights == OWN
        return self.images, str(weights), self.name if alone else ""
