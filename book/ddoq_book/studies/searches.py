"""The study `tuning`: values of each method's hyper-parameters, tried on validation images."""

from collections.abc import Iterator
from dataclasses import dataclass

from ddoq_core.config.profile import Profile
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run

from .images_seen import images_seen

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


def tuning_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every value of SEARCHES."""
    for s in SEARCHES:
        for value in s.values:
            shared = {"methods": [s.method], "ipc": [s.ipc], "hard_ipc": [s.ipc], "students": profile.students[:1]}
            run = Run(profile.replace(**TUNED_WITH, **shared, tesla_ipc=[s.ipc], **{s.knob: value}))
            yield f"{profile.dataset}-{s.method}-{s.knob}-{value:g}.jsonl", run


def tuning_study(profile: Profile) -> Iterator[StudyPart]:
    """The search of each method's hyper-parameters, a file for each value."""
    return (StudyPart(file, run, run.plan, images_seen) for file, run in tuning_runs(profile))
