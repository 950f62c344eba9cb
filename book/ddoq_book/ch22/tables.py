"""Tables and pictures of the chapter on ImageNet: the results of a run at full size or a rehearsal, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ddoq_core.checks.check_lines import Fact, facts_of
from ddoq_core.config.profile import Profile
from ddoq_core.results.table import As, Column, Table
from ddoq_core.runs.run import Run

from ..image_rows import image_rows
from ..studies.strips import distilled_images
from ..style import figure_style
from .toy_imagenet import rehearsals

MOST_PICTURES = 8  # pictures in a line


def runs_of(profile: Profile, per_class: int) -> dict[str, Run]:
    """The runs on the page: the profile's own on a folder of images, or a rehearsal for each kind of prior."""
    if profile.dataset == "imagefolder":
        return {profile.prior: Run(profile)}
    root = Path(profile.artifacts) / "rehearsal"
    return {name: Run(p) for name, p in rehearsals(profile, root, per_class).items()}


def is_rehearsal(runs: dict[str, Run]) -> bool:
    """Whether the runs are rehearsals, whose images are noise."""
    return any(run.profile.profile.endswith("-rehearsal") for run in runs.values())


@dataclass(frozen=True)
class RunSteps:
    """The amounts that every step of a run processed at the largest IPC of its profile, and its seconds."""

    prior: str
    profile: str
    images: tuple[int, int]  # training, test
    n_classes: int
    ipc: int
    n_codebooks: int
    cluster_seconds: float
    n_distilled: int
    image_size: int
    synthesize_seconds: float
    n_blank: int
    student_seconds: tuple[float, ...]  # of each student


def run_steps(prior: str, run: Run) -> RunSteps:
    """The steps of one run; makes artifacts that do not exist yet."""
    data, ipc = run.dataset, max(run.profile.ipc)
    made, rows, prototypes = run.distilled("ddoq", ipc), run.results(), run.prototypes()
    return RunSteps(
        prior=prior,
        profile=run.profile.profile,
        images=(len(data.train), len(data.test)),
        n_classes=data.n_classes,
        ipc=ipc,
        n_codebooks=sum(row["ipc"] == ipc for row in prototypes.jsonl("clusters.jsonl")),
        cluster_seconds=prototypes.run["seconds"],
        n_distilled=len(made),
        image_size=data.image_size,
        synthesize_seconds=made.artifact.run["seconds"],
        n_blank=len(made.artifact.json("blank.json")),
        student_seconds=tuple({row["key"]: row["seconds"] for row in rows}.values()),
    )


def run_steps_table(found: Sequence[RunSteps]) -> Table:
    """One row per step, with a block for each run."""
    blocks = tuple((at.prior, _step_rows(at)) for at in found)
    profiles = ", ".join(dict.fromkeys(at.profile for at in found))
    note = f"Profile {profiles}. Seconds of each step when it was made; images per class: the largest of the profile."
    return Table("Algorithm 4, step by step", ("Prior", "step", "of what", Column("seconds", ".0f")), blocks, (note,))


def _step_rows(at: RunSteps) -> tuple[tuple, ...]:
    return (
        ("read", _amounts("{:,} + {:,} images, {:,} classes", *at.images, at.n_classes), None),
        (
            "encode, cluster",
            _amounts("{:,} codebooks of {} at once with all levels", at.n_codebooks, at.ipc),
            at.cluster_seconds,
        ),
        ("synthesize", _amounts("{:,} images of {} pixels", at.n_distilled, at.image_size), at.synthesize_seconds),
        ("blank", _amounts("{:,} of {:,} images", at.n_blank, at.n_distilled), None),
        ("train", _amounts("{:,} students", len(at.student_seconds)), sum(at.student_seconds)),
    )


def _amounts(words: str, *numbers: int) -> As:
    return As(numbers, lambda values: words.format(*values))


def run_facts(run: Run) -> Sequence[Fact]:
    """Findings of `ddoq check` at the largest IPC of a run."""
    return tuple(facts_of(run.check(max(run.profile.ipc))).values())


def facts_table(found: Sequence[Fact], of: str) -> Table:
    """One row per fact: whether it is healthy, the value, and the healthy range.

    Args:
        of: the checked set, for the caption.
    """
    words = {True: "yes", False: "no", None: "compare"}
    rows = [(fact.title, words[fact.ok], fact.text, fact.healthy) for fact in found]
    return Table.of_rows(f"ddoq check: {of}", ("What", "Healthy?", "Found", "What is healthy"), rows)


@figure_style()
def pictures_figure(runs: dict[str, Run]) -> Figure:
    """Real images as the teacher sees them, and distilled images, for each run."""
    rows = []
    for name, run in runs.items():
        ipc = max(run.profile.ipc)
        made = run.distilled("ddoq", ipc)
        columns = min(MOST_PICTURES, run.dataset.n_classes * ipc)
        index = [run.dataset.train.of_class(i // ipc)[i % ipc].item() for i in range(columns)]
        if not rows:
            rows.append(("real", run.dataset.train.images(index)))
        rows.append((name, distilled_images(made, list(range(columns)))))
    return image_rows(rows)[0]
