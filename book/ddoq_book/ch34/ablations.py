"""What a choice of Algorithm 4 changes: one knob at a time, everything else as in the long run of Table 1.

In: rows of `ddoq record ablations`. Out: paired differences for each knob, and a table of them; and the question
whether a distilled set that is nearer to the data in W_2 trains a better student.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import rankdata

from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..forest import ForestRow
from ..paired import TOLD, PairedDifference, paired_difference
from ..recorded import rows_of
from ..studies.one_knob import ABLATED_AT, ABLATIONS, Ablation
from ..style import CYCLE, figure_style, subplots

IPC, LABELS = ABLATED_AT
OF_IMAGES = ("weights", "strength", "sampler", "quantizer")  # ablations that leave the training of students as it is
N_DRAWS = 2000  # of the bootstrap


def recorded_settings(name: str, dataset: str = "mnist5k") -> dict[int, list[dict]]:
    """Rows of every setting of a knob that has been recorded, by its place."""
    found = {n: rows_of("ablations", f"{dataset}-{name}-{n}.jsonl") for n in range(len(ABLATIONS[name].settings))}
    return {n: rows for n, rows in found.items() if rows}


@dataclass(frozen=True)
class AblationRow:
    """One method under one setting of a knob."""

    method: str
    setting: str
    accuracy: Estimate
    against_first: PairedDifference | None  # None: it is the first setting
    gain_of_weights: Estimate | None  # DDOQ minus D4M within the setting; None where it is not DDOQ, or D4M is missing
    effective: float  # share of K that the counts are worth as equal ones; mean over classes and distillations
    w2_uniform: float  # distance to the data with equal weights, likewise
    w2: float  # the same with v / sum v


@dataclass(frozen=True)
class AblationResult:
    """What one knob changes; no rows where nothing was recorded."""

    ablation: Ablation
    rows: tuple[AblationRow, ...]
    n_test: int = 0

    @property
    def n_runs(self) -> int:
        """The fewest students behind a mean."""
        return min(row.accuracy.n_runs for row in self.rows)


def ablation_result(name: str, rows: dict[int, list[dict]]) -> AblationResult:
    """Accuracy under every setting of a knob, its paired difference to the first, and DDOQ minus D4M within it.

    Args:
        rows: of each setting, by its place in the ablation.
    """
    ablation = ABLATIONS[name]
    if 0 not in rows:
        return AblationResult(ablation, ())
    joint = _joint(rows)
    found = (_row(joint, ablation, method, number) for method in ablation.methods for number in sorted(rows))
    return AblationResult(ablation, tuple(row for row in found if row), joint.n_test)


def _joint(rows: dict[int, list[dict]]) -> Records:
    """All settings in one set of records, told apart by their numbers, so that their differences are paired."""
    return Records.of(row | {"method": f"{row['method']} {number}"} for number in sorted(rows) for row in rows[number])


def _row(joint: Records, ablation: Ablation, method: str, number: int) -> AblationRow | None:
    """None if the method was not recorded under this setting."""
    cell = _cell(joint, method, number)
    if cell not in joint.cells:
        return None
    against = paired_difference(joint, cell, _cell(joint, method, 0)) if number else None
    d4m, gain = _cell(joint, "d4m", number), None
    if method == "ddoq" and "d4m" in ablation.methods and d4m in joint.cells:
        gain = joint.difference(cell, d4m)
    of_cell = [joint.rows[i] for i in joint.cells[cell]]
    means = {k: float(np.mean([row[k] for row in of_cell])) for k in ("effective", "w2_uniform", "w2")}
    return AblationRow(method, list(ablation.settings)[number], joint.accuracy(cell), against, gain, **means)


def _cell(joint: Records, method: str, number: int) -> Cell:
    return Cell(f"{method} {number}", IPC, joint.students[0], LABELS)


def ablation_table(found: AblationResult) -> Table:
    """One knob: a block for each method, a row for each setting."""
    columns = (
        "Method", "Setting", Column("Top-1, %", ".1f"), Column("Minus the first", _with_verdict),
        Column("DDOQ − D⁴M", "+.1f"), Column("K effective / K", ".2f"), Column("W₂, uniform", ".2f"),
        Column("W₂, v/Σv", ".2f"),
    )  # fmt: skip
    note = "Not recorded yet: `ddoq record ablations`."
    if found.rows:
        note = f"n = {found.n_runs} students each, {found.n_test:,} test images."
    rows = [
        (
            METHODS[row.method].title,
            row.setting,
            row.accuracy,
            row.against_first or "",
            row.gain_of_weights or "",
            row.effective,
            row.w2_uniform,
            row.w2,
        )
        for row in found.rows
    ]
    return Table.of_groups(found.ablation.title, columns, rows, (note,))


def ablation_rows(found: list[AblationResult]) -> list[ForestRow]:
    """Every setting of every knob minus its first, as rows of a forest plot; a knob without records has one line."""
    rows = []
    for one in found:
        first, *others = one.ablation.settings
        group = f"{one.ablation.title.partition(',')[0]}, minus {first}"
        against = [row for row in one.rows if row.against_first]
        rows += [
            ForestRow(group, f"{METHODS[row.method].title}: {row.setting}", row.against_first.difference)
            for row in against
        ] or [ForestRow(group, ", ".join(others), None)]
    return rows


def _with_verdict(against: PairedDifference) -> str:
    return f"{against.difference:+.1f}, {against.verdict}"


@dataclass(frozen=True)
class AblationPower:
    """What all ablations together could find, and what there was to find."""

    n: int  # differences to the first settings
    n_told: int
    detectable: float  # median of the smallest differences found with a power of 80 %, in points
    headroom: float  # points from the first setting of the weights to all real images
    rising: tuple[tuple[str, AblationRow], ...]  # knob and row whose pictures are farther from the data with weights


def ablation_power(found: list[AblationResult], full: float) -> AblationPower:
    """The power of the ablations.

    Args:
        full: accuracy with all real images, percent.
    """
    rows = [row for one in found for row in one.rows]
    against = [row.against_first for row in rows if row.against_first]
    detectable = float(np.median([d.difference.detectable for d in against]))
    headroom = full - found[0].rows[0].accuracy.mean
    of_knobs = ((one.ablation.title, row) for one in found for row in one.rows if row.method == "ddoq")
    rising = tuple((title, row) for title, row in of_knobs if row.w2 > row.w2_uniform)
    return AblationPower(len(against), sum(d.verdict in TOLD for d in against), detectable, headroom, rising)


def ablation_power_texts(found: AblationPower) -> dict[str, str]:
    """The power of the ablations as the prose has it."""
    rising = [f"{title.lower()}: {row.setting} ({row.w2_uniform:.2f} to {row.w2:.2f})" for title, row in found.rising]
    return {
        "ablation_n": f"{found.n}",
        "ablation_chance": f"{(1 - LEVEL) * found.n:.1f}",
        "ablation_told": f"{found.n_told}",
        "ablation_detectable": f"{found.detectable:.1f}",
        "ablation_headroom": f"{found.headroom:.1f}",
        "rising": "; ".join(rising) or "no setting",
    }


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation with its 95 % interval; written as `rho [low, high]` by any format of a number."""

    rho: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        return f"{self.rho:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class SetsByDistance:
    """Distilled sets as points: distance to the data and accuracy of the students, per class; row i is one weighting
    of one set of images."""

    names: list[str]
    images: list[tuple]  # which set of images: weightings of the same images are one cluster
    w2: Float[ndarray, "points classes"]  # by the weights that the students were trained with
    accuracy: Float[ndarray, "points classes"]  # percent, mean over the students of a point

    @property
    def correlation(self) -> RankCorrelation:
        """Of distance and accuracy, as means over classes; the interval is a bootstrap over sets of images."""
        return _correlation(self.w2.mean(1, keepdims=True), self.accuracy.mean(1, keepdims=True), self.images)

    @property
    def correlation_within_classes(self) -> RankCorrelation:
        """The same of all points and classes, each class centred at its mean over the points."""
        return _correlation(self.w2 - self.w2.mean(0), self.accuracy - self.accuracy.mean(0), self.images)


def sets_by_distance(rows: list[dict], labels: ndarray, ipc: int, kind: str = LABELS) -> SetsByDistance:
    """Distilled sets of the rows at one level: a point for every set of images and weighting whose distance is known.

    Args:
        rows: of students that differ in their images and weights alone.
        labels: classes of the test images, in their order.
    Raises:
        InputError: fewer than three sets.
    """
    points: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if row["ipc"] == ipc and row["labels"] == kind and _distance(row) is not None:
            images, weights = tuple(row["w2_uniform"]), str(row["weights"])  # equal images have equal distances
            points.setdefault((images, weights), {})[row["key"]] = row  # a student that two rows share counts once
    if len(points) < 3:
        raise InputError(f"a correlation of {len(points)} distilled sets says nothing; record more of them first")
    names, distances, accuracies = [], [], []
    for some in points.values():
        first, *_ = some.values()
        names.append(first["method"])
        distances.append(_distance(first))
        hits = Records.of(some.values()).hits.mean(0)
        accuracies.append([100 * hits[labels == c].mean() for c in np.unique(labels)])
    return SetsByDistance(names, [images for images, _ in points], np.array(distances), np.array(accuracies))


def _distance(row: dict) -> list[float] | None:
    """W_2 with the weights of the row's student, class by class; None where it was not recorded."""
    known = {"uniform": "w2_uniform", "0.0": "w2_uniform", "proportional": "w2", "1.0": "w2"}
    return row.get("w2_used", row.get(known.get(str(row["weights"]))))


def _correlation(x: ndarray, y: ndarray, images: list[tuple]) -> RankCorrelation:
    """Spearman's rank correlation of all entries; the interval resamples sets of images, with all their weightings."""
    clusters = [np.flatnonzero([i == one for i in images]) for one in dict.fromkeys(images)]
    rng = numpy_rng(0, "correlation", len(clusters))

    def rho(rows: ndarray) -> float:
        return float(np.corrcoef(rankdata(x[rows].ravel()), rankdata(y[rows].ravel()))[0, 1])

    drawn = (rng.integers(len(clusters), size=len(clusters)) for _ in range(N_DRAWS))
    draws = [rho(np.concatenate([clusters[c] for c in draw])) for draw in drawn]
    return RankCorrelation(rho(np.arange(len(x))), *map(float, np.nanquantile(draws, [0.025, 0.975])))


@figure_style()
def distance_figure(found: SetsByDistance) -> Figure:
    """Accuracy against W_2, a point for each set and weighting, means over classes; a colour for each method."""
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


@dataclass(frozen=True)
class Shrinkage:
    """By how many percent the weights v / sum v lower W_2 against uniform ones, mean over sets."""

    percent: float
    n_sets: int


def shrinkage(rows: list[dict], method: str = "ddoq") -> Shrinkage:
    """What the weights of a method do to the distance, over its sets of more than one image per class."""
    sets = {
        (r["settings"], r["ipc"], r["distill_seed"]): r for r in rows if r["method"] == method and (r["ipc"] or 0) > 1
    }
    falls = [100 * (1 - np.mean(r["w2"]) / np.mean(r["w2_uniform"])) for r in sets.values()]
    return Shrinkage(float(np.mean(falls)), len(falls))


def distance_texts(by_labels: dict[str, SetsByDistance], fall: Shrinkage) -> dict[str, str]:
    """The correlations and the fall of the distance, as the prose has them."""
    texts = {"fall": f"{fall.percent:.1f}", "n_fall": f"{fall.n_sets}"}
    for labels, found in by_labels.items():
        texts[f"rho_{labels}"] = written(found.correlation, ".2f")
        texts[f"rho_{labels}_within"] = written(found.correlation_within_classes, ".2f")
        texts[f"n_points_{labels}"] = f"{len(found.names)}"
        texts[f"n_sets_{labels}"] = f"{len({*found.images})}"
    return texts
