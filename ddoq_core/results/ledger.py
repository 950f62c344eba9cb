"""A long run recorded row by row in a JSON Lines file, from which any machine can resume it.

In: a run, and the students to train. Out: one row per student, as in `results.jsonl`, with the values of all knobs that
shape it. A row in the file is not computed again, even if its artifacts no longer exist.
"""

import collections
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ..config.profile import Profile
from ..errors import InputError
from ..processes import bar, report_line, world
from ..runs.jobs import Job, Student, task_of, train_all
from ..runs.progress import Progress
from ..runs.run import Run, shaping_values
from ..store.artifacts import Artifact, Workspace
from ..store.locks import held

# knobs that select students and shape none of them
CHOICE = ("profile", "ipc", "hard_ipc", "tesla_ipc", "methods", "students", "targets", "n_seeds", "n_student_seeds")


def record(
    run: Run, out: Path, tasks: Iterable[Student], beside: Callable[[Run, Student], dict] = lambda run, task: {}
) -> list[dict]:
    """Train the students that `out` lacks, and write the row of each when it finishes.

    Args:
        beside: additional values for a row, about the images that its student saw.
    Returns:
        The rows of `tasks`, in their order.
    Raises:
        InputError: the file holds rows for other parameters or other data.
    """
    tasks, same = list(tasks), collections.defaultdict(list)

    def write(job: Job, student: Artifact) -> None:
        for task in same[job.identity]:
            done[task] = run.row(task, student) | shaping(run, task.method) | beside(run, task)
        if world().main:
            Workspace(out.parent).jsonl(out.name, done.values())
        progress.done(done[task] for task in same[job.identity])

    with held(run.store.root, out.name, str(out)):
        rows = read(out)
        _check(rows, run, out)
        done = {task_of(row): row for row in rows}
        missing = [task for task in tasks if task not in done]
        report_line(f"ddoq: {out.name}: {len(missing)} of {len(tasks)} students to train")
        jobs = [run.job(task) for task in bar(missing, desc="sets and labels")]
        for job in jobs:
            same[job.identity].append(job.task)
        progress = Progress(missing, run.profile, run.dataset)
        train_all([jobs], run.profile.workers, write)
    return [done[task] for task in tasks]


def read(out: Path) -> list[dict]:
    """Rows of a file of records, none if the file is missing; InputError for a line that is not a record."""
    if not out.exists():
        return []
    try:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        for row in rows:
            task_of(row)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out} has a line that is not a record of a student; fix or delete it") from error
    return rows


def shaping(run: Run, method: str) -> dict:
    """The values in a method's row apart from its score: the data, and every knob that differs from `laptop`."""
    knobs = Profile.knobs()
    paths = {name for name, knob in knobs.items() if knob.metadata["path"]}  # of one machine; the key has their content
    left_out = {*CHOICE, *paths}
    values = {
        name: value
        for name, value in shaping_values(run.profile).items()
        if name not in left_out and (not knobs[name].metadata["methods"] or method in knobs[name].metadata["methods"])
    }
    digest = hashlib.sha256(json.dumps([values, run.dataset.content], sort_keys=True).encode()).hexdigest()[:16]
    changed = {n: v for n, v in values.items() if v != getattr(Profile(), n)}
    return {"data": run.dataset.content, "settings": digest, "parameters": changed}


def _check(rows: list[dict], run: Run, out: Path) -> None:
    """Raise InputError unless every row has this run's parameters and data."""
    shapes = {method: shaping(run, method) for method in {row["method"] for row in rows}}
    for row in rows:
        shape = shapes[row["method"]]
        if row["settings"] == shape["settings"]:
            continue
        there, here = row["parameters"], shape["parameters"]
        differing = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
        what = "other data or other defaults"
        if differing:
            was, now = (part.get(differing[0], getattr(Profile(), differing[0])) for part in (there, here))
            what = f"{differing[0]} = {was}, not {now}"
        raise InputError(f"{out} holds rows of {what}; give another folder")
