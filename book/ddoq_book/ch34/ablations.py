"""What a choice of Algorithm 4 changes: one knob at a time, everything else as in the long run of Table 1.

In: rows of `ddoq record ablations`. Out: a table per knob with paired differences, and the question whether a distilled
set that is nearer to the data in W_2 trains a better student.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import rankdata

from ddoq_core.errors import InputError
from ddoq_core.keys import numpy_rng
from ddoq_core.methods import METHODS
from ddoq_core.results.records import N_DRAWS, Cell, Records, verdict
from ddoq_core.results.studies import ABLATED_AT, ABLATIONS
from ddoq_core.results.table import Table

from ..ch31.table1 import signed
from ..recorded import rows_of
from ..style import CYCLE, figure_style, subplots

IPC, LABELS = ABLATED_AT
COLUMNS = (
    "Method", "Setting", "Top-1, %", "Minus the first", "DDOQ − D⁴M", "K effective / K", "W₂, uniform", "W₂, v/Σv",
)  # fmt: skip


def recorded(name: str, dataset: str = "mnist5k") -> dict[int, list[dict]]:
    """Rows of every setting of a knob that has been recorded, by its place."""
    found = {n: rows_of("ablations", f"{dataset}-{name}-{n}.jsonl") for n in range(len(ABLATIONS[name].settings))}
    return {n: rows for n, rows in found.items() if rows}


def table(name: str, rows: dict[int, list[dict]]) -> Table:
    """Accuracy under every setting of a knob, its paired difference to the first, and DDOQ minus D4M within it.

    Args:
        rows: of each setting, by its place in the ablation.
    """
    ablation = ABLATIONS[name]
    if 0 not in rows:
        return Table(ablation.title, COLUMNS, (), ("Not recorded yet: `ddoq record ablations`.",))
    settings, joint = list(ablation.settings), _joint(rows)
    blocks = []
    for method in ablation.methods:
        lines = []
        for number in sorted(rows):
            cell, first = (Cell(f"{method} {i}", IPC, _student(joint), LABELS) for i in (number, 0))
            if cell not in joint.cells:
                continue
            against = joint.difference(cell, first)
            of_cell = [joint.rows[i] for i in joint.cells[cell]]
            w2, w2_uniform, effective = (
                float(np.mean([r[k] for r in of_cell])) for k in ("w2", "w2_uniform", "effective")
            )
            lines.append(
                (
                    settings[number],
                    str(joint.accuracy(cell)),
                    "" if number == 0 else f"{signed(against)}, {verdict(against, joint.accuracy(first).mean)}",
                    _within(joint, number) if method == "ddoq" and "d4m" in ablation.methods else "",
                    f"{effective:.2f}",
                    f"{w2_uniform:.2f}",
                    f"{w2:.2f}",
                )
            )
        blocks.append((METHODS[method].title, tuple(lines)))
    n = min(joint.accuracy(cell).n_runs for cell in joint.cells)
    return Table(ablation.title, COLUMNS, tuple(blocks), (f"n = {n} students each, {joint.n_test:,} test images.",))


def _joint(rows: dict[int, list[dict]]) -> Records:
    """All settings in one set of records, told apart by their numbers, so that their differences are paired."""
    return Records.of(row | {"method": f"{row['method']} {number}"} for number in sorted(rows) for row in rows[number])


def _student(records: Records) -> str:
    return next(iter(records.cells)).student


def _within(joint: Records, number: int) -> str:
    ddoq, d4m = (Cell(f"{method} {number}", IPC, _student(joint), LABELS) for method in ("ddoq", "d4m"))
    return signed(joint.difference(ddoq, d4m)) if {ddoq, d4m} <= joint.cells.keys() else ""


@dataclass(frozen=True)
class Closeness:
    """Distilled sets as points: distance to the data and accuracy of the students, per class; row i is one set."""

    names: list[str]
    w2: ndarray  # sets x classes; by the weights that the students were trained with
    accuracy: ndarray  # sets x classes, percent, mean over the students of a set

    @property
    def correlation(self) -> tuple[float, float, float]:
        """Spearman's rank correlation of the sets' means over classes, with its 95 % interval (bootstrap over sets)."""
        return _correlation(self.w2.mean(1, keepdims=True), self.accuracy.mean(1, keepdims=True))

    @property
    def correlation_within_classes(self) -> tuple[float, float, float]:
        """The same of all sets and classes, each class centred at its mean over the sets."""
        return _correlation(self.w2 - self.w2.mean(0), self.accuracy - self.accuracy.mean(0))


def closeness(rows: list[dict], labels: ndarray, ipc: int, kind: str = LABELS) -> Closeness:
    """Distilled sets of the rows at one level, each once for each way that it is weighted.

    Args:
        labels: classes of the test images, in their order.
    Raises:
        InputError: fewer than three sets.
    """
    sets: dict[tuple, list[dict]] = {}
    for row in rows:
        if row["ipc"] == ipc and row["labels"] == kind:
            sets.setdefault((row["method"], row["settings"], row["distill_seed"], str(row["weights"])), []).append(row)
    if len(sets) < 3:
        raise InputError(f"a correlation of {len(sets)} distilled sets says nothing; record more of them first")
    distances, accuracies = [], []
    for (*_, weights), some in sets.items():
        distances.append(some[0]["w2_uniform" if weights in ("uniform", "0.0") else "w2"])
        hits = Records.of(some).hits.mean(0)
        accuracies.append([100 * hits[labels == c].mean() for c in np.unique(labels)])
    return Closeness([key[0] for key in sets], np.array(distances), np.array(accuracies))


def _correlation(x: ndarray, y: ndarray) -> tuple[float, float, float]:
    """Spearman's rank correlation of all entries; the interval resamples rows."""
    rng = numpy_rng(0, "correlation", len(x))

    def rho(rows: ndarray) -> float:
        return float(np.corrcoef(rankdata(x[rows].ravel()), rankdata(y[rows].ravel()))[0, 1])

    draws = np.array([rho(rng.integers(len(x), size=len(x))) for _ in range(N_DRAWS)])
    return rho(np.arange(len(x))), *(float(q) for q in np.nanquantile(draws, [0.025, 0.975]))


@figure_style()
def closeness_figure(found: Closeness) -> Figure:
    """Accuracy against W_2, a point for each distilled set, means over classes; a colour for each method."""
    figure, ax = subplots()
    x, y = found.w2.mean(1), found.accuracy.mean(1)
    methods = list(dict.fromkeys(found.names))
    for number, method in enumerate(methods):
        at = np.array([name == method for name in found.names])
        colour, marker = CYCLE[number % len(CYCLE)], "osD^vPX*<>"[number % 10]
        ax.plot(x[at], y[at], marker, color=colour, markersize=5, label=METHODS[method].title)
    ax.set(xlabel="$W_2$ of the distilled latents to the training latents, mean over classes", ylabel="top-1, %")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def shrinkage(rows: list[dict], method: str = "ddoq") -> tuple[float, int]:
    """By how many percent the weights v / sum v lower W_2 against uniform ones, mean over sets; and how many sets."""
    sets = {
        (r["settings"], r["ipc"], r["distill_seed"]): r for r in rows if r["method"] == method and (r["ipc"] or 0) > 1
    }
    falls = [100 * (1 - np.mean(r["w2"]) / np.mean(r["w2_uniform"])) for r in sets.values()]
    return float(np.mean(falls)), len(falls)
