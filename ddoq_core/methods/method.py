"""What a row of Table 1 is: a way to distil, and a weighting. One file of this package defines one row.

Its knobs are in the same file, in a class `Knobs` with lines as in `Profile`: they shape this row alone, unless
`methods` names several. A profile reads them without running the file; besides literal constants of the file, they may
use `NETWORK`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Artifact, Store
from .account import Account, Cost

OWN = "own"  # weights, or labels and training, that are the method's own

# what the released codes of D4M and RDED share, which both have from SRe2L: a student of the teacher's softened logits
SRE2L_TRAINING = {
    "cutmix": True,
    "temperature": 20.0,
    "loss": "forward",
    "optimiser": "adamw",
    "learning_rate": 1e-3,  # of ResNets and ConvNets
    "weight_decay": 0.01,
}


class MethodRun:
    """What a method may ask of a run: every step is made when first asked for.

    A class and no Protocol: to see whether an object is one must not make its steps.
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


# labels and training: of a profile and a distilled set, the kind of target and the knobs that differ; the kind is soft,
# hard, or learned: then the method's own loop trains on what it has learned
TrainingProtocol = Callable[[Profile, DistilledDataset], tuple[str, dict]]
WeightsOf = Callable[
    [MethodRun, DistilledDataset, int], Float[Tensor, " n"]
]  # of run, distilled set, distillation seed
StudentLoss = Callable[  # of logits, log-probabilities aimed at, weights, temperature
    [Float[Tensor, "b classes"], Float[Tensor, "b classes"], Float[Tensor, " b"], float], Float[Tensor, ""]
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One row of Table 1; all rows share labels and score, and the trainer but for what is said here."""

    name: str  # in profiles and results: the name of its file
    title: str  # as the table prints it
    reference: str = ""  # key in the bibliography
    small: dict = field(default_factory=dict)  # values of its knobs with which tests run it

    # its images
    distill: Callable[[MethodRun, int, int], DistilledDataset] | None = (
        None  # of a run, images per class, distillation seed
    )
    images: str = ""  # name of its sets of images, if other methods have the same; else the method's own
    ipc: str = ""  # knob with the levels that it is run at, if not at all of them

    # what its students are trained with
    weights: str | float | WeightsOf | None = "uniform"  # of its images in the loss; None takes the profile's
    protocol: TrainingProtocol | None = None  # as published, if that is not the shared one
    loss: StudentLoss | None = None  # in place of `weighted_kl`
    schedule: Callable[[float], float] | None = None  # share of the learning rate, after a part of the epochs
    fit: Callable[..., None] | None = None  # loop of its protocol: of workspace, network, set, data, profile, key

    # without a distilled set: of store, data set, profile, student, seed
    train: Callable[[Store, Dataset, Profile, str, int], Artifact] | None = None
    result: str = "result.json"  # file of what `train` makes that holds the score

    # what it costs
    cost: Callable[[Account], Iterable[Cost]] | None = None  # every artifact that it alone makes
    weighing: Callable[[Account], Iterable[Cost]] = lambda account: ()  # what it makes for the weights of its images
    uses: tuple[str, ...] = ()  # prior, encode, cluster, or the images of another method
    fits: Callable[[Account], set[tuple[str, int]]] = lambda account: set()  # classifiers on all real images, by seed

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", self.images or self.name)

    @property
    def module(self) -> str:
        """The file that defines it."""
        return f"{__package__}.{self.name}"

    def runs_at(self, profile: Profile, ipc: int) -> bool:
        """Whether a run of this profile has the row at this many images per class."""
        return not self.ipc or ipc in getattr(profile, self.ipc)

    def weights_of(self, profile: Profile) -> str | float:
        """The weighting under a profile; `own` if it is a function."""
        weights = profile.weights if self.weights is None else self.weights
        return OWN if callable(weights) else weights

    def trained(self, profile: Profile) -> tuple[str, str, str]:
        """What its students depend on besides labels and seeds: methods that agree in it share them."""
        weights = self.weights_of(profile)
        alone = self.loss or self.schedule or weights == OWN
        return self.images, str(weights), self.name if alone else ""
