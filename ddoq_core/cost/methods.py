"""Cost of the rows of Table 1 that neither draw images nor decode prototypes: RDED, SRe²L and CDA, TESLA.

In: a profile, the sizes of its data set and the levels of its plan. Out: one Cost for every kind of artifact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..methods import sre2l, tesla
from ..pipeline.students import Student
from ..profile import Profile
from .flops import Classifier, classifier
from .rows import NETWORK_WEIGHT, Cost
from .sizes import Images

INVERTING = ("sre2l", "cda")


@dataclass(frozen=True)
class OtherMethods:
    """What their artifacts cost; `plan` are the students that are trained on them."""

    profile: Profile
    images: Images
    plan: list[Student]

    def all(self) -> Iterator[Cost]:
        """Every artifact, in order; those that are made no times too."""
        yield from self.rded()
        for name in INVERTING:
            yield from self.inverted(name)
        yield from self.tesla()

    def rded(self) -> Iterator[Cost]:
        """Every crop once through the teacher, for all levels; the pictures take nothing."""
        p, teacher = self.profile, self._classifier(self.profile.teacher)
        kept = min(p.rded_images, self.images.per_class) * self.images.n_classes
        read, held = kept * self.images.bytes, NETWORK_WEIGHT * teacher.parameters
        times = len({t.distill_seed for t in self.plan if t.method == "rded"})
        yield Cost("rded_crops", "", None, times, kept * p.rded_crops * teacher.forward, read, 0, held)
        yield from self._sets("rded")

    def inverted(self, name: str) -> Iterator[Cost]:
        """Blocks of images, which the levels share: a forward pass and the images' part of a backward one per step."""
        p, C = self.profile, self.images.n_classes
        network = self._classifier(p.inversion_network)
        levels = [t.ipc for t in self.plan if t.method == name]
        blocks = list(sre2l.blocks(C, max(levels, default=0)))
        n = sum(len(batch) for batch in blocks[0]) if blocks else 0
        seeds = len({t.distill_seed for t in self.plan if t.method == name})
        operations = n * p.inversion_iterations * (network.training - network.forward)
        held = NETWORK_WEIGHT * network.parameters
        yield Cost(f"{name}_images", "", None, len(blocks) * seeds, operations, 0, n * self._picture, held)
        yield from self._sets(name)

    def tesla(self) -> Iterator[Cost]:
        """The trajectories; then, per step that is matched, its gradient, and the gradient of that: four passes."""
        p, network = self.profile, self._classifier(self.profile.tesla_network)
        tasks = [t for t in self.plan if t.method == "tesla"]
        operations = p.tesla_experts * p.tesla_epochs * self.images.n * network.training
        held = NETWORK_WEIGHT * network.parameters
        written = held * p.tesla_experts * (p.tesla_epochs + 1)
        yield Cost("tesla_experts", "", None, int(bool(tasks)), operations, self.images.read(1), written, held)
        for ipc in sorted({t.ipc for t in tasks}):
            m = ipc * self.images.n_classes
            operations = p.tesla_iterations * p.tesla_steps * min(m, tesla.BATCH) * 4 * network.training
            times = len({t.distill_seed for t in tasks if t.ipc == ipc})
            yield Cost("tesla", "", ipc, times, operations, 0, m * self._picture, held * p.tesla_steps)

    def _sets(self, name: str) -> Iterator[Cost]:
        """The finished sets, which are copied together."""
        tasks = [t for t in self.plan if t.method == name]
        for ipc in sorted({t.ipc for t in tasks}):
            size = ipc * self.images.n_classes * self._picture
            yield Cost(name, "", ipc, len({t.distill_seed for t in tasks if t.ipc == ipc}), 0, size, size, 0)

    @property
    def _picture(self) -> int:
        return self.images.channels * self.profile.image_size**2

    def _classifier(self, name: str) -> Classifier:
        return classifier(name, self.images.n_classes, self.images.channels, self.profile.image_size)
