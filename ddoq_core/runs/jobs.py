"""Students in parallel: every network of a run is trained once, each in a process with one thread.

In: jobs with everything that a student is trained on. Out: the trained artifacts, in the order of the jobs.
"""

import collections
import concurrent.futures
import contextlib
import functools
import json
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.loaders import load_dataset
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..pipeline.label_forms import LabelForm, form_knobs, label_bytes
from ..pipeline.train_student import LEARNED_LABELS, Trainer, Weights, train
from ..processes import die_with_parent, world
from ..store.artifacts import Artifact, Store


@dataclass(frozen=True)
class Student:
    """One network to train: the method of its set, its labels and seeds."""

    method: str
    ipc: int | None  # None: all real images
    student: str
    labels: str
    distill_seed: int
    seed: int


@dataclass(frozen=True)
class Job:
    """One student with everything that it is trained on, as a worker receives it."""

    profile: Profile
    task: Student
    target: str = "hard"  # soft, hard or learned: the kind behind the task's labels
    weights: str | float | Weights = "uniform"
    distilled: Artifact | None = None  # None: all real images
    teacher: Artifact | None = None
    labels: Artifact | None = None
    method: str = ""  # if it has its own loss or schedule, they replace the shared ones

    @property
    def identity(self) -> tuple:
        """What the student depends on: not the name of the method, but its results."""
        t, made = self.task, self.distilled.content if self.distilled else self.task.method
        return made, str(self.weights), t.student, t.labels, t.distill_seed, t.seed, self.trainer.module

    @property
    def trainer(self) -> Trainer:
        """The loss and the schedule of the method, or its own loop for learned labels."""
        if not self.method:
            return Trainer()
        from ..methods import METHODS  # its modules import the prior's, which a worker seldom needs

        method = METHODS[self.method]
        if self.target == LEARNED_LABELS:
            return Trainer(fit=method.fit, module=method.module)
        own = method.loss or method.schedule
        return Trainer(method.loss, method.schedule, module=method.module) if own else Trainer()


def train_all(
    levels: Iterable[list[Job]], workers: int, finished: Callable[[Job, Artifact], None] = lambda job, artifact: None
) -> list[Artifact]:
    """Train every student, level after level, `workers` at a time; rows with equal students share one.

    Args:
        levels: groups of jobs; a group starts when the one before it is finished, and its long jobs start first.
        finished: called with every student, in order, when it and those before it are finished.
    Returns:
        The students, in the order of the jobs.
    """
    made, asked = {}, []
    with contextlib.ExitStack() as pool_if_any:
        pool = None
        for jobs in levels:
            asked += jobs
            new = {job.identity: job for job in jobs if job.identity not in made}
            once = sorted(new.values(), key=lambda job: -(job.task.ipc or math.inf))
            if min(workers, len(once)) <= 1 or world().size > 1:  # several processes share each student
                results = map(train_student, once)
            else:
                pool = pool or pool_if_any.enter_context(_pool(workers))
                with _interrupts_held():  # the workers start here
                    results = pool.map(train_student, once)
            try:
                for job, artifact in zip(once, results, strict=True):
                    finished(job, artifact)
                    made[job.identity] = artifact
            except concurrent.futures.BrokenExecutor as error:
                raise InputError(
                    f"a process that trained a student was killed, often for lack of memory; finished work is kept: "
                    f"lower workers (here {workers}) and run the same command again"
                ) from error
    return [made[job.identity] for job in asked]


def train_student(job: Job) -> Artifact:
    """Algorithm 4, line 7: one trained and scored student; on a CPU with one thread, for any number of workers."""
    task, profile = job.task, job.profile.replace(threads=1)
    store, dataset = Store(Path(profile.artifacts)), _dataset_of(profile)
    if job.distilled is None:
        from ..methods import METHODS  # its modules import the prior's, which a worker seldom needs

        return METHODS[task.method].train(store, dataset, profile, task.student, task.seed)
    return train(
        store, DistilledDataset(job.distilled), dataset, job.teacher, job.labels, profile,
        student=task.student, target=job.target, weights=job.weights, trainer=job.trainer,
        student_seed=task.seed, label_seed=task.distill_seed,
    )  # fmt: skip


def result_row(
    profile: Profile, task: Student, artifact: Artifact, weights: str | float, result: str, n_classes: int
) -> dict:
    """The record of a trained student: task, weighting, score (from the file `result`), and origin."""
    run = artifact.run
    made = {name: run[name] for name in ("seconds", "date", "device", "commit", "versions")}
    named = profile.subset("dataset", "profile") | {"key": artifact.key, "teacher_size": profile.picture_size}
    named |= {"label_bytes": bytes_of_labels(profile, task, n_classes)}
    return named | asdict(task) | {"weights": weights} | artifact.json(result) | made


def task_of(row: dict) -> Student:
    """The student of a row."""
    return Student(**{f.name: row[f.name] for f in fields(Student)})


def bytes_of_labels(profile: Profile, task: Student, n_classes: int) -> int | None:
    """Bytes on disk of the soft labels of a student's set; 0 if the teacher runs during training."""
    if task.labels != "soft" or task.ipc is None:
        return None
    form, n = LabelForm.of(form_knobs(profile)), task.ipc * n_classes
    return 0 if profile.soft_labels == "online" else label_bytes(n, n_classes, profile.labelled_epochs, form)


def read_rows(file: Path) -> dict[Student, dict]:
    """Rows of a file by their students; none if there is no such file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {task_of(row): row for row in map(json.loads, lines)}


def of_whole_cells(plan: list[Student], rows: dict[Student, dict]) -> list[dict]:
    """The rows of complete cells of a table: those with students for all seeds."""
    cells = collections.defaultdict(list)
    for task in plan:
        cells[replace(task, distill_seed=0, seed=0)].append(task)
    return [rows[t] for tasks in cells.values() if all(t in rows for t in tasks) for t in tasks]


def _dataset_of(profile: Profile) -> Dataset:
    return _dataset(json.dumps(asdict(profile)))


@functools.cache
def _dataset(profile: str) -> Dataset:
    """One data set in memory per process."""
    values = Profile.of(json.loads(profile))
    return load_dataset(values, Store(Path(values.artifacts)))


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Worker processes that end at once if this one is interrupted or killed."""
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with concurrent.futures.ProcessPoolExecutor(workers, context, die_with_parent, (os.getpid(),)) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Handle Ctrl-C after the block. A process that starts in the block never sees it, so it prints nothing."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
