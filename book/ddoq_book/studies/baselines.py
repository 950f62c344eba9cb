"""The study `baselines` repeats rows of the long run that had too little training or unsuitable hyper-parameters.

At one image per class every student of the long run takes 100 steps, too few for any row. RDED's own protocol had a
third of its epochs. SRe²L and CDA did not train at one image per class, and TESLA ended below its start at ten. If the
second searches chose other values there, these rows are recorded with them. A ResNet-18 with a stem for photographs
halves 32 pixels twice before its first block; DDOQ and D⁴M are also compared with a stem for small images. If the long
run uses only a part of a data set, the row of all real images is also trained on the whole data set.
"""

from collections.abc import Iterator

from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import OWN
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run

from ..recorded import ALL_IMAGES
from .images_seen import images_seen
from .searches import ENOUGH, TUNED

FOLDER = "baselines"  # of book/results
SHARED = ["soft", "hard"]
PAIR = {"methods": ["d4m", "ddoq"], "targets": ["soft"], "students": ["resnet18-small"]}
PAIRED = {"n_seeds": 6, "n_student_seeds": 1}  # distillations, with one student each


def baselines_study(profile: Profile) -> Iterator[StudyPart]:
    """The parts of the study, with a file for each."""
    for name, run in baselines_runs(profile):
        yield StudyPart(f"{profile.dataset}-{name}.jsonl", run, run.plan, images_seen)


def baselines_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """Name and run of every part, with the levels of the profile and its first network."""
    base = profile.replace(students=profile.students[:1])
    distilled = [name for name in profile.methods if METHODS[name].distill]
    one, middle, *_ = sorted(profile.ipc)
    yield _name("all", one), _run(base, [one], methods=distilled, targets=SHARED, **ENOUGH, **TUNED["inversion"])
    yield "rded-own", _run(base, profile.ipc, methods=["rded"], targets=[OWN])
    for method, labels in (("sre2l", SHARED), ("tesla", [*SHARED, OWN])):
        if TUNED[method]:
            yield _name(method, middle), _run(base, [middle], methods=[method], targets=labels, **TUNED[method])
    if profile.train_size:
        yield ALL_IMAGES, Run(base.replace(train_size=0, methods=["full"], n_student_seeds=1))
    yield _name("small-stem", middle), _run(base, [middle], **PAIR, **PAIRED)


def _name(part: str, ipc: int) -> str:
    return f"{part}-ipc{ipc:03d}"


def _run(profile: Profile, levels: list[int], **values) -> Run:
    return Run(profile.replace(ipc=levels, hard_ipc=levels, **values))
