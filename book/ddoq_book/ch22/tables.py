"""Tables and pictures of the chapter on ImageNet: what a run at full size or a rehearsal made, step by step."""

from pathlib import Path

from matplotlib.figure import Figure

from ddoq_core.pipeline.facts import facts_of
from ddoq_core.pipeline.run import Run
from ddoq_core.profile import Profile
from ddoq_core.results.strips import distilled_images
from ddoq_core.results.table import Table
from ddoq_core.store import Artifact

from ..image_rows import image_rows
from ..style import figure_style
from .toy_imagenet import rehearsals

COLUMNS = 8  # pictures in a line


def runs_of(profile: Profile, per_class: int) -> dict[str, Run]:
    """The runs that are shown: the profile's own on a folder of images, else a rehearsal for each kind of prior."""
    if profile.dataset == "imagefolder":
        return {profile.prior: Run(profile)}
    root = Path(profile.artifacts) / "rehearsal"
    return {name: Run(p) for name, p in rehearsals(profile, root, per_class).items()}


def is_rehearsal(runs: dict[str, Run]) -> bool:
    """Whether what is shown is noise."""
    return any(run.profile.profile.endswith("-rehearsal") for run in runs.values())


def steps_table(runs: dict[str, Run]) -> Table:
    """What every step made of how much, for each run; asks for what is not made yet."""
    blocks = []
    for name, run in runs.items():
        data, ipc = run.dataset, max(run.profile.ipc)
        made, rows = run.distilled("ddoq", ipc), run.results()
        prototypes = run.prototypes()
        per_class = [row for row in prototypes.jsonl("clusters.jsonl") if row["ipc"] == ipc]
        students = {row["key"]: row["seconds"] for row in rows}
        lines = (
            ("read", f"{len(data.train):,} + {len(data.test):,} images, {data.n_classes:,} classes", "–"),
            ("encode, cluster", f"{len(per_class):,} codebooks of {ipc} at once with all levels", _seconds(prototypes)),
            ("synthesize", f"{len(made):,} images of {data.image_size} pixels", _seconds(made.artifact)),
            ("blank", f"{len(made.artifact.json('blank.json')):,} of {len(made):,} images", "–"),
            ("train", f"{len(students):,} students", f"{sum(students.values()):.0f}"),
        )
        blocks.append((f"prior = {name}, profile {run.profile.profile}", lines))
    note = "Seconds of each step when it was made; images per class: the largest of the profile."
    return Table("Algorithm 4, step by step", ("Run", "step", "of what", "seconds"), tuple(blocks), (note,))


def checks_table(runs: dict[str, Run]) -> Table:
    """What `ddoq check` found at the largest IPC of each run, and what is healthy."""
    blocks = []
    for name, run in runs.items():
        facts = facts_of(run.check(max(run.profile.ipc)))
        words = {True: "yes", False: "no", None: "compare"}
        rows = tuple((fact.title, fact.text, fact.healthy, words[fact.ok]) for fact in facts)
        blocks.append((f"prior = {name}, profile {run.profile.profile}", rows))
    return Table("Is it going well?", ("Run", "what", "found", "healthy", "is it?"), tuple(blocks))


@figure_style()
def pictures_figure(runs: dict[str, Run]) -> Figure:
    """Photographs as the teacher sees them, and what is distilled, for each run."""
    rows = []
    for name, run in runs.items():
        ipc = max(run.profile.ipc)
        made = run.distilled("ddoq", ipc)
        columns = min(COLUMNS, run.dataset.n_classes * ipc)
        index = [run.dataset.train.of_class(i // ipc)[i % ipc].item() for i in range(columns)]
        if not rows:
            rows.append(("photographs", run.dataset.train.images(index)))
        rows.append((name, distilled_images(made, list(range(columns)))))
    return image_rows(rows)[0]


def _seconds(artifact: Artifact) -> str:
    return f"{artifact.run['seconds']:.0f}"
