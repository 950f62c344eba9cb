"""A run: Algorithm 4 and its evaluation for one profile; every step is made once and reused.

Images -> latents -> prototypes + counts -> distilled images -> soft labels -> students -> results.jsonl.
"""

import collections
import functools
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from ..checks.check import check
from ..checks.check_lines import brief_lines
from ..checks.prior_quality import assess
from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.loaders import load_dataset
from ..errors import InputError
from ..methods import METHODS
from ..methods.d4m import PROTOTYPES
from ..methods.method import OWN, MethodRun
from ..pipeline.cluster import cluster
from ..pipeline.distilled import DistilledDataset
from ..pipeline.encode import Latents, PassingLatents, StoredLatents, encode
from ..pipeline.relabel import relabel
from ..pipeline.teacher import teacher
from ..pipeline.train_student import LEARNED_LABELS, Weights
from ..priors.load import check_kept, prior_artifact
from ..processes import bar, report_line, world
from ..store.artifacts import Artifact, Store, Workspace
from ..store.locks import held
from .jobs import Job, Student, of_whole_cells, read_rows, result_row, train_all
from .plan import check_levels, own_profile, students_of, warning_of_few
from .progress import Progress

ANOTHER_SCALE = 100  # with more classes, a notebook reads a finished run and never starts one
# knobs that change no result, or whose content is in the key of the data set
MACHINE = (
    "artifacts", "data_root", "class_list", "val_mapping", "download", "device", "threads", "workers", "compiled",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run(MethodRun):
    """All steps of a profile; each is made on first use."""

    profile: Profile

    @cached_property
    def store(self) -> Store:
        return Store(Path(self.profile.artifacts))

    @cached_property
    def dataset(self) -> Dataset:
        return load_dataset(self.profile, self.store)

    @cached_property
    def prior(self) -> Artifact:
        """The latent diffusion model: encoder, decoder, denoiser."""
        p = self.profile
        if p.prior == "exact":
            from ..priors.exact import exact_prior  # imports diffusers, which needs the extra `pipeline`

            return exact_prior(self.store, self.encoder, self.latents, p)
        if p.prior == "pretrain":
            from ..priors.pretrain import pretrain, pretrain_on

            if p.autoencoder_path:
                return pretrain_on(self.store, self.dataset, self.encoder, self.latents, p)
            return pretrain(self.store, self.dataset, p)
        return prior_artifact(p)

    @cached_property
    def encoder(self) -> Artifact:
        """The encoder: the prior, or its autoencoder if the prior is made from latents."""
        if not self.profile.prior_of_latents:
            return self.prior
        from ..priors.exact import encoder_artifact

        return encoder_artifact(self.store, self.dataset, self.profile)

    @cached_property
    def teacher(self) -> Artifact:
        """The classifier that makes the soft labels."""
        return teacher(self.store, self.dataset, self.profile)

    @cached_property
    def assessment(self) -> Artifact:
        """Reconstruction error of the prior, and the share of its images that the teacher recognises."""
        return assess(self.store, self.dataset, self.prior, self.teacher, self.profile)

    @cached_property
    def latents(self) -> Artifact:
        """Algorithm 4, line 1."""
        return encode(self.store, self.dataset, self.encoder, self.profile)

    def prototypes(self, distill_seed: int = 0) -> Artifact:
        """Algorithm 4, lines 2-3, for every IPC of the profile; lines 1-3 in one pass if latents are not kept."""
        strata = self.dataset.train.parts_of_class
        return cluster(self.store, self.latent_source, self.profile, distill_seed=distill_seed, strata=strata)

    @cached_property
    def latent_source(self) -> Latents:
        """The latents of the training images, class by class: stored, or encoded on demand."""
        check_kept(self.profile)
        if self.profile.keep_latents:
            return StoredLatents(self.latents)
        return PassingLatents(self.dataset, self.prior, self.profile)

    def class_latents(self, label: int) -> tuple[Float[Tensor, "n c h w"], Int64[Tensor, " n"]]:
        """Latents of one class, read or encoded, and the indices of their images in the training part."""
        return self.latent_source.of_class(label), self.dataset.train.of_class(label)

    @functools.cache  # noqa: B019 - a Run lives as long as its process
    def distilled(self, method: str, ipc: int, distill_seed: int = 0) -> DistilledDataset:
        """Algorithm 4, lines 4-5, or another method's replacement for them."""
        return METHODS[method].distill(self, ipc, distill_seed)

    def check(self, ipc: int, distill_seed: int = 0) -> Artifact:
        """Measurements of the prototypes and their distilled images, with their healthy ranges."""
        return check(
            self.store, self.dataset, self.latent_source, self.prototypes(distill_seed),
            self.distilled("d4m", ipc, distill_seed), self.prior, self.teacher, self.profile,
            ipc=ipc, distill_seed=distill_seed,
        )  # fmt: skip

    def checks(self, levels: Collection[int | None] = ()) -> Iterator[Artifact]:
        """Yield the check of every distilled set made from prototypes, for the plan or for some levels."""
        tasks = [t for t in self.plan if METHODS[t.method].images == PROTOTYPES and (not levels or t.ipc in levels)]
        sets = dict.fromkeys((t.ipc, t.distill_seed) for t in tasks)
        return (self.check(*one) for one in sets)

    def soft_labels(self, distilled: DistilledDataset, distill_seed: int) -> Artifact | None:
        """Algorithm 4, line 6; None if the teacher runs during training."""
        if self.profile.soft_labels == "online":
            return None
        return relabel(self.store, distilled, self.dataset, self.teacher, self.profile, label_seed=distill_seed)

    def job(self, task: Student) -> Job:
        method, profile, target = METHODS[task.method], self.profile, task.labels
        if method.distill is None:
            return Job(profile, task)
        distilled = self.distilled(task.method, task.ipc, task.distill_seed)
        if target == OWN:
            target, changes = method.own_training(profile, distilled)
            profile = own_profile(profile, changes)
        job = Job(profile, task, target, self.weights(task, distilled), distilled.artifact, method=method.name)
        if target in ("hard", LEARNED_LABELS):
            return job
        labels = self.soft_labels(distilled, task.distill_seed) if profile.soft_labels == "stored" else None
        return replace(job, teacher=self.teacher, labels=labels)

    def weights(self, task: Student, distilled: DistilledDataset) -> str | float | Weights:
        """The weighting of this student's images: the name of a rule, or the values if the method has a function."""
        method = METHODS[task.method]
        if not callable(method.weights):
            return method.weights_of(self.profile)
        return Weights(method.weights(self, distilled, task.distill_seed).double().numpy())

    @cached_property
    def plan(self) -> list[Student]:
        """All students of this profile, in the order of the table."""
        return students_of(self.profile)

    @cached_property
    def folder(self) -> Path:
        """The folder of this run's `results.jsonl`, named by its profile and the values that shape its results."""
        shaping = json.dumps([shaping_values(self.profile), self.dataset.content], sort_keys=True)
        return self.store.root / "runs" / f"{self.profile.profile}-{hashlib.sha256(shaping.encode()).hexdigest()[:12]}"

    @property
    def file(self) -> Path:
        """The rows of its finished students."""
        return self.folder / "results.jsonl"

    def results(self) -> list[dict]:
        """Rows of `results.jsonl`; missing students are trained, or left out with more than 100 classes.

        Raises:
            InputError: there are more than 100 classes, and no cell has all its students.
        """
        if self.dataset.n_classes <= ANOTHER_SCALE:
            return self.train_students(say=lambda line: None)  # a page prints only its own output
        found = of_whole_cells(self.plan, read_rows(self.file))
        if not found:
            raise self._unfinished()
        return found

    def finished_rows(self) -> list[dict]:
        """Rows of `results.jsonl` of a finished run; InputError if it is not finished."""
        there = read_rows(self.file)
        if not all(task in there for task in self.plan):
            raise self._unfinished()
        return [there[task] for task in self.plan]

    def _unfinished(self) -> InputError:
        return InputError(
            f"the run of profile {self.profile.profile} is not finished in {self.store.root}; "
            f"run `ddoq run --profile {self.profile.profile}` with the same parameters first"
        )

    def distilled_sets(
        self, labels: str | None = None, levels: Collection[int | None] = ()
    ) -> list[tuple[DistilledDataset, int]]:
        """The distilled sets of the plan, or of its students with `labels` or at some levels, each with its seed."""
        wanted = [t for t in self.plan if t.ipc is not None and labels in (None, t.labels)]
        keys = dict.fromkeys((t.method, t.ipc, t.distill_seed) for t in wanted if not levels or t.ipc in levels)
        return [(self.distilled(*key), key[2]) for key in bar(keys, desc="distilled sets")]

    def train_students(self, say: Callable[[str], None] = report_line) -> list[dict]:
        """Make every step and train every student, few images per class first; return the rows.

        A row is written as soon as its student and those before it are finished.

        Args:
            say: receives the lines of the checks, before the students of a level are trained.
        """
        check_levels(self.plan, self.profile, self.dataset)
        rows, same = read_rows(self.file), collections.defaultdict(list)
        if (few := warning_of_few(self.plan, self.profile, self.dataset)) and not all(t in rows for t in self.plan):
            say(f"ddoq: {few}")
        told: set[str] = set()
        progress = Progress(self.plan, self.profile, self.dataset, say)

        def ready() -> Iterator[list[Job]]:
            for level in self._levels:
                if missing := [task for task in self.plan if task.ipc in level and task not in rows]:
                    asked = dict.fromkeys("all real images" if t.ipc is None else f"ipc {t.ipc}" for t in missing)
                    say(f"ddoq: making sets and labels; students to train: {len(missing)} of {' and '.join(asked)}")
                jobs = self._made_ready(level, say, told)
                for job in jobs:
                    same[job.identity].append(job.task)
                yield jobs

        def write(job: Job, student: Artifact) -> None:
            made = {task: self.row(task, student) for task in same[job.identity]}
            rows.update(made)
            if world().main:
                Workspace(self.folder).jsonl(self.file.name, (rows[task] for task in self.plan if task in rows))
            progress.done(made.values())

        with held(self.store.root, self.folder.name, f"the run {self.folder}"):
            train_all(ready(), self.profile.workers, write)
        return [rows[task] for task in self.plan]

    @property
    def _levels(self) -> list[set[int | None]]:
        """Images per class, in increasing order; all real images belong to the first level."""
        levels = sorted({t.ipc for t in self.plan if t.ipc is not None})
        return [{None, *levels[:1]}, *({ipc} for ipc in levels[1:])]

    def _made_ready(self, level: set[int | None], say: Callable[[str], None], told: set[str]) -> list[Job]:
        """The jobs of a level, after its sets, checks and labels are made; `told`: facts reported as not healthy."""
        self.distilled_sets(levels=level)
        for checked in self.checks(level):
            for line in brief_lines(checked, told):
                say(line)
        for distilled, seed in self.distilled_sets("soft", level):
            self.soft_labels(distilled, seed)
        return [self.job(task) for task in self.plan if task.ipc in level]

    def row(self, task: Student, artifact: Artifact) -> dict:
        """The record of a trained student: task, score, and origin."""
        method = METHODS[task.method]
        weights = method.weights_of(self.profile) if method.distill else "uniform"
        return result_row(self.profile, task, artifact, weights, method.result, self.dataset.n_classes)


def shaping_values(profile: Profile) -> dict:
    """The values of a profile that shape results: all except those of one machine."""
    return profile.keyed(*(name for name in Profile.knobs() if name not in MACHINE))
