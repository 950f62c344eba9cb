"""Cost of a run, told before it is paid: operations and bytes of every step of Algorithm 4.

In: a profile, the sizes of its data set. Out: one Cost for every kind of artifact that the run makes. Networks are the
real ones, on the meta device: nothing is computed. Scoring on test images is no step of Algorithm 4 and not counted;
nor are students with a protocol of their own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..errors import InputError
from ..methods import METHODS
from ..pipeline.cluster import OFFLINE, levels_of
from ..pipeline.run import Run
from ..pipeline.students import Student
from ..pipeline.teacher import PRETRAINED
from ..profile import Profile
from ..quantization.lloyd import ITERATIONS, MOST, SEEDING
from .flops import Classifier, Prior, classifier, n_parameters, prior_of
from .methods import INVERTING, OtherMethods
from .rows import NETWORK_WEIGHT, TRAINED_WEIGHT, Cost
from .sizes import Images

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}  # of a parameter of the prior; of a number of a latent on disk
COMPUTED = 4  # bytes of a number of a latent in memory: it is clustered as float32
LOGIT = 2  # bytes of a logit on disk: float16
MAKES = {
    METHODS["d4m"].distill: "synthesize",
    METHODS["random_generated"].distill: "generate",
    METHODS["random_real"].distill: "random_real",
}


def costs(profile: Profile, images: Images) -> list[Cost]:
    """The cost of every artifact of a run of this profile, in the order in which it makes them.

    Raises:
        InputError: no network of a name in the profile, or an IPC above the size of a class.
    """
    highest = max(levels_of(profile))
    if highest > images.per_class:
        raise InputError(f"ipc = {highest}, but a class has {images.per_class} training images; lower ipc")
    return [cost for cost in _Counted(profile, images).all() if cost.times]


@dataclass(frozen=True, eq=False)
class _Counted:
    """The steps of one profile; each method counts one of them."""

    profile: Profile
    images: Images

    @cached_property
    def plan(self) -> list[Student]:
        return [task for task in Run(self.profile).plan if task.labels != "own"]

    @cached_property
    def prior(self) -> Prior:
        return prior_of(self.profile, self.images.channels)

    def all(self) -> Iterator[Cost]:
        """Every step, in order; those that are made no times too."""
        yield from (*self.fitted(), *self.on_real_images(), self.encoded(), self.clustered())
        yield from (cost for ipc in levels_of(self.profile) for cost in self.distilled(ipc))
        yield from OtherMethods(self.profile, self.images, self.plan).all()
        yield from (cost for ipc in levels_of(self.profile) for cost in self.labelled(ipc))
        yield from self.students()

    def fitted(self) -> Iterator[Cost]:
        """The prior, where it is fitted on the spot."""
        p = self.profile
        if p.prior != "pretrain" or not self._makes & {"synthesize", "generate"}:
            return
        epochs = p.vae_epochs * self.prior.train_autoencoder + p.diffusion_epochs * self.prior.train_network
        yield Cost(
            "prior", "", None, 1, self.images.n * (epochs + self.prior.encode), self.images.read(p.vae_epochs + 1),
            NETWORK_WEIGHT * self.prior.parameters,
            TRAINED_WEIGHT * max(n_parameters(self.prior.vae), n_parameters(self.prior.network)),
        )  # fmt: skip

    def on_real_images(self) -> Iterator[Cost]:
        """The teacher, if it is trained here, and the students of all real images, which have its recipe.

        With torchvision's weights for the teacher, these students have them too, and none is trained.
        """
        p = self.profile
        whole = {(t.student, t.seed) for t in self.plan if t.ipc is None and p.teacher_path != PRETRAINED}
        whole |= set() if p.teacher_path else {(p.teacher, 0)}
        inverting = any(t.method in INVERTING for t in self.plan)
        whole |= {(p.inversion_network, 0)} if inverting and p.inversion_network != p.teacher else set()
        for name in dict.fromkeys([p.teacher, *p.students, p.inversion_network]):
            network = self._classifier(name)
            yield Cost(
                "teacher", name, None, sum(student == name for student, _ in whole),
                self.images.n * p.teacher_epochs * network.training, self.images.read(p.teacher_epochs),
                NETWORK_WEIGHT * network.parameters, TRAINED_WEIGHT * network.parameters,
            )  # fmt: skip

    def encoded(self) -> Cost:
        """Line 1, where latents are kept: every training image once."""
        n, times = self.images.n, int(self.profile.keep_latents and "synthesize" in self._makes)
        written = n * self._latent
        return Cost("encode", "", None, times, n * self.prior.encode, self.images.read(1), written, self._held)

    def clustered(self) -> Cost:
        """Lines 2 and 3: the codebooks of all levels, class by class; line 1 too where latents are not kept."""
        p, n, C = self.profile, self.images.per_class, self.images.n_classes
        d, levels = math.prod(self.prior.latent_shape), levels_of(p)
        operations, read = C * clustering(n, d, levels, p), self.images.n * self._latent
        held = COMPUTED * n * (d + n * takes_gram(n, d, levels, p))
        if not p.keep_latents:
            operations, read = operations + self.images.n * self.prior.encode, self.images.read(1)
            held += self._held
        times, written = p.n_seeds if "synthesize" in self._makes else 0, sum(levels) * C * self._latent
        return Cost("cluster", "", None, times, operations, read, written, held)

    def distilled(self, ipc: int) -> Iterator[Cost]:
        """Lines 4 and 5, and what the baselines put in their place. Pixels are counted as they are, PNG packs them."""
        p, prior, m = self.profile, self.prior, ipc * self.images.n_classes
        texts = self.images.n_classes + (p.guidance_scale > 1)
        for step, read in (("synthesize", m * self._latent), ("generate", 0)):
            calls = prior.calls(p, from_noise=step == "generate")
            operations = m * (calls * prior.call + prior.decode) + texts * prior.embed
            yield Cost(step, "", ipc, self._sets(step, ipc), operations, read, m * self._picture, self._held)
        drawn = self._sets("random_real", ipc, "tesla")
        yield Cost("random_real", "", ipc, drawn, 0, m * self.images.bytes, m * self._picture, 0)

    def labelled(self, ipc: int) -> Iterator[Cost]:
        """Line 6, where labels are stored: one artifact for each distilled set that has soft students."""
        p, teacher, m = self.profile, self._classifier(self.profile.teacher), ipc * self.images.n_classes
        sets = {
            (METHODS[t.method].distill, t.distill_seed) for t in self.plan if (t.ipc, t.labels) == (ipc, "soft")
        }  # fmt: skip
        yield Cost(
            "relabel", "", ipc, len(sets) if p.soft_labels == "stored" else 0, m * p.epochs * teacher.forward,
            m * self._picture, label_bytes(ipc, self.images.n_classes, p.epochs), NETWORK_WEIGHT * teacher.parameters,
        )  # fmt: skip

    def students(self) -> Iterator[Cost]:
        """Line 7. A teacher that is asked while training (soft_labels = online) is counted with the student."""
        p, teacher = self.profile, self._classifier(self.profile.teacher)
        made = {
            (t.student, t.labels, t.ipc, t.distill_seed, t.seed, method.distill, str(method.weights_of(p)))
            for t in self.plan
            for method in [METHODS[t.method]]
            if t.ipc is not None
        }
        kinds = sorted({student[:3] for student in made}, key=lambda kind: (kind[0], kind[1] == "hard", kind[2]))
        for name, labels, ipc in kinds:
            network, m = self._classifier(name), ipc * self.images.n_classes
            online = labels == "soft" and p.soft_labels == "online"
            stored = label_bytes(ipc, self.images.n_classes, p.epochs) if labels == "soft" and not online else 0
            yield Cost(
                "train", f"{name}, {labels} labels", ipc, sum(student[:3] == (name, labels, ipc) for student in made),
                m * p.epochs * (network.training + online * teacher.forward), m * self._picture + stored,
                NETWORK_WEIGHT * network.parameters,
                TRAINED_WEIGHT * network.parameters + online * NETWORK_WEIGHT * teacher.parameters,
            )  # fmt: skip

    @cached_property
    def _makes(self) -> set[str | None]:
        """Steps by which the methods of this profile come to their images."""
        return {MAKES.get(METHODS[t.method].distill) for t in self.plan if t.ipc is not None}

    def _sets(self, step: str, ipc: int, *beginning: str) -> int:
        """Sets of this level that a step makes, some as the beginning of another method's; rows that differ in their
        weights only share one."""
        tasks = [t for t in self.plan if t.ipc == ipc]
        tasks = [t for t in tasks if MAKES.get(METHODS[t.method].distill) == step or t.method in beginning]
        return len({t.distill_seed for t in tasks})

    def _classifier(self, name: str) -> Classifier:
        return classifier(name, self.images.n_classes, self.images.channels, self.profile.image_size)

    @property
    def _latent(self) -> int:
        """Bytes of a latent, or of a prototype, on disk."""
        return BYTES[self.profile.precision] * math.prod(self.prior.latent_shape)

    @property
    def _held(self) -> int:
        """Bytes of the prior's parameters."""
        return BYTES[self.profile.precision] * self.prior.parameters

    @property
    def _picture(self) -> int:
        """Bytes of a distilled image before it is packed."""
        return self.images.channels * self.profile.image_size**2


def clustering(n: int, d: int, levels: list[int], profile: Profile) -> int:
    """Operations on the n latents of one class, in d dimensions, for all its codebooks.

    A pass over the samples makes 2 n K d. Lloyd's algorithm is taken to make as many passes as `best_of_restarts` plans
    with; where inner products are cheaper it makes n^2 d operations once, and n^2 in a pass.
    """
    if profile.quantizer not in OFFLINE:
        return 2 * n * d * sum(levels) * (profile.n_passes + SEEDING)
    passes = profile.n_restarts * (SEEDING + ITERATIONS)
    return n * n * (d + passes * len(levels)) if takes_gram(n, d, levels, profile) else 2 * n * d * sum(levels) * passes


def takes_gram(n: int, d: int, levels: list[int], profile: Profile) -> bool:
    """Whether Lloyd's algorithm takes the Gram form (`lloyd.form_of`)."""
    passes = profile.n_restarts * (SEEDING + ITERATIONS)
    cheaper = n * n * (d + 10 * passes * len(levels)) < 2 * n * d * sum(levels) * passes
    return profile.quantizer == "lloyd" and n <= MOST and cheaper


def label_bytes(ipc: int, n_classes: int, epochs: int) -> int:
    """Bytes of the stored soft labels: a float16 logit for each class, image and epoch."""
    return ipc * n_classes * epochs * n_classes * LOGIT
