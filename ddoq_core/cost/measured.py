"""Seconds of a finished run by step, from its own `run.json` files: the paper's Table 2 for any profile.

In: a finished run. Out: a table of what each step took, beside what its operations told.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..pipeline.run import Run
from ..results.intervals import half_width
from ..results.table import NOTHING, Table
from .model import Cost, costs
from .sizes import Device, Images
from .tables import STEPS, amount, duration, names

LEAST = 1e-3  # seconds that a run.json resolves


@dataclass(frozen=True)
class Timing:
    """Seconds of the artifacts of one kind, from their `run.json`."""

    step: str
    network: str
    ipc: int | None
    seconds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of one artifact."""
        return sum(self.seconds) / len(self.seconds)


def rows(run: Run) -> list[dict]:
    """Rows of a finished run's results.jsonl, as it was left.

    Raises:
        InputError: the run is not finished.
    """
    path = run.folder / "results.jsonl"
    if not path.is_file():
        raise InputError(
            f"the run of profile {run.profile.profile} is not finished in {run.store.root}; "
            f"run `ddoq run --profile {run.profile.profile}` with the same parameters first"
        )
    return [json.loads(line) for line in path.read_text().splitlines()]


def finished(run: Run) -> list[dict]:
    """The same, the run being finished first where it is not."""
    try:
        return rows(run)
    except InputError:
        return run.results()


def timings(run: Run) -> list[Timing]:
    """Seconds of every artifact that a finished run's students were made from, themselves included.

    They are found backwards from results.jsonl, by the keys in the manifests; nothing is made. An artifact that was
    interrupted holds the seconds since it was taken up again.

    Raises:
        InputError: the run is not finished.
    """
    waiting = [row["key"] for row in rows(run) if row["labels"] != "own"]
    folders = {p.parent.name[-16:]: p.parent for p in run.store.root.glob("*/*/run.json")}
    found: dict[tuple, list[float]] = {}
    seen = set()
    while waiting:
        key = waiting.pop()
        if key in seen or key not in folders:  # a data set, or a prior of the user's own
            continue
        seen.add(key)
        manifest = json.loads((folders[key] / "manifest.json").read_text())
        kind = manifest["step"], _network(manifest), _ipc(manifest, folders)
        found.setdefault(kind, []).append(json.loads((folders[key] / "run.json").read_text())["seconds"])
        waiting += manifest["inputs"]
    return [Timing(*kind, tuple(seconds)) for kind, seconds in found.items()]


def _network(manifest: dict) -> str:
    """As `Cost.network` says it."""
    made = manifest["parameters"]
    return f"{made['student']}, {made['target']} labels" if manifest["step"] == "train" else made.get("network", "")


def _ipc(manifest: dict, folders: dict[str, Path]) -> int | None:
    """IPC of an artifact, or of the distilled set that it is made from; None if there is neither."""
    if "ipc" in manifest["parameters"] or manifest["step"] not in ("relabel", "train"):
        return manifest["parameters"].get("ipc")
    return _ipc(json.loads((folders[manifest["inputs"][0]] / "manifest.json").read_text()), folders)


def pairs(run: Run) -> list[tuple[Cost, Timing]]:
    """What each kind of artifact was told to cost, and the seconds that it took."""
    data = run.dataset
    images = Images(len(data.train), data.n_classes, data.channels, 0, False)
    found = {(t.step, t.network, t.ipc): t for t in timings(run)}
    both = [(cost, found.get((cost.step, cost.network, cost.ipc))) for cost in costs(run.profile, images)]
    return [(cost, timing) for cost, timing in both if timing is not None]


def measured_table(run: Run, device: Device) -> Table:
    """The paper's Table 2 for any finished run: seconds by step, as they were measured and as they were told."""
    found = pairs(run)
    rows = {title: [_row(c, t, device) for c, t in found if c.step in steps] for title, steps in STEPS.items()}
    n, total = sum(len(t.seconds) for _, t in found), duration(sum(sum(t.seconds) for _, t in found))
    return Table(
        f"Table 2 for profile {run.profile.profile}: the seconds of each step in its own run.json",
        ("Step", "What", "IPC", "n", "Measured", "Told", "Speed"),
        (
            *((title, tuple(lines)) for title, lines in rows.items() if lines),
            ("All", (("", "", str(n), total, "", ""),)),
        ),
        (
            "n: artifacts of the kind. Measured: their mean ± its 95 % interval; of two, both. “All” adds up every "
            f"artifact; {run.profile.workers} students were trained side by side.",
            f"Told: operations alone, on {device}.",
        ),
    )


def measured(run: Run) -> dict[str, str]:
    """What the prose says of seconds, as glue texts: shares in percent, speeds in GFLOP/s at the largest IPC."""
    found = pairs(run)
    seconds = {c.step: sum(sum(t.seconds) for other, t in found if other.step == c.step) for c, _ in found}
    whole = sum(seconds.values())
    steps = dict.fromkeys(step for steps in STEPS.values() for step in steps)
    return {
        "measured_time": duration(whole),
        "measured_n": str(sum(len(t.seconds) for _, t in found)),
        "measured_students_share": f"{100 * seconds.get('train', 0) / whole:.0f}",
        "measured_prior_share": f"{100 * seconds.get('prior', 0) / whole:.0f}",
    } | {f"speed_{step}": _speed([pair for pair in found if pair[0].step == step]) for step in steps}


def _speed(found: list[tuple[Cost, Timing]]) -> str:
    """GFLOP/s of the kind with most operations: the mean over its artifacts, its 95 % interval, and n."""
    if not found or not (largest := max(found, key=lambda pair: pair[0].flops))[0].flops:
        return NOTHING
    cost, timing = largest
    speeds = np.array([cost.flops / max(s, LEAST) / 1e9 for s in timing.seconds])
    half = f" ± {half_width(speeds):.2g}" if len(speeds) > 2 else ""
    return f"{speeds.mean():.3g}{half} (n = {len(speeds)})"


def _row(cost: Cost, timing: Timing, device: Device) -> tuple[str, ...]:
    n, mean = len(timing.seconds), duration(timing.mean)
    if n == 2:
        mean = " and ".join(map(duration, sorted(timing.seconds)))
    elif n > 2:
        mean += f" ± {duration(float(half_width(np.array(timing.seconds))))}"
    if not cost.flops:
        return (*names(cost), str(n), mean, NOTHING, NOTHING)
    speed = amount(cost.flops / max(timing.mean, LEAST), "FLOP/s")
    return (*names(cost), str(n), mean, duration(device.seconds(cost.flops)), speed)
