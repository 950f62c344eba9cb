"""Long runs whose records the book reads: which students each study trains, and in which files their rows stand.

A study is a list of runs, each with the students wanted of it and the file of its rows. `ddoq record` makes them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..pipeline.ledger import record
from ..pipeline.run import Run
from ..pipeline.students import Student
from ..profile import Profile
from . import ablations, tuning, zipf_study
from .gallery import keep_strips
from .images_seen import images_seen


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


def _files_of(runs: Callable[[Profile], Iterator[tuple[str, Run]]]) -> Callable[[Profile], Iterator[Part]]:
    """All students of some runs, a file for each."""
    return lambda profile: (Part(file, run, run.plan, images_seen) for file, run in runs(profile))


def zipf(profile: Profile) -> Iterator[Part]:
    """The controlled study of unequal sub-populations, a file for each codebook and exponent."""
    for file, run in zipf_study.runs(profile):
        yield Part(file, run, run.plan, zipf_study.law_seen)


STUDIES: dict[str, Callable[[Profile], Iterator[Part]]] = {
    "table": table,
    "tuning": _files_of(tuning.runs),
    "ablations": _files_of(ablations.runs),
    "zipf": zipf,
}
