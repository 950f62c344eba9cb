"""Super-classes with sub-populations of unequal masses, set by hand: the exploratory study `zipf`, and the study
`controlled`, whose comparisons the protocol declared before it was run."""

import itertools
from collections.abc import Iterator

from ddoq_core.config.profile import Profile
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from .images_seen import law_seen

CODEBOOKS = ("stratified", "lloyd")
EXPONENTS = (0.0, 1.0, 2.0, 0.5, 1.5)  # the ends first, for interrupted runs
SUPERCLASSES = 2
STUDENTS = ["convnet-2", "convnet-8", "convnet-32"]  # capacity from very small to that of the teacher
IMBALANCE_LEVELS = [5, 20]  # one point per sub-population, and four points
TRAIN_SIZE = 1000
STRENGTH = 0.3  # of the noise: at the pipeline's 0.7 a centroid may become another digit of its super-class

WEIGHTINGS = ("d4m", "ddoq", "ddoq_proportional", "ddoq_permuted")  # rows of the declared study
BLOCKS = ((5, "soft"), (5, "hard"), (20, "soft"))  # images per class and labels of the declared study
UNEQUAL = (1.0, 1.5, 2.0)  # its exponents
FRESH = range(100, 112)  # its distillations, not used by earlier runs
STUDENTS_OF_EACH = 2  # students of each distillation, with seeds that no other distillation has


def imbalance_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every codebook and exponent, with the prior and the teacher of all images."""
    base = Run(profile.replace(superclasses=SUPERCLASSES))
    for codebook, exponent in itertools.product(CODEBOOKS, EXPONENTS):
        run = unequal_run(base, codebook, exponent, ["d4m", "ddoq", "ddoq_proportional"])
        yield f"{profile.dataset}-{codebook}-s{exponent:g}.jsonl", run


def unequal_run(base: Run, codebook: str, exponent: float, methods: list[str]) -> Run:
    """A run on few images with sub-populations of masses k^-exponent, and with the prior and teacher of all images."""
    return Run(
        base.profile.replace(
            train_size=TRAIN_SIZE, zipf=exponent, strength=STRENGTH, quantizer=codebook, ipc=IMBALANCE_LEVELS,
            hard_ipc=IMBALANCE_LEVELS, students=STUDENTS, targets=["soft", "hard"], methods=methods, prior="dit",
            prior_path=str(base.prior.path), teacher_path=str(base.teacher.path / "model.safetensors"),
        )
    )  # fmt: skip


def imbalance_study(profile: Profile) -> Iterator[StudyPart]:
    """The study `zipf` of unequal sub-populations, with a file for each codebook and exponent."""
    return (StudyPart(file, run, run.plan, law_seen) for file, run in imbalance_runs(profile))


def controlled_study(profile: Profile) -> Iterator[StudyPart]:
    """The declared study: stratified codebooks, 12 distillations of 2 students, a file for each block and exponent."""
    base = Run(profile.replace(superclasses=SUPERCLASSES))
    for (ipc, labels), exponent in itertools.product(BLOCKS, UNEQUAL):
        run = unequal_run(base, "stratified", exponent, list(WEIGHTINGS))
        tasks = [
            Student(method, ipc, student, labels, distillation, seed)
            for student, distillation in itertools.product(STUDENTS, FRESH)
            for seed in fresh_students(distillation)
            for method in WEIGHTINGS
        ]
        yield StudyPart(f"{profile.dataset}-ipc{ipc:03d}-{labels}-s{exponent:g}.jsonl", run, tasks, law_seen)


def fresh_students(distillation: int) -> range:
    """Seeds of the students of a distillation. Distillations share no seed and are therefore independent."""
    return range(STUDENTS_OF_EACH * distillation, STUDENTS_OF_EACH * (distillation + 1))
