"""Results of a benchmark of quantizers: medians over repetitions of the ratios within each, and a table.

In: rows of `quantizers.bench_rows`. Out: a result by task and method, and the table that `ddoq bench` prints.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from ddoq_core.results.table import Column, Table

from .quantizers import OURS, TASKS, Task


@dataclass(frozen=True)
class ComparedMethod:
    """One method on one task: medians over repetitions, and ratios within each."""

    name: str
    seconds: tuple[float, float, float]  # minimum, median, maximum
    time_ratio: float  # over ours
    distortion_ratio: float  # over ours
    over_best: float  # distortion over the lowest of any method in any repetition
    share_of_peak: float | None  # None if methods differ in their iterations
    memory_mib: float | None  # above the samples; None if it was not measured


@dataclass(frozen=True)
class ComparedTask:
    """All methods on one task."""

    task: Task
    n_reps: int
    methods: tuple[ComparedMethod, ...]


@dataclass(frozen=True)
class SideBySide:
    """All tasks of a benchmark, and its machine."""

    tasks: tuple[ComparedTask, ...]
    device: str
    threads: int
    versions: dict[str, str]
    dates: tuple[str, str]  # first and last


def side_by_side(rows: list[dict]) -> SideBySide:
    """Results from the rows of `bench_rows`, task by task."""
    tasks = []
    for name, task in TASKS.items():
        own = [row for row in rows if row["task"] == name]
        if own:
            shared = [method for method in task.methods if all(method in row["methods"] for row in own)]
            tasks.append(ComparedTask(task, len(own), tuple(_compared(task, method, own) for method in shared)))
    dates = sorted(row["date"] for row in rows)
    first = rows[0]
    return SideBySide(tuple(tasks), first["device"], first["threads"], first["versions"], (dates[0], dates[-1]))


def _compared(task: Task, method: str, rows: list[dict]) -> ComparedMethod:
    def median(value: Callable[[dict, dict], float]) -> float:
        return statistics.median(value(row["methods"][method], row["methods"][OURS]) for row in rows)

    times = [row["methods"][method]["seconds"] for row in rows]
    best = min(found["distortion"] for row in rows for found in row["methods"].values())
    share = None
    if task.iterations:
        operations = 2e-9 * task.n * task.d * task.K * task.iterations
        share = statistics.median(operations / t / row["peak"] for t, row in zip(times, rows, strict=True))
    return ComparedMethod(
        name=method,
        seconds=(min(times), statistics.median(times), max(times)),
        time_ratio=median(lambda its, ours: its["seconds"] / ours["seconds"]),
        distortion_ratio=median(lambda its, ours: its["distortion"] / ours["distortion"]),
        over_best=median(lambda its, ours: its["distortion"] / best),
        share_of_peak=share,
        memory_mib=rows[0]["methods"][method]["memory_mib"],
    )


def bench_table(found: SideBySide) -> Table:
    """One block per task, one row per method."""
    rows = [
        (_title(one), m.name, m.seconds, m.time_ratio, m.distortion_ratio, m.over_best, m.share_of_peak, m.memory_mib)
        for one in found.tasks
        for m in one.methods
    ]
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return Table.of_groups(
        "Quantizers side by side",
        (
            "Task", "Method", Column("Seconds: min / median / max", _seconds_form), Column("Time over ours", ".2f"),
            Column("Distortion over ours", ".4f"), Column("Distortion over the best", ".4f"),
            Column("Share of peak", ".2f"), Column("MiB", ".0f"),
        ),
        rows,
        (
            "Medians over repetitions, of ratios within each; the best is the lowest that any method found in any. "
            "Share of peak: of the operations per second that a matrix product of the same repetition reaches. "
            "MiB: peak above the samples.",
            f"{found.device}, {found.threads} thread(s), {found.dates[0]} to {found.dates[1]}, {versions}.",
        ),
    )  # fmt: skip


def _title(one: ComparedTask) -> str:
    task = one.task
    return f"{task.title}: n = {task.n:,}, d = {task.d:,}, K = {task.K:,} (repetitions: {one.n_reps})"


def _seconds_form(seconds: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:.3g}" for value in seconds)
