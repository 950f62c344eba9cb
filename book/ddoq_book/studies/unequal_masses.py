"""The study `zipf`: super-classes whose sub-populations have unequal masses, set by hand."""

import itertools
from collections.abc import Iterator

from ddoq_core.config.profile import Profile
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run

from .images_seen import law_seen

CODEBOOKS = ("stratified", "lloyd")
EXPONENTS = (0.0, 1.0, 2.0, 0.5, 1.5)  # the ends first: a run that is broken off shows them
SUPERCLASSES = 2
STUDENTS = ["convnet-2", "convnet-8", "convnet-32"]  # capacity, from hardly any to that of the teacher
IMBALANCE_LEVELS = [5, 20]  # as many points as sub-populations, and four times as many
TRAIN_SIZE = 1000
STRENGTH = 0.3  # of the noise: at the pipeline's 0.7 a centroid may come back as another digit of its super-class


def imbalance_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every codebook and exponent, with the prior and the teacher of all images."""
    base = Run(profile.replace(superclasses=SUPERCLASSES))
    for codebook, exponent in itertools.product(CODEBOOKS, EXPONENTS):
        run = Run(
            base.profile.replace(
                train_size=TRAIN_SIZE, zipf=exponent, strength=STRENGTH, quantizer=codebook,
                ipc=IMBALANCE_LEVELS, hard_ipc=IMBALANCE_LEVELS, students=STUDENTS, targets=["soft", "hard"],
                methods=["d4m", "ddoq", "ddoq_proportional"], prior="dit", prior_path=str(base.prior.path),
                teacher_path=str(base.teacher.path / "model.safetensors"),
            )
        )  # fmt: skip
        yield f"{profile.dataset}-{codebook}-s{exponent:g}.jsonl", run


def imbalance_study(profile: Profile) -> Iterator[StudyPart]:
    """The controlled study of unequal sub-populations, a file for each codebook and exponent."""
    return (StudyPart(file, run, run.plan, law_seen) for file, run in imbalance_runs(profile))
