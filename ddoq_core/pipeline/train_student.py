"""Algorithm 4, line 7: train a student on the weighted distilled set, and score it once on the test images.

In: a distilled set, and the teacher or its stored labels. Out: `result.json` (accuracies, and which test images were
right) and `student.safetensors`. Initial weights have the key (seed, "student", student, student_seed); order and views
have the label seed, which students of a set share. Validation images are scored for tuning, test images once, both
after the last epoch.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..networks.classifiers import check_network, make_network
from ..processes import world
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..threads import threads
from .distilled import DistilledDataset
from .fit_student import CHECKPOINT, fit, weighted_kl
from .lessons import Lessons, fixed_targets, soft_targets
from .pixels import mapped_pixels
from .relabel import check_labels
from .teacher import accuracy, predict
from .views import VIEW_KNOBS

LEARNED_LABELS = "learned"  # the kind of labels for which a method has its own loop


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight of each image of a distilled set."""

    values: Float64[np.ndarray, " n"]  # not a tensor, since workers receive them

    def __str__(self) -> str:
        return hashlib.sha256(self.values.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Trainer:
    """A method's own loss and schedule, or its own training loop, instead of the shared ones."""

    loss: Callable[..., Float[Tensor, ""]] | None = None  # like `weighted_kl`, without the direction
    schedule: Callable[[float], float] | None = None  # share of the learning rate after a share of the epochs
    fit: Callable[..., None] | None = None  # the loop, of workspace, network, distilled set, data, profile, key
    module: str = ""  # the module that defines them; its source is in the key of the students


SHARED = Trainer()


def train(
    store: Store, distilled: DistilledDataset, dataset: Dataset, teacher: Artifact | None, labels: Artifact | None,
    profile: Profile, *, student: str, target: str, weights: str | float | Weights, student_seed: int, label_seed: int,
    trainer: Trainer = SHARED,
) -> Artifact:  # fmt: skip
    """Train and score one student phi of a distilled set (Algorithm 4, line 7).

    Args:
        teacher: gives soft labels during training if `labels` is None; None for other targets.
        labels: the soft labels that `relabel` stored.
        target: soft (weighted KL to the teacher), hard (weighted cross-entropy), given (the set's labels), learned.
        weights: the rule from counts to weights, or the weights.
        trainer: a method's own loss and schedule.
    Raises:
        InputError: an unknown network `student`; labels of other images or views.
    """
    check_network(student)
    if labels is not None:
        check_labels(labels, distilled, profile, label_seed)

    def learn(work: Workspace, network: nn.Module, seen: Dataset) -> int:
        if target == "soft":
            targets = soft_targets(distilled, dataset, teacher, labels, profile)
            temperature, direction, different = profile.temperature, profile.loss, profile.labelled_epochs
        else:
            targets = fixed_targets(distilled, target, profile)
            temperature, direction, different = 1.0, "forward", profile.epochs
        w = image_weights(distilled, weights).to(profile.device)
        lessons = Lessons(mapped_pixels(store, distilled), w, seen, profile, label_seed, targets, different)
        loss = trainer.loss or functools.partial(weighted_kl, direction=direction)
        return fit(work, network, lessons, lambda *batch: loss(*batch, temperature), trainer.schedule)

    def share(work: Workspace) -> None:
        rng, seen = torch_rng(profile.seed, "student", student, student_seed), dataset.for_students(profile)
        network = make_network(student, seen.n_classes, seen.channels, seen.image_size, rng).to(profile.device)
        if trainer.fit:
            trainer.fit(work, network, distilled, seen, profile, (profile.seed, "own", student_seed, label_seed))
            parts = profile.accumulate  # such a loop does not split batches
        else:
            parts = learn(work, network, seen)
        result = score(network, seen, profile.device) | profile.subset("epochs", "learning_rate")
        result |= {} if parts == profile.accumulate else {"parts": parts}  # a GPU was too small for the recipe
        if world().main:
            state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
            work.replace("student.safetensors", lambda path: save_file(state, path))
            work.json("result.json", result)

    def build(work: Workspace) -> None:
        work.discard(CHECKPOINT)

    parameters = _knobs(profile, target, weights) | {"student": student, "target": target}
    parameters |= {"weights": str(weights) if isinstance(weights, Weights) else weights}
    parameters |= {"student_seed": student_seed, "label_seed": label_seed}
    inputs = [distilled.artifact, dataset.key, labels or teacher]
    with threads(1 if profile.device == "cpu" else profile.threads):
        return store.make(
            "train", build, parameters=parameters, inputs=[i for i in inputs if i],
            modules=(__name__, *filter(None, [trainer.module])), plan=profile.subset("device"), share=share,
            label=f"{student}-{target}-{weights}-{distilled.artifact.label}",
        )  # fmt: skip


def image_weights(distilled: DistilledDataset, weights: str | float | Weights) -> Float[Tensor, " n"]:
    """The weight of every image in the loss; the values of a method must be finite, one for each image."""
    if not isinstance(weights, Weights):
        return distilled.weights(weights)
    if weights.values.shape != (len(distilled),) or not np.isfinite(weights.values).all():
        raise InputError(f"{distilled.artifact.path} has {len(distilled)} images, but its method gives other weights")
    return torch.from_numpy(weights.values).float()


def score(network: nn.Module, dataset: Dataset, device: str) -> dict:
    """Accuracy of a trained student: top1, top5 (percent), hits on the test images, top1 on the validation images."""
    result = accuracy(predict(network, dataset, dataset.test, device, world()), dataset.test.labels)
    result["validation_top1"] = None
    if len(dataset.validation):
        logits = predict(network, dataset, dataset.validation, device, world())
        result["validation_top1"] = accuracy(logits, dataset.validation.labels)["top1"]
    return result


def _knobs(profile: Profile, target: str, weights: str | float | Weights) -> dict:
    """Exactly the knobs that shape this student, so that equal students are trained once."""
    names = [*VIEW_KNOBS, "epochs", "batch_size", "learning_rate", "weight_decay", "lr_schedule"]
    names += ["accumulate", "training_precision", "optimiser"]
    names += ["temperature", "loss", "label_epochs"] if target == "soft" else []
    names += ["cutmix_weight"] if profile.cutmix and weights != "uniform" else []
    return profile.keyed(*names)
