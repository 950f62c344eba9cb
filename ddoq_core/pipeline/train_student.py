"""Algorithm 4, line 7: train a student on the weighted distilled set, and score it once on the test images.

In: a distilled set, and the teacher or its stored labels. Out: `result.json` (accuracies, which test images were hit)
and `student.safetensors`. First weights are keyed by (seed, "student", student, student_seed), order and views by the
label seed that students of a set share. Validation is scored for tuning, test images once; the last epoch counts.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, UInt8
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.image_files import resized
from ..errors import InputError
from ..networks.classifiers import check_network, make_network
from ..processes import bar, world
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.checkpoints import Checkpoint
from ..threads import threads
from .distilled import GIVEN, DistilledDataset
from .relabel import PIECE, check_labels, stored_logits, teacher_logits
from .teacher import accuracy, load_teacher, predict
from .views import VIEW_KNOBS, Views, draw_views, mixed, rebatch, views_of

# schedules that fall once, at a part of the epochs to a share of the rate: the paper's Table 3 (a quarter from epoch
# 250 of 300), and trajectory matching's
FALLS = {"step": (5 / 6, 1 / 4), "tenth": (1 / 2, 1 / 10)}
RATE_KNOBS = ("epochs", "learning_rate", "lr_schedule")  # of a profile that `rate` takes
MOMENTUM = 0.9
CHECKPOINT = "checkpoint.pt"
LEARNED_LABELS = "learned"  # the kind of labels for which a method has a loop of its own


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of the images of a distilled set, one by one."""

    values: Float64[np.ndarray, " n"]  # no tensor: workers are handed them

    def __str__(self) -> str:
        return hashlib.sha256(self.values.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Trainer:
    """What a method may train its students with in place of the shared loss and schedule, or of the whole loop."""

    loss: Callable[..., Float[Tensor, ""]] | None = None  # as `weighted_kl`, without the direction
    schedule: Callable[[float], float] | None = None  # share of the learning rate, after a part of the epochs
    fit: Callable[..., None] | None = None  # the loop: of workspace, network, distilled set, data, profile, key
    module: str = ""  # where they are defined: its source is in the key of the students


SHARED = Trainer()
LogTargets = Callable[[Int64[Tensor, " b"], Float[Tensor, "b C H W"]], Float[Tensor, "b classes"]]


def train(
    store: Store, distilled: DistilledDataset, dataset: Dataset, teacher: Artifact | None, labels: Artifact | None,
    profile: Profile, *, student: str, target: str, weights: str | float | Weights, student_seed: int, label_seed: int,
    trainer: Trainer = SHARED,
) -> Artifact:  # fmt: skip
    """One student phi of a distilled set (Algorithm 4, line 7), trained and scored.

    Args:
        teacher: asked for soft labels while training if `labels` is None; None for other targets.
        labels: the soft labels that `relabel` stored.
        target: soft (weighted KL to the teacher), hard (weighted cross-entropy), given (to its labels), learned.
        weights: how the images' weights follow from their counts, or their values.
        trainer: loss and schedule, where they are a method's own.
    Raises:
        InputError: no network is called `student`; the labels belong to other images or views.
    """
    check_network(student)
    if labels is not None:
        check_labels(labels, distilled, profile, label_seed)

    def learn(work: Workspace, network: nn.Module, seen: Dataset) -> None:
        if target == "soft":
            targets = _soft(distilled, dataset, teacher, labels, profile)
            temperature, direction, different = profile.temperature, profile.loss, profile.labelled_epochs
        else:
            targets = _fixed(distilled, target, profile)
            temperature, direction, different = 1.0, "forward", profile.epochs
        pixels, w = distilled.pixels().to(profile.device), image_weights(distilled, weights).to(profile.device)
        lessons = Lessons(pixels, w, seen, profile, label_seed, targets, different)
        loss = trainer.loss or functools.partial(weighted_kl, direction=direction)
        fit(work, network, lessons, lambda *batch: loss(*batch, temperature), trainer.schedule)

    def share(work: Workspace) -> None:
        rng, seen = torch_rng(profile.seed, "student", student, student_seed), dataset.for_students(profile)
        network = make_network(student, seen.n_classes, seen.channels, seen.image_size, rng).to(profile.device)
        if trainer.fit:
            trainer.fit(work, network, distilled, seen, profile, (profile.seed, "own", student_seed, label_seed))
        else:
            learn(work, network, seen)
        result = score(network, seen, profile.device) | profile.subset("epochs", "learning_rate")
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
    """The weight of every image in the loss; the values of a method must be finite, and one for each image."""
    if not isinstance(weights, Weights):
        return distilled.weights(weights)
    if weights.values.shape != (len(distilled),) or not np.isfinite(weights.values).all():
        raise InputError(f"{distilled.artifact.path} has {len(distilled)} images; its method gives other weights")
    return torch.from_numpy(weights.values).float()


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a student is shown, epoch after epoch: views of the distilled images, their targets, their weights."""

    pixels: UInt8[Tensor, "n C H W"]
    weights: Float[Tensor, " n"]
    dataset: Dataset
    profile: Profile
    label_seed: int
    log_targets: Callable[[int, Views], LogTargets]  # of an epoch; then of rows and the images they became
    different: int  # epochs of views, after which the first are shown again

    @cached_property
    def shares(self) -> list[tuple[Int64[Tensor, " b"], float]]:
        """Of every batch: the places in the epoch's order that fall to this process, and their share of the batch.

        A batch of fewer images than processes lends its first to those that would have none, at a share of 0.
        """
        everyone, found = world(), []
        for batch in torch.arange(len(self.pixels)).split(self.profile.batch_size):
            own = batch.tensor_split(everyone.size)[everyone.rank]
            found.append((own, len(own) / len(batch)) if len(own) else (batch[:1], 0.0))
        return found

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """This process's share of every batch (normalised images, log-probabilities aimed at, weights)."""
        n, size = len(self.pixels), self.pixels.shape[-1]
        knobs, epoch = self.profile.subset(*VIEW_KNOBS), epoch % self.different
        views = draw_views(n, size, self.label_seed, epoch, **knobs).to(self.profile.device)
        log_targets, places = self.log_targets(epoch, views), [own for own, _ in self.shares]
        order = views.order[torch.cat(places).to(views.order.device)]

        def pieces() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for rows in order.split(PIECE):
                images = views_of(self.pixels, views, rows)
                w = mixed(self.weights, views, rows) if self.profile.cutmix_weight == "mixture" else self.weights[rows]
                seen = self.dataset.normalise(resized(images, self.dataset.image_size))  # the teacher sees all pixels
                yield seen, log_targets(rows, images), w

        return rebatch(pieces(), map(len, places))


def _soft(
    distilled: DistilledDataset, dataset: Dataset, teacher: Artifact | None, labels: Artifact | None, profile: Profile
) -> Callable[[int, Views], LogTargets]:
    """The teacher's probabilities at temperature T, from its stored logits or from the teacher itself."""
    T = profile.temperature
    if labels is None:
        network = load_teacher(teacher, profile.device)

        def asked(rows: Int64[Tensor, " b"], images: Float[Tensor, "b C H W"]) -> Float[Tensor, "b classes"]:
            return (teacher_logits(network, dataset, images).float() / T).log_softmax(1)

        return lambda epoch, views: asked

    def of_epoch(epoch: int, views: Views) -> LogTargets:
        logits = stored_logits(labels, len(distilled), dataset.n_classes, epoch).to(profile.device).float()
        return lambda rows, images: (logits[rows] / T).log_softmax(1)

    return of_epoch


def _fixed(distilled: DistilledDataset, target: str, profile: Profile) -> Callable[[int, Views], LogTargets]:
    """The image's class, or the shares that came with it; with CutMix, of both images in proportion to their areas."""
    hard = F.one_hot(distilled.labels, len(distilled.classes)).float()
    shares = (distilled.given_labels if target == GIVEN else hard).to(profile.device)
    return lambda epoch, views: lambda rows, images: mixed(shares, views, rows).log()


def weighted_kl(
    logits: Float[Tensor, "b classes"], log_p: Float[Tensor, "b classes"], weights: Float[Tensor, " b"],
    temperature: float, direction: str,
) -> Float[Tensor, ""]:  # fmt: skip
    """Mean of w KL over a batch, at temperature T; for one-hot p, forward, T = 1, it is weighted cross-entropy.

    Args:
        log_p: log-probabilities aimed at, already at temperature T; -inf is a probability of 0 (forward only).
        direction: forward KL(p || student), what the public codes compute, or reverse KL(student || p), as the paper
            prints it (Section 3.1, step 4). Neither is multiplied by T^2.
    """
    log_q = (logits / temperature).log_softmax(1)
    if direction == "reverse":
        divergence = (log_q.exp() * (log_q - log_p)).sum(1)
    else:
        divergence = F.kl_div(log_q, log_p.exp(), reduction="none").sum(1)
    return (weights * divergence).mean()


def fit(
    work: Workspace, network: nn.Module, lessons: Lessons, loss: Callable[..., Float[Tensor, ""]],
    schedule: Callable[[float], float] | None = None,
) -> None:  # fmt: skip
    """All epochs; an interrupted run goes on from its checkpoint and ends with the same bytes.

    The gradient of a batch is the sum over the processes, and over the `accumulate` parts of each, weighed by their
    share of the images. A norm with batch statistics takes them over such a part, and keeps the main process's.
    """
    p, everyone = lessons.profile, world()
    mixed_precision = torch.autocast(p.device, torch.bfloat16, enabled=p.training_precision == "bfloat16")
    groups = _groups(network, p.weight_decay)
    if p.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=p.learning_rate, momentum=MOMENTUM)
    else:
        optimiser = torch.optim.AdamW(groups, lr=p.learning_rate, fused=True)
    checkpoint = Checkpoint(work, CHECKPOINT, {"network": network, "optimiser": optimiser})
    done = checkpoint.resume(0)
    network.train()
    # the gradient of several processes is their mean
    model = DistributedDataParallel(network, gradient_as_bucket_view=True) if everyone.size > 1 else network
    shared = functools.partial(rate, **p.subset(*RATE_KNOBS))
    for epoch in bar(range(done, p.epochs), desc="student", initial=done, total=p.epochs, leave=False):
        for group in optimiser.param_groups:
            group["lr"] = p.learning_rate * schedule(epoch / p.epochs) if schedule else shared(epoch)
        for (_, share), batch in zip(lessons.shares, lessons.batches(epoch), strict=True):
            optimiser.zero_grad()
            for images, log_p, weights in zip(*(t.chunk(p.accumulate) for t in batch), strict=True):
                with mixed_precision:
                    logits = model(images)
                part = everyone.size * share * len(images) / len(batch[0])
                (loss(logits.float(), log_p, weights) * part).backward()
            optimiser.step()
        if everyone.main:
            checkpoint.keep(epoch + 1)
    everyone.follow_main(network.buffers())  # after the last step, each has running averages of its own


def rate(epoch: int, *, epochs: int, learning_rate: float, lr_schedule: str) -> float:
    """The learning rate of an epoch: `cosine` falls to 0, `half-cosine` to a half, `step` and `tenth` fall once."""
    part = epoch / epochs
    if lr_schedule in FALLS:
        at, share = FALLS[lr_schedule]
        return learning_rate * (share if part >= at else 1)
    if lr_schedule == "half-cosine":  # as RDED: the cosine of twice as many epochs
        part /= 2
    return learning_rate * (1 + math.cos(math.pi * part)) / 2


def score(network: nn.Module, dataset: Dataset, device: str) -> dict:
    """Accuracy of a trained student: top1, top5 (percent), hits on the test images, top1 on the validation images."""
    result = accuracy(predict(network, dataset, dataset.test, device, world()), dataset.test.labels)
    result["validation_top1"] = None
    if len(dataset.validation):
        logits = predict(network, dataset, dataset.validation, device, world())
        result["validation_top1"] = accuracy(logits, dataset.validation.labels)["top1"]
    return result


def _knobs(profile: Profile, target: str, weights: str | float | Weights) -> dict:
    """The knobs that shape this student, and no others, so that what is equal is trained once."""
    names = [*VIEW_KNOBS, "epochs", "batch_size", "learning_rate", "weight_decay", "lr_schedule"]
    names += ["accumulate", "training_precision", "optimiser"]
    names += ["temperature", "loss", "label_epochs"] if target == "soft" else []
    names += ["cutmix_weight"] if profile.cutmix and weights != "uniform" else []
    return profile.keyed(*names)


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Decay for the matrices and kernels, none for biases and norms (as D4M)."""
    decayed = [p for name, p in network.named_parameters() if p.ndim >= 2 and name.endswith("weight")]
    others = [p for name, p in network.named_parameters() if p.ndim < 2 or not name.endswith("weight")]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
