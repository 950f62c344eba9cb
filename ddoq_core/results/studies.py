"""Long studies: the students that each trains, and the files with their rows. `ddoq record` runs them.

A study is an entry point of the group `ddoq.studies`: a function from a profile to the parts of the study.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from ..config.profile import Profile
from ..errors import InputError
from ..runs.jobs import Student
from ..runs.run import Run
from .ledger import record

GROUP = "ddoq.studies"


@dataclass(frozen=True)
class StudyPart:
    """Students of one run, whose rows are in one file."""

    file: str
    run: Run
    tasks: list[Student]  # none if `before` alone writes the file
    beside: Callable[[Run, Student], dict]  # additional values for a row, about the images that its student saw
    finished: Callable[[list[Student], Path], None] = lambda done, folder: None  # called with the students in the file
    before: Callable[[Path], None] = lambda folder: None  # called with the folder of the file, before training


def record_study(study: str, profile: Profile, out: Path, wanted: dict[str, list]) -> Iterator[Path]:
    """Train the missing students of a study, part by part; yields each part's file when it is complete.

    Args:
        wanted: the values of ipc, method, student or labels to train; students on all real images (ipc None) belong to
            every level.
    Raises:
        InputError: an unknown study, or one without the wanted students.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if study not in known:
        raise InputError(f"no study '{study}'; studies: {', '.join(sorted(known))}")
    found = False
    for part in known[study].load()(profile):
        tasks = [t for t in part.tasks if all(getattr(t, name) in (*few, None) for name, few in wanted.items())]
        if part.tasks and not tasks:
            continue
        found = True
        out.mkdir(parents=True, exist_ok=True)
        part.before(out)
        if tasks:
            record(part.run, out / part.file, tasks, part.beside)
            part.finished(tasks, out)
        yield out / part.file
    if not found:
        raise InputError(f"study '{study}' at profile {profile.profile} has no student with {wanted}; change them")
