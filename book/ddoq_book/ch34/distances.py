"""Does a distilled set that is nearer to the data in W_2 train a better student?

In: rows of `ddoq record ablations`. Out: rank correlations with intervals, a figure, and the effect of weights on W_2.
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
from ddoq_core.results.records import Records
from ddoq_core.results.table import written

from ..studies.one_knob import ABLATED_AT
from ..style import CYCLE, figure_style, subplots

LABELS = ABLATED_AT[1]
N_DRAWS = 2000  # draws of the bootstrap


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation with its 95 % interval; any number format writes it as `rho [low, high]`."""

    rho: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        return f"{self.rho:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class SetsByDistance:
    """Distilled sets as points: distance to the data and accuracy of students per class; row i is one weighting of one
    set of images."""

    names: list[str]
    images: list[tuple]  # identity of the set of images: weightings of the same images are one cluster
    w2: Float[ndarray, "points classes"]  # with the weights used to train the students
    accuracy: Float[ndarray, "points classes"]  # percent, mean over the students of a point

    @property
    def correlation(self) -> RankCorrelation:
        """Correlation of distance and accuracy as means over classes; the interval is a bootstrap over image sets."""
        return _correlation(self.w2.mean(1, keepdims=True), self.accuracy.mean(1, keepdims=True), self.images)

    @property
    def correlation_within_classes(self) -> RankCorrelation:
        """The same over all points and classes, with each class centred at its mean over the points."""
        return _correlation(self.w2 - self.w2.mean(0), self.accuracy - self.accuracy.mean(0), self.images)


def sets_by_distance(rows: list[dict], labels: ndarray, ipc: int, kind: str = LABELS) -> SetsByDistance:
    """Distilled sets of the rows at one level: a point for every set of images and weighting with a known distance.

    Args:
        rows: rows of students that differ only in their images and weights.
        labels: classes of the test images, in their order.
    Raises:
        InputError: there are fewer than three sets.
    """
    points: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if row["ipc"] == ipc and row["labels"] == kind and _distance(row) is not None:
            images, weights = tuple(row["w2_uniform"]), str(row["weights"])  # equal images have equal distances
            points.setdefault((images, weights), {})[row["key"]] = row  # a student in two rows counts once
    if len(points) < 3:
        raise InputError(f"{len(points)} distilled sets, but a correlation needs at least 3; record more of them first")
    names, distances, accuracies = [], [], []
    for some in points.values():
        first, *_ = some.values()
        names.append(first["method"])
        distances.append(_distance(first))
        hits = Records.of(some.values()).hits.mean(0)
        accuracies.append([100 * hits[labels == c].mean() for c in np.unique(labels)])
    return SetsByDistance(names, [images for images, _ in points], np.array(distances), np.array(accuracies))


def _distance(row: dict) -> list[float] | None:
    """W_2 with the weights of the row's student, class by class; None if it was not recorded."""
    known = {"uniform": "w2_uniform", "0.0": "w2_uniform", "proportional": "w2", "1.0": "w2"}
    return row.get("w2_used", row.get(known.get(str(row["weights"]))))


def _correlation(x: ndarray, y: ndarray, images: list[tuple]) -> RankCorrelation:
    """Spearman's rank correlation of all entries; the bootstrap resamples sets of images with all their weightings."""
    clusters = [np.flatnonzero([i == one for i in images]) for one in dict.fromkeys(images)]
    rng = numpy_rng(0, "correlation", len(clusters))

    def rho(rows: ndarray) -> float:
        return float(np.corrcoef(rankdata(x[rows].ravel()), rankdata(y[rows].ravel()))[0, 1])

    drawn = (rng.integers(len(clusters), size=len(clusters)) for _ in range(N_DRAWS))
    draws = [rho(np.concatenate([clusters[c] for c in draw])) for draw in drawn]
    return RankCorrelation(rho(np.arange(len(x))), *map(float, np.nanquantile(draws, [0.025, 0.975])))


@figure_style()
def distance_figure(found: SetsByDistance) -> Figure:
    """Accuracy against W_2, means over classes: a point for each set and weighting, coloured by method."""
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
    """Percentage by which the weights v / sum v lower W_2 against uniform weights, mean over sets."""

    percent: float
    n_sets: int


def shrinkage(rows: list[dict], method: str = "ddoq") -> Shrinkage:
    """The effect of a method's weights on the distance, over its sets of more than one image per class."""
    sets = {
        (r["settings"], r["ipc"], r["distill_seed"]): r for r in rows if r["method"] == method and (r["ipc"] or 0) > 1
    }
    falls = [100 * (1 - np.mean(r["w2"]) / np.mean(r["w2_uniform"])) for r in sets.values()]
    return Shrinkage(float(np.mean(falls)), len(falls))


def distance_texts(by_labels: dict[str, SetsByDistance], fall: Shrinkage) -> dict[str, str]:
    """The correlations and the fall of the distance, as texts for the prose."""
    texts = {"fall": f"{fall.percent:.1f}", "n_fall": f"{fall.n_sets}"}
    for labels, found in by_labels.items():
        texts[f"rho_{labels}"] = written(found.correlation, ".2f")
        texts[f"rho_{labels}_within"] = written(found.correlation_within_classes, ".2f")
        texts[f"n_points_{labels}"] = f"{len(found.names)}"
        texts[f"n_sets_{labels}"] = f"{len({*found.images})}"
    return texts
