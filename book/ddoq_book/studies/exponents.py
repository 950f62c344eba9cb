"""The studies `exponents`, `exponents_controlled` and `exponents_photographs`: which power of the masses is best for
students, and which one the training data predict.

The powers 0 and 1 are the rows d4m and ddoq_proportional of the studies `weights`, `controlled` and `photographs`, with
the same images and first weights. The studies here have the powers between, and the estimated exponents. The
predictions are stored before a student is trained.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.methods.ddoq_adaptive import EXPONENTS, exponents
from ddoq_core.pipeline.teacher import load_teacher, predict
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace

from ..codebooks import LEVELS
from .images_seen import images_seen
from .photographs import LEVELS as PHOTOGRAPH_LEVELS
from .photographs import NAME as PHOTOGRAPHS
from .unequal_masses import FRESH, UNEQUAL, WEIGHTINGS, fresh_students, unequal_run
from .weightings import CODEBOOKS, OPTIMISERS

POWERS = (0.25, 0.5, 0.75)
GRID = (0.0, *POWERS, 1.0)
BATCH = 100  # pictures in a batch of the teacher
SAMPLED = 8  # draws of the sampler from every prototype
ESTIMATORS = {"images": {}, "draws": {"adaptive_draws": SAMPLED}}  # inputs of the estimates of the exponents
SETTINGS = {f"power-{a:g}": ("ddoq", {"weights": a}) for a in POWERS}
SETTINGS |= {name: ("ddoq_adaptive", values) for name, values in ESTIMATORS.items()}
NETWORK = "convnet-8"  # student of the controlled part, of middle size
SHOWN = slice(None, None, 25)  # stored exponents of the predicted error: 0, 1/4, 1/2, 3/4, 1


def exponents_study(profile: Profile) -> Iterator[StudyPart]:
    """One pass, optimiser B, 10 images per class, decoded centroids, soft labels: a file for each setting."""
    run = Run(profile.replace(ipc=LEVELS, targets=["soft"], **CODEBOOKS["one pass"], **OPTIMISERS["B"]))
    yield from _parts(profile.dataset, run, 10, profile.students[0])


def photograph_exponents(profile: Profile) -> Iterator[StudyPart]:
    """The same on the pictures of the first block of the study `photographs`."""
    values = {"ipc": PHOTOGRAPH_LEVELS, "hard_ipc": PHOTOGRAPH_LEVELS}
    run = Run(profile.replace(**values, **CODEBOOKS["one pass"], **OPTIMISERS["B"]))
    yield from _parts(PHOTOGRAPHS, run, 10, profile.students[0])


def controlled_exponents(profile: Profile) -> Iterator[StudyPart]:
    """The controlled study's stratified codebooks of 5 points, soft labels: a file for each exponent and setting."""
    base = Run(profile.replace(superclasses=2))
    for s in UNEQUAL:
        yield from _parts(f"{profile.dataset}-s{s:g}", unequal_run(base, "stratified", s, list(WEIGHTINGS)), 5, NETWORK)


def _parts(name: str, base: Run, ipc: int, student: str) -> Iterator[StudyPart]:
    for setting, (method, values) in SETTINGS.items():
        tasks = [Student(method, ipc, student, "soft", i, fresh_students(i)[0]) for i in FRESH]
        run = Run(base.profile.replace(**values))
        file = f"{name}-ipc{ipc:03d}-{setting}.jsonl"
        yield StudyPart(file, run, tasks, images_seen, before=lambda folder: _predict(name, base, ipc, folder))


def _predict(name: str, base: Run, ipc: int, folder: Path) -> None:
    """Store the estimates for each distillation, and the errors of its pictures, unless they exist."""
    file, realised = predictions_file(name, ipc), realised_file(name, ipc)
    if not (folder / realised).exists():
        errors = realised_errors(base, ipc)
        Workspace(folder).json(realised, [[round(e, 6) for e in of_one] for of_one in errors.tolist()])
    if (folder / file).exists():
        return
    found = []
    for estimator, values in ESTIMATORS.items():
        run = Run(base.profile.replace(**values))
        for i in FRESH:
            rows = exponents(run, ipc, i).jsonl(EXPONENTS)
            found.append({"estimator": estimator, "distill_seed": i, "together": rows[0]["together"]})
            found[-1] |= {key: [round(row[key], 4) for row in rows] for key in ("exponent", "own", "deviation")}
            errors = zip(*(row["errors"][SHOWN] for row in rows), strict=True)
            found[-1]["errors"] = [round(sum(at), 6) for at in errors]
    Workspace(folder).json(file, found)


def predictions_file(name: str, ipc: int) -> str:
    """Name of the file with the predictions, next to the records."""
    return f"{name}-ipc{ipc:03d}-predicted.json"


def realised_file(name: str, ipc: int) -> str:
    """Name of the file with the errors of the pictures."""
    return f"{name}-ipc{ipc:03d}-realised.json"


@torch.no_grad()
def realised_errors(run: Run, ipc: int) -> Float[Tensor, "distillations powers"]:
    """|sum_k W_k f(x_k) - E f|^2 for the pictures x_k, with W proportional to v^alpha for the powers in GRID, summed
    over classes. f is the teacher's logits, E f their mean over the training images of the class."""
    teacher, part, n = load_teacher(run.teacher, run.profile.device), run.dataset.train, run.dataset.n_classes
    goals = [predict(teacher, run.dataset, part.subset(part.of_class(c))).double().mean(0) for c in range(n)]
    found = []
    for i in FRESH:
        distilled = run.distilled("d4m", ipc, i)
        parts = [teacher(run.dataset.normalise(images)) for images in distilled.images().split(BATCH)]
        values, counts = (distilled.by_class(of_all) for of_all in (torch.cat(parts).double(), distilled.counts))
        errors = torch.zeros(len(GRID), dtype=torch.float64)
        for f, v, goal in zip(values, counts, goals, strict=True):
            powers = v.double() ** torch.tensor(GRID, dtype=torch.float64)[:, None]
            errors += (powers / powers.sum(1, keepdim=True) @ f - goal).square().sum(1)
        found.append(errors)
    return torch.stack(found)
