"""What a row of Table 1 is: a way to distil, and a weighting. One file of this package defines one row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..pipeline.distilled import DistilledDataset
from ..pipeline.splits import Dataset
from ..profile import Profile
from ..store import Artifact, Store

# what the released codes of D4M and RDED share, which both have from SRe2L: a student of the teacher's softened logits
SRE2L_TRAINING = {
    "cutmix": True,
    "temperature": 20.0,
    "loss": "forward",
    "optimiser": "adamw",
    "learning_rate": 1e-3,  # of ResNets and ConvNets
    "weight_decay": 0.01,
}


class Run(Protocol):
    """What a method may ask of a run: every step is made when first asked for."""

    profile: Profile
    store: Store
    dataset: Dataset
    prior: Artifact
    teacher: Artifact
    latents: Artifact

    def prototypes(self, distill_seed: int) -> Artifact:
        """Centroids and counts of every class (Algorithm 4, lines 2-3)."""


@dataclass(frozen=True)
class Method:
    """One row of Table 1; all rows share labels, trainer and score."""

    name: str  # in profiles and results: the name of its file
    title: str  # as the table prints it
    rank: int  # place in the table, from the top
    reference: str = ""  # key in the bibliography
    distill: Callable[[Run, int, int], DistilledDataset] | None = None  # of a run, images per class, distillation seed
    weights: str | float | None = "uniform"  # of its images in the loss; None takes the profile's
    # without a distilled set: of store, data set, profile, student, seed
    train: Callable[[Store, Dataset, Profile, str, int], Artifact] | None = None
    result: str = "result.json"  # file of what `train` makes that holds the score

    ipc: str = ""  # knob with the levels that it is run at, if not at all of them
    # its published protocol of labels and training, if that is not the shared one: of profile and distilled set, the
    # kind of target (soft, hard) and the knobs that differ
    own: Callable[[Profile, DistilledDataset], tuple[str, dict]] | None = None

    def runs_at(self, profile: Profile, ipc: int) -> bool:
        """Whether a run of this profile has the row at this many images per class."""
        return not self.ipc or ipc in getattr(profile, self.ipc)

    def weights_of(self, profile: Profile) -> str | float:
        """The weighting under a profile."""
        return profile.weights if self.weights is None else self.weights
