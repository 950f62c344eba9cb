"""The study `table`: all students of the profile, with pictures of their distilled sets."""

from collections.abc import Iterator
from pathlib import Path

from ddoq_core.config.profile import Profile
from ddoq_core.methods.method import OWN
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from .images_seen import images_seen
from .strips import keep_strips

OWN_PROTOCOLS = ("rded", "tesla")  # methods whose own protocol is declared for the long run


def table_study(profile: Profile) -> Iterator[StudyPart]:
    """The students of the profile, with a file for each network and number of images per class."""
    run = Run(profile)
    for student in profile.students:
        for ipc in sorted({t.ipc for t in run.plan}, key=lambda ipc: ipc or 0):
            level = "all" if ipc is None else f"ipc{ipc:03d}"
            tasks = [t for t in run.plan if (t.student, t.ipc) == (student, ipc) and _declared(t)]
            file = f"{profile.dataset}-{student}-{level}.jsonl"
            yield StudyPart(file, run, tasks, images_seen, lambda done, out, ipc=ipc: _keep_strips(run, done, ipc, out))


def _declared(task: Student) -> bool:
    """Whether the student was declared: D4M's own protocol came after the declaration of the long run."""
    return task.labels != OWN or task.method in OWN_PROTOCOLS


def _keep_strips(run: Run, done: list[Student], ipc: int | None, folder: Path) -> None:
    """Store pictures of the sets behind a file's students next to the file."""
    if ipc is not None:
        keep_strips(run, [task.method for task in done], ipc, folder)
