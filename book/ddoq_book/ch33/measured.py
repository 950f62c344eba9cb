"""Seconds of a finished run by step, from its own `run.json` files: the paper's Table 2 for any profile.

In: a finished run. Out: the seconds of each of its artifacts, their estimates from operations, and a table of both.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddoq_core.config.profile import Profile
from ddoq_core.cost.model import costs
from ddoq_core.cost.sizes import Device, Images
from ddoq_core.cost.tables import amount, duration, names
from ddoq_core.methods import METHODS
from ddoq_core.methods.account import STAGES, Cost
from ddoq_core.methods.method import OWN
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import As, Column, Table
from ddoq_core.runs.run import Run

SHORTEST = 1e-3  # resolution of a run.json in seconds


@dataclass(frozen=True)
class Timing:
    """Seconds of the artifacts of one kind, from their `run.json`."""

    step: str
    network: str
    ipc: int | None
    seconds: tuple[float, ...]

    @property
    def n(self) -> int:
        """Number of artifacts."""
        return len(self.seconds)

    @property
    def total(self) -> float:
        """Seconds of all artifacts together."""
        return sum(self.seconds)

    @property
    def mean(self) -> Mean:
        """Seconds of one artifact."""
        return Mean.of(np.array(self.seconds))


def timings(run: Run) -> list[Timing]:
    """Seconds of a finished run's students, and of every artifact that they depend on.

    They are found backwards from results.jsonl by the keys in each run.json; nothing is made. The seconds of an
    interrupted artifact are those since it resumed. An artifact that a method makes only for its weights is not found,
    because a student's key contains the values of the weights.

    Raises:
        InputError: the run is not finished.
    """
    rows = {row["key"]: row for row in run.finished_rows()}
    waiting = list(rows)
    folders = {p.parent.name[-16:]: p.parent for p in run.store.root.glob("*/*/run.json")}
    found: dict[tuple, list[float]] = {}
    seen = set()
    while waiting:
        key = waiting.pop()
        if key in seen or key not in folders:  # a data set, or a prior of the user
            continue
        seen.add(key)
        manifest, made = (json.loads((folders[key] / name).read_text()) for name in ("manifest.json", "run.json"))
        kind = manifest["step"], _network(manifest, rows.get(key)), _ipc(folders[key], folders)
        found.setdefault(kind, []).append(made["seconds"])
        waiting += made["inputs"]
    return [Timing(*kind, tuple(seconds)) for kind, seconds in found.items()]


def _network(manifest: dict, row: dict | None) -> str:
    """The network, named as in `Cost.network`; students have a row."""
    if manifest["step"] != "train":
        return manifest["parameters"].get("network", "")
    training = f"{row['labels']} labels" if row["labels"] != OWN else f"{METHODS[row['method']].title}, own protocol"
    return f"{row['student']}, {training}"


def _ipc(folder: Path, folders: dict[str, Path]) -> int | None:
    """IPC of an artifact, or of its distilled set; None if there is neither."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if "ipc" in manifest["parameters"] or manifest["step"] not in ("relabel", "train"):
        return manifest["parameters"].get("ipc")
    return _ipc(folders[json.loads((folder / "run.json").read_text())["inputs"][0]], folders)


@dataclass(frozen=True)
class MeasuredCost:
    """The estimated cost of one kind of artifact, and its measured seconds."""

    cost: Cost
    timing: Timing

    @property
    def speed(self) -> float | None:
        """Operations per second, from the mean of the seconds; None if there are no operations."""
        return self.cost.flops / max(self.timing.mean.value, SHORTEST) if self.cost.flops else None

    @property
    def mean_speed(self) -> Mean | None:
        """Mean over artifacts of their operations per second."""
        seconds = np.maximum(self.timing.seconds, SHORTEST)
        return Mean.of(self.cost.flops / seconds) if self.cost.flops else None


@dataclass(frozen=True)
class MeasuredRun:
    """The seconds of a finished run, by kind of artifact."""

    profile: Profile
    parts: tuple[MeasuredCost, ...]

    @property
    def n(self) -> int:
        """Number of artifacts."""
        return sum(part.timing.n for part in self.parts)

    def seconds(self, *steps: str) -> float:
        """Seconds of all artifacts, or of those of some steps."""
        return sum(part.timing.total for part in self.parts if not steps or part.cost.step in steps)

    @property
    def by_clock(self) -> float:
        """Wall time in seconds of all artifacts; students are trained in parallel."""
        students = self.seconds("train")
        return self.seconds() - students + students / self.profile.workers

    def told(self, device: Device) -> float:
        """Estimated seconds of the same artifacts on a device."""
        return sum(p.timing.n * device.seconds_of_artifact(p.cost.flops, p.cost.step) for p in self.parts)


def measured_run(run: Run) -> MeasuredRun:
    """The estimated cost and the measured seconds of each kind of artifact.

    Raises:
        InputError: the run is not finished.
    """
    data = run.dataset
    images = Images(len(data.train), data.n_classes, data.channels, 0, False)
    found = {(t.step, t.network, t.ipc): t for t in timings(run)}
    both = ((cost, found.get((cost.step, cost.network, cost.ipc))) for cost in costs(run.profile, images))
    return MeasuredRun(run.profile, tuple(MeasuredCost(cost, timing) for cost, timing in both if timing is not None))


def measured_table_of(profile: Profile, device: Device) -> Table:
    """The output of `ddoq cost --measured`: `measured_table` of the finished run of a profile.

    Raises:
        InputError: the run is not finished.
    """
    return measured_table(measured_run(Run(profile)), device)


def measured_table(found: MeasuredRun, device: Device) -> Table:
    """The paper's Table 2 for any finished run: measured and estimated seconds by step."""
    rows = [
        (
            stage, *names(part.cost), part.timing.n, part.timing,
            device.seconds_of_artifact(part.cost.flops, part.cost.step) if part.cost.flops else None, part.speed,
        )
        for stage in STAGES for part in found.parts if part.cost.stage == stage
    ]  # fmt: skip
    return Table.of_groups(
        f"Table 2 for profile {found.profile.profile}: the seconds of each step in its own run.json",
        ("Step", "What", "IPC", "n", Column("Measured", seconds_form), Column("Estimated", duration),
         Column("Speed", lambda speed: amount(speed, "FLOP/s"))),
        [*rows, ("All", "", "", found.n, As(found.seconds(), duration), found.told(device), "")],
        (
            "n: artifacts of the kind. Measured: mean ± its 95 % interval, or both values of two artifacts. “All” is "
            f"the sum over artifacts; {found.profile.workers} students were trained in parallel, so the wall time is "
            f"{duration(found.by_clock)}.",
            f"Estimated for {device}.",
        ),
    )  # fmt: skip


def seconds_form(timing: Timing) -> str:
    """Seconds of one artifact, both values for two artifacts, and the mean with its interval for more."""
    if timing.n == 2:
        return " and ".join(map(duration, sorted(timing.seconds)))
    mean = duration(timing.mean.value)
    return mean if timing.n == 1 else f"{mean} ± {duration(timing.mean.half)}"
