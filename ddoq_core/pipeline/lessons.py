"""What a student sees: views of the distilled images, epoch after epoch, with their targets and weights.

In: the pixels of a set, as a mapped file, and the teacher or its stored labels. Out: this process's share of every
batch, on the device. Memory holds one number an image, the stored labels of one epoch, and small epochs that recur.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.image_files import resized
from ..processes import world
from ..store.artifacts import Artifact
from .distilled import GIVEN, DistilledDataset
from .relabel import PIECE, stored_logits, teacher_logits
from .teacher import load_teacher
from .views import VIEW_KNOBS, Views, draw_views, mixed, rebatch, views_of

LogTargets = Callable[[Int64[Tensor, " b"], Float[Tensor, "b C H W"]], Float[Tensor, "b classes"]]
KEPT_BYTES = 2**29  # most that images which are shown again may take in memory


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a student sees, epoch after epoch: views of the distilled images, their targets, their weights."""

    pixels: UInt8[Tensor, "n C H W"]
    weights: Float[Tensor, " n"]
    dataset: Dataset
    profile: Profile
    label_seed: int
    log_targets: Callable[[int, Views], LogTargets]  # of an epoch; then of rows and their views
    different: int  # number of different epochs; after these the first is shown again
    _kept: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = field(default_factory=dict, init=False)  # by epoch

    @cached_property
    def shares(self) -> list[tuple[Int64[Tensor, " b"], float]]:
        """For every batch: this process's places in the epoch's order, and their share of the batch.

        A batch with fewer images than processes lends its first images to the others, with a share of 0.
        """
        everyone, found = world(), []
        for batch in torch.arange(len(self.pixels)).split(self.profile.batch_size):
            own = batch.tensor_split(everyone.size)[everyone.rank]
            found.append((own, len(own) / len(batch)) if len(own) else (batch[:1], 0.0))
        return found

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """This process's share of every batch (normalised images, target log-probabilities, weights)."""
        epoch, sizes = epoch % self.different, [len(own) for own, _ in self.shares]
        pieces = self._kept.get(epoch) or self._pieces(epoch)
        n_values = self.different * sum(sizes) * self.pixels.shape[1] * self.dataset.image_size**2
        if self.different < self.profile.epochs and n_values * torch.float32.itemsize <= KEPT_BYTES:
            self._kept[epoch] = pieces = list(pieces)
        return rebatch(pieces, sizes)

    def _pieces(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        n, size = len(self.pixels), self.pixels.shape[-1]
        views = draw_views(n, size, self.label_seed, epoch, **self.profile.subset(*VIEW_KNOBS)).to(self.profile.device)
        log_targets, places = self.log_targets(epoch, views), torch.cat([own for own, _ in self.shares])
        for rows in views.order[places.to(views.order.device)].split(PIECE):
            images = views_of(self.pixels, views, rows)
            w = mixed(self.weights, views, rows) if self.profile.cutmix_weight == "mixture" else self.weights[rows]
            seen = self.dataset.normalise(resized(images, self.dataset.image_size))  # the teacher sees all pixels
            yield seen, log_targets(rows, images), w


def soft_targets(
    distilled: DistilledDataset, dataset: Dataset, teacher: Artifact | None, labels: Artifact | None, profile: Profile
) -> Callable[[int, Views], LogTargets]:
    """The teacher's probabilities at temperature T, from its stored logits or by running the teacher."""
    T = profile.temperature
    if labels is None:
        network = load_teacher(teacher, profile.device)

        def asked(rows: Int64[Tensor, " b"], images: Float[Tensor, "b C H W"]) -> Float[Tensor, "b classes"]:
            return (teacher_logits(network, dataset, images).float() / T).log_softmax(1)

        return lambda epoch, views: asked

    def of_epoch(epoch: int, views: Views) -> LogTargets:
        logits = stored_logits(labels, len(distilled), dataset.n_classes, epoch)
        return lambda rows, images: (logits(rows.cpu()).to(images.device).float() / T).log_softmax(1)

    return of_epoch


def fixed_targets(distilled: DistilledDataset, target: str, profile: Profile) -> Callable[[int, Views], LogTargets]:
    """The image's class, or the shares that came with it; with CutMix, of both images in proportion to their areas."""
    given = distilled.given_labels.to(profile.device) if target == GIVEN else None
    classes = distilled.labels.to(profile.device)

    def shares(rows: Int64[Tensor, " b"]) -> Float[Tensor, "b classes"]:
        return F.one_hot(classes[rows], len(distilled.classes)).float() if given is None else given[rows]

    def of_epoch(epoch: int, views: Views) -> LogTargets:
        own = views.share[:, None]
        return lambda rows, images: (own[rows] * shares(rows) + (1 - own[rows]) * shares(views.partner[rows])).log()

    return of_epoch
