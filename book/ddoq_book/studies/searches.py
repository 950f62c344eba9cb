"""The study `tuning`: values of each method's hyper-parameters, tried on validation images.

The first searches chose the values of the profile `table`. The second searches were made because of that table: SRe²L
and CDA did not train at one image per class, and TESLA ended below its start at ten. TUNED has the values they chose.

There were trials before the declaration, each with a single student, on validation images of mnist5k. With hard labels,
one image per class and 1,000 steps, the profile's values gave 16 %, and others 2 to 25 % (batches of ten, 300 and 1,000
iterations, rates 0.05 and 0.1, a = 0.1 and 10, rolls of 0 and 1, crops of 0.5, a ResNet-18 with a = 0.01, 0.1 and 1).
Some of these were sets of ten images that the teacher, another network, recognises as their classes, with 13 to 23 %.
The three students that were inspected had learned their ten images, and put over nine tenths of the real digits into
one or two classes. With soft labels the profile's values gave 84 %. TESLA's first rate is not too small: on random real
images, ten per class, eq. 4 was 0.4 with 0.03, and 0.8 to 3.5 with 0.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ddoq_core.config.profile import Profile
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run

from .images_seen import images_seen

TUNED_WITH = {"n_seeds": 1, "targets": ["soft", "hard"]}  # one distillation, the students of the long run
ENOUGH = {"epochs": 1000}  # for one image per class: the profile's 100 epochs are only 100 steps
RESNET = {"inversion_network": "resnet18"}  # published: a ResNet-18, with statistics of twenty layers
LONGER = {"tesla_epochs": 6, "tesla_matched": 2, "tesla_steps": 20}  # published: M = 2 from the first five epochs
# values chosen by the second searches for the rows that the study `baselines` records again: those with the highest
# validation accuracy with soft labels, as a mean over methods
TUNED: dict[str, dict] = {
    "inversion": RESNET | {"inversion_statistics": 0.01},  # SRe²L and CDA at one image per class: as published
    "sre2l": {"inversion_statistics": 10.0},  # at ten
    "tesla": {"tesla_rate": 0.3},  # at ten
}


@dataclass(frozen=True)
class Search:
    """Values of one knob that were tried for one method, at one number of images per class."""

    method: str
    knob: str
    values: tuple[float | str, ...]
    ipc: int = 10
    beside: dict = field(default_factory=dict)  # other knobs that differ from the profile
    name: str = ""  # suffix of the file names of a second search

    def file(self, dataset: str, value: float | str) -> str:
        """Name of the file with the students of a value."""
        shown = value if isinstance(value, str) else f"{value:g}"
        return "-".join(filter(None, (dataset, self.method, self.knob, shown, self.name))) + ".jsonl"

    def taken(self, profile: Profile) -> float | str:
        """The chosen value: that of the profile, or that of a second search."""
        again = TUNED["inversion" if self.ipc == 1 else self.method] if self.name else {}
        return again.get(self.knob, getattr(profile, self.knob))


SEARCHES = (
    Search("random_real", "learning_rate", (1e-3, 2e-3, 3e-3, 5e-3)),
    Search("sre2l", "inversion_statistics", (0.01, 0.1, 1.0)),
    Search("cda", "inversion_statistics", (0.1, 1.0)),
    Search("rded", "rded_images", (100, 300)),
    Search("tesla", "tesla_rate", (3.0, 10.0, 30.0), ipc=1),
    # the second searches
    *(
        Search(method, knob, values, ipc=1, beside=ENOUGH, name="ipc001")
        for method in ("sre2l", "cda")
        for knob, values in (
            ("inversion_statistics", (0.1, 1.0, 10.0)),
            ("inversion_rate", (0.05, 0.1, 0.25)),
            ("inversion_iterations", (500, 1000, 2000)),
        )
    ),
    *(
        Search(method, "inversion_statistics", (0.01, 0.1), ipc=1, beside=ENOUGH | RESNET, name="ipc001-resnet18")
        for method in ("sre2l", "cda")
    ),
    Search("sre2l", "inversion_statistics", (1.0, 3.0, 10.0), name="ipc010"),
    Search("tesla", "tesla_rate", (0.3, 1.0, 3.0, 10.0), name="ipc010"),
    Search("tesla", "tesla_starts", (2, 5), beside=LONGER, name="ipc010-longer"),
)


def tuning_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every value of SEARCHES."""
    for s in SEARCHES:
        for value in s.values:
            shared = {"methods": [s.method], "ipc": [s.ipc], "hard_ipc": [s.ipc], "students": profile.students[:1]}
            run = Run(profile.replace(**TUNED_WITH, **shared, tesla_ipc=[s.ipc], **s.beside, **{s.knob: value}))
            yield s.file(profile.dataset, value), run


def tuning_study(profile: Profile) -> Iterator[StudyPart]:
    """The search of each method's hyper-parameters, with a file for each value."""
    return (StudyPart(file, run, run.plan, images_seen) for file, run in tuning_runs(profile))
