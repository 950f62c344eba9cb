"""The students of a profile, and what is known about them before training."""

from collections.abc import Iterable

from ..config.knobs import unknown_name
from ..config.profile import Profile
from ..data.dataset import Dataset, check_class_sizes
from ..errors import InputError
from ..methods import METHODS
from ..methods.d4m_medoid import MEDOIDS
from ..methods.method import OWN
from ..pipeline.teacher import PRETRAINED
from ..pipeline.views import VIEW_KNOBS
from .jobs import Student

ENOUGH = 3500  # training images that a fitted prior needs, measured on digits by `ddoq record few_images`


def students_of(profile: Profile) -> list[Student]:
    """All students of a profile, in the order of the table.

    Raises:
        InputError: an unknown method, or one that runs at none of the profile's levels.
    """
    p = profile
    for name in p.methods:
        if name not in METHODS:
            raise unknown_name(name, METHODS, "methods")
    tasks = []
    for name in (m for m in METHODS if m in p.methods):
        whole = METHODS[name].distill is None
        if not whole and not any(METHODS[name].runs_at(p, ipc) for ipc in (*p.ipc, *p.hard_ipc)):
            knob = METHODS[name].ipc
            raise InputError(
                f"{name} runs at {knob} = {getattr(p, knob)}, and none of them is in ipc = {p.ipc}; "
                f"add one to both, or leave {name} out of methods"
            )
        levels = {"soft": p.ipc, "hard": p.hard_ipc, OWN: p.ipc if METHODS[name].protocol else []}
        levels = {"hard": [None]} if whole else levels
        tasks += [
            Student(name, ipc, student, labels, distill_seed, seed)
            for student in p.students
            for labels in levels
            if whole or labels in p.targets
            for ipc in levels[labels]
            if whole or METHODS[name].runs_at(p, ipc)
            for distill_seed, seed in _seeds(p, whole)
        ]
    return tasks


def own_profile(profile: Profile, changes: dict) -> Profile:
    """The profile of students of a method's own protocol; stored labels serve them only if their views are the same."""
    own = profile.replace(**changes, label_epochs=0)
    same = not profile.label_epochs and own.keyed(*VIEW_KNOBS) == profile.keyed(*VIEW_KNOBS)
    return own if same else own.replace(soft_labels="online")


def _seeds(profile: Profile, whole: bool) -> list[tuple[int, int]]:
    """Seeds of distillation and student: crossed, or one student with its own initial weights for each."""
    n, m = profile.n_seeds, profile.n_student_seeds
    if whole:  # torchvision's weights are the same network for all seeds
        return [(0, seed) for seed in range(1 if profile.teacher_path == PRETRAINED else n * m)]
    return [(i, s) for i in range(n) for s in ([i] if m == 1 else range(m))]


def check_levels(plan: Iterable[Student], profile: Profile, dataset: Dataset) -> None:
    """Check before the run that every class has at least as many images as its codebooks have points.

    Raises:
        InputError: a class has fewer; the message names the knob.
    """
    if not any("cluster" in METHODS[task.method].uses for task in plan):
        return
    for knob in ("ipc", *(["hard_ipc"] if "hard" in profile.targets else [])):
        highest = max(getattr(profile, knob))
        check_class_sizes(dataset.sized_classes, highest, f"{knob} = {highest}", f"lower {knob}")


def warning_of_few(plan: Iterable[Student], profile: Profile, dataset: Dataset) -> str:
    """A warning if the prior would be fitted to too few images for recognisable pictures; else ''."""
    n, drawn = len(dataset.train), {task.method for task in plan if "prior" in METHODS[task.method].uses}
    if profile.prior != "pretrain" or n >= ENOUGH or all(METHODS[name].images == MEDOIDS for name in drawn):
        return ""
    return (
        f"{n:,} training images are too few for prior = pretrain, which needs about {ENOUGH:,}: with a few hundred, "
        "its pictures show no class. Use prior=exact with an autoencoder_path, or real pictures, "
        "methods=[random_real,rded,d4m_medoid]; the page 'Run it on your own data' has the numbers"
    )


def image_passes(task: Student, profile: Profile, dataset: Dataset) -> int:
    """Images that a student sees over all its epochs."""
    if task.ipc is None:
        return len(dataset.train) * profile.teacher_epochs
    return task.ipc * dataset.n_classes * profile.epochs
