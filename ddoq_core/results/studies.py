"""Long runs whose records the book reads: which students each study trains, and in which files their rows stand.

A study is a list of parts: a run, the students wanted of it, and the file of their rows. `ddoq record` makes them.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..pipeline.ledger import record
from ..pipeline.run import Run
from ..pipeline.students import Student
from ..profile import Profile
from .images_seen import images_seen, law_seen
from .strips import keep_strips

TUNED_WITH = {"n_seeds": 1, "targets": ["soft", "hard"]}  # one distillation, the students of the long run


@dataclass(frozen=True)
class Search:
    """Values of one knob that were tried for one method, at one number of images per class."""

    method: str
    knob: str
    values: tuple[float, ...]
    ipc: int = 10


SEARCHES = (
    Search("random_real", "learning_rate", (1e-3, 2e-3, 3e-3, 5e-3)),
    Search("sre2l", "inversion_statistics", (0.01, 0.1, 1.0)),
    Search("cda", "inversion_statistics", (0.1, 1.0)),
    Search("rded", "rded_images", (100, 300)),
    Search("tesla", "tesla_rate", (3.0, 10.0, 30.0), ipc=1),
)


ABLATED_AT = 10, "soft"  # images per class and labels


@dataclass(frozen=True)
class Ablation:
    """One knob: its settings by name, the first being that of the long run, and the rows it is tried on."""

    title: str
    settings: dict[str, dict]
    methods: tuple[str, ...] = ("d4m", "ddoq")


ABLATIONS = {
    "weights": Ablation(
        "Exponent α of the weights, w ∝ v^α with mean 1; eq. 33 is α = 1/2 without the normalisation",
        {"eq. 33": {}} | {f"α = {a:g}": {"weights": a} for a in (0.0, 0.25, 0.5, 0.75, 1.0)},
        ("ddoq",),
    ),
    "loss": Ablation(
        "Direction of the divergence", {"KL(teacher ‖ student)": {}, "KL(student ‖ teacher)": {"loss": "reverse"}}
    ),
    "cutmix": Ablation(
        "Weight of a mixed image", {"λ-mixture": {}, "base image": {"cutmix_weight": "base"}}, ("ddoq",)
    ),
    "strength": Ablation("Strength of the noise", {"0.7": {}} | {f"{s}": {"strength": s} for s in (0.3, 0.5, 0.9)}),
    "sampler": Ablation("Reverse process", {"DDIM, deterministic": {}, "DDPM, stochastic": {"sampler": "ddpm"}}),
    "quantizer": Ablation(
        "Codebook",
        {
            "Lloyd, 10 starts": {},
            "mini-batch, 10 passes": {"quantizer": "minibatch"},
            "mini-batch, 1 pass": {"quantizer": "minibatch", "n_passes": 1},
            "CLVQ, 10 passes": {"quantizer": "clvq"},
        },
    ),
    "rate": Ablation(
        "Learning rate of the student",
        {"0.003": {}, "0.002": {"learning_rate": 2e-3}, "0.001": {"learning_rate": 1e-3}},
        ("random_real", "d4m", "ddoq"),
    ),
}

CODEBOOKS = ("stratified", "lloyd")
EXPONENTS = (0.0, 1.0, 2.0, 0.5, 1.5)  # the ends first: a run that is broken off shows them
SUPERCLASSES = 2
STUDENTS = ["convnet-2", "convnet-8", "convnet-32"]  # capacity, from hardly any to that of the teacher
LEVELS = [5, 20]  # as many points as sub-populations, and four times as many
TRAIN_SIZE = 1000
STRENGTH = 0.3  # of the noise: at the pipeline's 0.7 a centroid may come back as another digit of its super-class


@dataclass(frozen=True)
class Part:
    """Students of one run, whose rows stand in one file, each with what `beside` tells of its images."""

    file: str
    run: Run
    tasks: list[Student]
    beside: Callable[[Run, Student], dict]


def record_study(study: str, profile: Profile, out: Path, wanted: dict[str, list]) -> Iterator[Path]:
    """Train what a study lacks, part by part; yields each part's file when it is complete.

    Args:
        wanted: values of a student's ipc, method, student, labels that it is restricted to; all real images
            (ipc None) belong to every level.
    Raises:
        InputError: no such study, or nothing of it is wanted.
    """
    if study not in STUDIES:
        raise InputError(f"no study '{study}'; studies: {', '.join(STUDIES)}")
    found = False
    for part in STUDIES[study](profile):
        tasks = [t for t in part.tasks if all(getattr(t, name) in (*few, None) for name, few in wanted.items())]
        if tasks:
            found = True
            record(part.run, out / part.file, tasks, part.beside)
            if study == "table" and tasks[0].ipc is not None:
                keep_strips(part.run, [t.method for t in tasks], tasks[0].ipc, out)
            yield out / part.file
    if not found:
        raise InputError(f"study '{study}' at profile {profile.profile} has no student of these: {wanted}")


def table(profile: Profile) -> Iterator[Part]:
    """The students of the profile, a file for each network and number of images per class."""
    run = Run(profile)
    for student in profile.students:
        for ipc in sorted({t.ipc for t in run.plan}, key=lambda ipc: ipc or 0):
            level = "all" if ipc is None else f"ipc{ipc:03d}"
            tasks = [t for t in run.plan if (t.student, t.ipc) == (student, ipc)]
            yield Part(f"{profile.dataset}-{student}-{level}.jsonl", run, tasks, images_seen)


def tuning_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every value of SEARCHES."""
    for s in SEARCHES:
        for value in s.values:
            shared = {"methods": [s.method], "ipc": [s.ipc], "hard_ipc": [s.ipc], "students": profile.students[:1]}
            run = Run(profile.but(**TUNED_WITH, **shared, tesla_ipc=[s.ipc], **{s.knob: value}))
            yield f"{profile.dataset}-{s.method}-{s.knob}-{value:g}.jsonl", run


def ablation_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every setting of ABLATIONS."""
    few = {"ipc": [ABLATED_AT[0]], "targets": [ABLATED_AT[1]], "students": profile.students[:1]}
    for name, ablation in ABLATIONS.items():
        for number, changes in enumerate(ablation.settings.values()):
            run = Run(profile.but(**few, methods=list(ablation.methods), **changes))
            yield f"{profile.dataset}-{name}-{number}.jsonl", run


def imbalance_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every codebook and exponent, with the prior and the teacher of all images."""
    base = Run(profile.but(superclasses=SUPERCLASSES))
    for codebook, exponent in itertools.product(CODEBOOKS, EXPONENTS):
        run = Run(
            base.profile.but(
                train_size=TRAIN_SIZE, zipf=exponent, strength=STRENGTH, ipc=LEVELS, hard_ipc=LEVELS, students=STUDENTS,
                targets=["soft", "hard"], methods=["d4m", "ddoq", "ddoq_proportional"], quantizer=codebook,
                prior="dit", prior_path=str(base.prior.path),
                teacher_path=str(base.teacher.path / "model.safetensors"),
            )
        )  # fmt: skip
        yield f"{profile.dataset}-{codebook}-s{exponent:g}.jsonl", run


def tuning(profile: Profile) -> Iterator[Part]:
    """The search of each method's hyper-parameters, a file for each value."""
    return (Part(file, run, run.plan, images_seen) for file, run in tuning_runs(profile))


def ablations(profile: Profile) -> Iterator[Part]:
    """One knob of Algorithm 4 at a time, a file for each setting."""
    return (Part(file, run, run.plan, images_seen) for file, run in ablation_runs(profile))


def imbalance(profile: Profile) -> Iterator[Part]:
    """The controlled study of unequal sub-populations, a file for each codebook and exponent."""
    return (Part(file, run, run.plan, law_seen) for file, run in imbalance_runs(profile))


STUDIES: dict[str, Callable[[Profile], Iterator[Part]]] = {
    "table": table,
    "tuning": tuning,
    "ablations": ablations,
    "zipf": imbalance,
}
