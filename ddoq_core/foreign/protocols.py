"""`ddoq eval`: train students on any distilled images by a published protocol, and score them on the test images.

In: a folder or a file of tensors, a preset, a profile. Out: one row per student, as in `results.jsonl`, and every
assumption as a line. A preset sets what its protocol fixes. The profile gives the data set, the teacher, the networks
of the students, and all that the preset leaves open. Parameters that the user sets override both.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config.profile import Profile
from ..errors import InputError
from ..methods import d4m, rded, tesla
from ..pipeline.distilled import GIVEN, DistilledDataset
from ..processes import world
from ..results.records import Records
from ..results.table import Column, Table
from ..runs.jobs import Job, Student, result_row, train_all
from ..runs.progress import Progress
from ..runs.run import Run, shaping_values
from ..store.artifacts import Artifact, Workspace
from .folder import read_foreign
from .tensors import read_foreign_tensors

PROTOCOLS = {method.name: method for method in (d4m.METHOD, rded.METHOD, tesla.METHOD)}
LEFT_OPEN = {"students": ["resnet18"], "epochs": 300, "flip": True}  # published values that no preset sets
TOP = 5  # top-5 accuracy
TEST_CROP = 0.875  # Resize 256, CenterCrop 224, bilinear: published by all of them for ImageNet
MATCHING = {"students": ["convnet-128"], "epochs": 1000}  # for trajectory matching
NOT_AS_PUBLISHED = {
    "d4m": "each image has its own crop and CutMix box (published: one box per batch)",
    "rded": "the last epoch is scored (published: the best of the late ones); patches are not shuffled",
    "tesla": "crops and mirroring (published: DSA); images of 8 bits",
}


@dataclass(frozen=True)
class Evaluation:
    """Rows of the students of a folder, and the assumptions about it."""

    rows: list[dict]
    assumed: list[str]
    file: Path  # results.jsonl with the rows; the assumptions are next to it
    distilled: DistilledDataset
    profile: Profile  # as the students were trained


def evaluate_folder(
    folder: Path, preset: str, profile: Profile, named: Collection[str] = (), *,
    mean: Sequence[float] = (), std: Sequence[float] = (),
) -> Evaluation:  # fmt: skip
    """Train and score `n_student_seeds` students of each network on a folder, or a file of tensors.

    Finished students are not trained again. If the preset has no teacher, soft labels that come with tensors are the
    targets.

    Args:
        preset: a key of PROTOCOLS; '' is d4m for a folder, tesla for tensors.
        named: knobs set by the user, which the preset does not change.
        mean, std: of the channels of tensors, see `read_foreign_tensors`.
    Raises:
        InputError: the folder or file is missing, or is not a distilled set of the profile's data set.
    """
    if not folder.exists():
        raise InputError(
            f"no folder {folder}; give one that holds a folder of images for each class, or images_best.pt"
        )
    if folder.is_dir() and (mean or std or preset == "tesla"):
        raise InputError(f"{folder} is a folder, but --mean, --std and preset tesla are for tensors; leave them out")
    run, preset = Run(profile), preset or ("d4m" if folder.is_dir() else "tesla")
    if folder.is_dir():
        foreign = read_foreign(run.store, folder, run.dataset, profile)
    else:
        foreign = read_foreign_tensors(run.store, folder, run.dataset, mean, std)
    target, fixed = PROTOCOLS[preset].own_training(profile, foreign.distilled)
    target = GIVEN if target == "hard" and foreign.soft else target
    teacher = run.teacher if target == "soft" else None
    fixed = {name: value for name, value in fixed.items() if name not in named}
    trained = profile.replace(**fixed, soft_labels="online")
    assumed = [*foreign.assumed, *_protocol(preset, trained, fixed, named)]
    assumed += [_teacher(run)] if teacher else []
    tasks = [
        Student(
            (folder if folder.is_dir() else folder.parent).resolve().name,
            foreign.distilled.ipc,
            student,
            target,
            0,
            seed,
        )
        for student in profile.students
        for seed in range(profile.n_student_seeds)
    ]
    jobs = [Job(trained, t, target, foreign.weights, foreign.distilled.artifact, teacher) for t in tasks]
    rows, progress = [], Progress(tasks, trained, run.dataset)

    def write(job: Job, student: Artifact) -> None:
        row = result_row(trained, job.task, student, foreign.weights, "result.json", run.dataset.n_classes)
        rows.append(row | {"preset": preset})
        progress.done(rows[-1:])

    train_all([jobs], profile.workers, write)
    work = Workspace(_place(run, foreign.distilled, preset, trained))
    if world().main:
        work.json("assumed.json", assumed)
        work.jsonl("results.jsonl", rows)
    return Evaluation(rows, assumed, work.path / "results.jsonl", foreign.distilled, trained)


def evaluation_table(evaluation: Evaluation) -> Table:
    """A row for each network; the interval is over test images, and over students if there are several."""
    records = Records.of(evaluation.rows)
    many = len(evaluation.distilled.classes) > TOP  # with fewer classes, top-5 accuracy is 100 %
    rows = []
    for cell, members in records.cells.items():
        top5 = [float(np.mean([evaluation.rows[i]["top5"] for i in members]))] if many else []
        rows.append((cell.method, cell.ipc, cell.student, records.accuracy(cell), *top5, len(members)))
    return Table.of_rows(
        f"Accuracy in percent on {records.n_test:,} test images of {evaluation.profile.dataset}: mean [95 % interval]",
        ("Set", "IPC", "Student", Column("Top-1", ".1f"), *([Column("Top-5", ".1f")] if many else []), "n"),
        rows,
        ("n: students. Interval: over test images, and over students if there are several.",),
    )


def _protocol(preset: str, trained: Profile, fixed: dict, named: Collection[str]) -> list[str]:
    """The knobs set by the preset, those set by the user instead, and those left to the profile."""
    lines = [f"preset {preset}: {_listed(fixed)}; {NOT_AS_PUBLISHED[preset]}"]
    if named:
        lines.append(f"set by you: {_listed(trained.subset(*named))}")
    published = LEFT_OPEN | (MATCHING if preset == "tesla" else {})
    if trained.dataset == "imagefolder":
        published |= {"test_crop": TEST_CROP}
    own = [f"{n} = {getattr(trained, n)} (published: {v})" for n, v in published.items() if n not in named]
    if own:
        lines.append(f"by the profile {trained.profile}: {', '.join(own)}")
    return lines


def _listed(values: dict) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _teacher(run: Run) -> str:
    metrics = run.teacher.json("metrics.json")
    return (
        f"teacher: {run.profile.teacher}, right on {metrics['top1']:.1f} % of the {metrics['n_test']:,} test images of "
        f"{run.dataset.name}; it labels every view"
    )


def _place(run: Run, distilled: DistilledDataset, preset: str, trained: Profile) -> Path:
    """Folder of the rows, named by the distilled folder, the preset, and all that shapes the rows."""
    values = [shaping_values(trained), run.dataset.key, distilled.artifact.key]
    key = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    return run.store.root / "runs" / f"eval-{preset}-{distilled.artifact.path.name}-{key.hexdigest()[:12]}"
