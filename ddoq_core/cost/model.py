"""Cost of a run, estimated in advance: operations and bytes of every step of Algorithm 4.

In: a profile, and the sizes of its data set. Out: one Cost for every kind of artifact in the run. The real networks are
counted on the meta device, so nothing is computed. Scoring on test images is not counted: it is no step of Algorithm 4.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from ..config.profile import Profile
from ..errors import InputError
from ..methods import METHODS
from ..methods.account import (
    BEFORE,
    BYTES,
    CLUSTERING,
    LABELLING,
    NETWORK_WEIGHT,
    TRAINED_WEIGHT,
    TRAINING,
    Account,
    Cost,
)
from ..methods.method import OWN, Method, SetSize
from ..pipeline.cluster import OFFLINE, levels_of
from ..pipeline.label_forms import LabelForm, form_knobs, label_bytes
from ..priors.load import check_kept
from ..quantization.lloyd import ITERATIONS, SEEDING, gram_pays
from ..runs.jobs import Student
from ..runs.plan import own_profile
from ..runs.run import Run
from .counts import Classifier, Prior, exact_score
from .flops import classifier, prior_of
from .sizes import Images

COMPUTED = 4  # bytes per number of a latent in memory, since latents are clustered in float32


def costs(profile: Profile, images: Images) -> list[Cost]:
    """The cost of every artifact of a run of this profile, in the order in which the run makes them.

    If several methods have equal costs, they share one artifact.

    Raises:
        InputError: an unknown network in the profile, an IPC above the size of a class, or the exact score without
            stored latents.
    """
    highest = max(levels_of(profile))
    if highest > images.per_class:
        raise InputError(
            f"ipc = {highest}, but a class has {images.per_class} training images that are not held out; lower ipc"
        )
    check_kept(profile)
    return [cost for cost in dict.fromkeys(_Counted(profile, images).all()) if cost.times]


@dataclass(frozen=True, eq=False)
class _Counted:
    """The steps of one profile; each method counts one of them."""

    profile: Profile
    images: Images

    @cached_property
    def plan(self) -> list[Student]:
        return Run(self.profile).plan

    @cached_property
    def prior(self) -> Prior:
        found, p, n = prior_of(self.profile, self.images.channels), self.profile, self.images.per_class
        if p.prior != "exact":
            return found
        points = (n + self.images.n) // 2 if p.guidance_scale > 1 else n  # mean of two calls: one class, all classes
        return replace(found, call=exact_score(points, found.latent_shape, p.locality != "global"))

    def all(self) -> Iterator[Cost]:
        """Every step, in order, including those that this run does not make."""
        yield from (*self.fitted(), *self.on_real_images(), *self.encoded(), *self.clustered())
        for method in {m.images: m for m in self._accounts}.values():
            yield from method.cost(self._accounts[method])
        for name in dict.fromkeys(task.method for task in self.plan):
            yield from METHODS[name].weighing(self._accounts[METHODS[name]])
        for ipc in levels_of(self.profile):
            yield from (*self.mapped(ipc), *self.labelled(ipc))
        yield from self.students()

    def fitted(self) -> Iterator[Cost]:
        p = self.profile
        if p.prior != "pretrain" or not self._used("prior"):
            return
        operations, reads = p.diffusion_epochs * self.prior.train_network, 0
        if not p.prior_of_latents:  # otherwise the autoencoder is given, and the latents are those of `encode`
            operations += p.vae_epochs * self.prior.train_autoencoder + self.prior.encode
            reads = self.images.read(p.vae_epochs + 1)
        yield Cost(
            step="prior", stage=BEFORE, title="fit the prior", times=1, flops=self.images.n * operations, reads=reads,
            writes=NETWORK_WEIGHT * self.prior.parameters,
            memory=TRAINED_WEIGHT * self.prior.largest,
        )  # fmt: skip

    def on_real_images(self) -> Iterator[Cost]:
        """The teacher, if the run trains it, and classifiers that methods train by its recipe on all real images."""
        p = self.profile
        whole = set() if p.teacher_path else {(p.teacher, 0)}
        whole = whole.union(*(method.fits(account) for method, account in self._accounts.items()))
        for name in dict.fromkeys([p.teacher, *p.students, *sorted(name for name, _ in whole)]):
            network = self._classifier(name)
            yield Cost(
                step="teacher", stage=BEFORE, title="train on all real images,", network=name,
                times=sum(fitted == name for fitted, _ in whole),
                flops=self.images.n * p.teacher_epochs * network.training, reads=self.images.read(p.teacher_epochs),
                writes=NETWORK_WEIGHT * network.parameters, memory=TRAINED_WEIGHT * network.parameters,
            )  # fmt: skip

    def encoded(self) -> Iterator[Cost]:
        """Line 1, if latents are kept: every training image once."""
        made_of_them = self.profile.prior_of_latents and self._used("prior")
        if self.profile.keep_latents and (self._used("encode") or made_of_them):
            n = self.images.n
            yield Cost(
                step="encode", stage=CLUSTERING, title="encode", times=1, flops=n * self.prior.encode,
                reads=self.images.read(1), writes=n * self._latent, memory=self._held,
            )  # fmt: skip

    def clustered(self) -> Iterator[Cost]:
        """Lines 2 and 3: the codebooks of all levels, class by class; also line 1 if latents are not kept."""
        if not self._used("cluster"):
            return
        p, n, C = self.profile, self.images.per_class, self.images.n_classes
        d, levels = math.prod(self.prior.latent_shape), levels_of(p)
        operations = C * clustering(n, d, levels, p.quantizer, p.n_restarts, p.n_passes)
        read = self.images.n * self._latent
        held = COMPUTED * n * (d + n * takes_gram(n, d, levels, p.quantizer, p.n_restarts))
        if not p.keep_latents:
            operations, read = operations + self.images.n * self.prior.encode, self.images.read(1)
            held += self._held
        yield Cost(
            step="cluster", stage=CLUSTERING, title="cluster", times=p.n_seeds, flops=operations, reads=read,
            writes=sum(levels) * C * self._latent, memory=held,
        )  # fmt: skip

    def mapped(self, ipc: int) -> Iterator[Cost]:
        """The file of pixels of each distilled set, from which labels and students are made."""
        sets = {(METHODS[t.method].images, t.distill_seed) for t in self.plan if t.ipc == ipc}
        size = ipc * self.images.n_classes * self._picture
        yield Cost(
            step="pixels",
            stage=LABELLING,
            title="pixels in one file",
            ipc=ipc,
            times=len(sets),
            reads=size,
            writes=size,
        )

    def labelled(self, ipc: int) -> Iterator[Cost]:
        """Line 6, if labels are stored: one artifact for each distilled set with soft students."""
        p, teacher, m = self.profile, self._classifier(self.profile.teacher), ipc * self.images.n_classes
        tasks = [(t, *self._training(t.method, t.labels, ipc)) for t in self.plan if t.ipc == ipc]
        sets = {
            (METHODS[task.method].images, task.distill_seed)
            for task, target, q in tasks
            if (target, q.soft_labels) == ("soft", "stored")
        }
        yield Cost(
            step="relabel", stage=LABELLING, title="label all views", ipc=ipc, times=len(sets),
            flops=m * p.labelled_epochs * teacher.forward, reads=m * self._picture, writes=self._labels(m),
            memory=NETWORK_WEIGHT * teacher.parameters,
        )  # fmt: skip

    def students(self) -> Iterator[Cost]:
        """Line 7. A teacher that runs during training (soft_labels = online) is counted with the student."""
        p, teacher = self.profile, self._classifier(self.profile.teacher)
        made = {
            (t.student, t.labels, t.method if t.labels == OWN else "", t.ipc,
             t.distill_seed, t.seed, *METHODS[t.method].trained(p))
            for t in self.plan if t.ipc is not None
        }  # fmt: skip
        order = ("soft", "hard", OWN)
        kinds = sorted({student[:4] for student in made}, key=lambda kind: (kind[0], order.index(kind[1]), *kind[2:]))
        for kind in kinds:
            name, labels, method, ipc = kind
            target, q = self._training(method, labels, ipc)
            network, m = self._classifier(name, p.image_size), ipc * self.images.n_classes
            online = target == "soft" and q.soft_labels == "online"
            stored = self._labels(m) if target == "soft" and not online else 0
            yield Cost(
                step="train", stage=TRAINING, title="student", ipc=ipc,
                network=f"{name}, {METHODS[method].title}, own protocol" if method else f"{name}, {labels} labels",
                times=sum(student[:4] == kind for student in made),
                flops=m * q.epochs * (network.training + online * teacher.forward), reads=m * self._picture + stored,
                writes=NETWORK_WEIGHT * network.parameters,
                memory=TRAINED_WEIGHT * network.parameters + online * NETWORK_WEIGHT * teacher.parameters,
                together=-(-min(q.batch_size, m) // p.accumulate), mapped=m * self._picture,
                activations=network.activations * BYTES[p.training_precision] / BYTES["float32"],
            )  # fmt: skip

    def _training(self, method: str, labels: str, ipc: int) -> tuple[str, Profile]:
        """Targets and profile of the training of a method's students: the shared ones, or those of its protocol."""
        if labels != OWN:
            return labels, self.profile
        target, changes = METHODS[method].protocol(self.profile, SetSize(ipc, self.images.n_classes))
        return target, own_profile(self.profile, changes)

    @cached_property
    def _accounts(self) -> dict[Method, Account]:
        """Methods with artifacts in this run, in the order of the table."""
        found = {method: self._account(method) for method in METHODS.values()}
        return {method: account for method, account in found.items() if account.sets or account.students}

    def _account(self, method: Method) -> Account:
        """The sets that a method makes for all rows that share or extend them, and its own students."""
        sets = {
            (t.ipc, t.distill_seed)
            for t in self.plan
            if t.ipc is not None and method.images in (METHODS[t.method].images, *METHODS[t.method].uses)
        }
        own = {(t.student, t.seed) for t in self.plan if t.method == method.name}
        return Account(self.profile, self.images, frozenset(sets), frozenset(own), self._classifier, lambda: self.prior)

    def _used(self, step: str) -> bool:
        """Whether a method of this profile needs a step of the pipeline."""
        return any(step in METHODS[t.method].uses for t in self.plan)

    def _classifier(self, name: str, size: int | None = None) -> Classifier:
        """A network at its input size: the teacher's, or that of students for other networks."""
        p = self.profile
        size = size or (p.picture_size if name == p.teacher else p.image_size)
        return classifier(name, self.images.n_classes, self.images.channels, size)

    def _labels(self, m: int) -> int:
        """Bytes of the stored labels of m images."""
        p = self.profile
        return label_bytes(m, self.images.n_classes, p.labelled_epochs, LabelForm.of(form_knobs(p)))

    @property
    def _latent(self) -> int:
        """Bytes of a latent, or of a prototype, on disk."""
        return BYTES[self.profile.precision] * math.prod(self.prior.latent_shape)

    @property
    def _held(self) -> int:
        return BYTES[self.profile.precision] * self.prior.parameters

    @property
    def _picture(self) -> int:
        """Bytes of a distilled image before compression."""
        return self.images.channels * self.profile.picture_size**2


def clustering(n: int, d: int, levels: list[int], quantizer: str, n_restarts: int, n_passes: int) -> int:
    """Operations on the n latents of one class, in d dimensions, for all its codebooks.

    A pass over the samples costs 2 n K d. Lloyd's algorithm is assumed to make the number of passes that
    `best_of_restarts` plans with; if inner products are cheaper, it costs n^2 d operations once, and n^2 in a pass.
    """
    if quantizer not in OFFLINE:
        return 2 * n * d * sum(levels) * (n_passes + SEEDING)
    passes = n_restarts * (SEEDING + ITERATIONS)
    in_gram = takes_gram(n, d, levels, quantizer, n_restarts)
    return n * n * (d + passes * len(levels)) if in_gram else 2 * n * d * sum(levels) * passes


def takes_gram(n: int, d: int, levels: list[int], quantizer: str, n_restarts: int) -> bool:
    """Whether Lloyd's algorithm uses the Gram form (`lloyd.gram_pays`)."""
    return quantizer == "lloyd" and gram_pays(n, d, levels, n_restarts * (SEEDING + ITERATIONS))
