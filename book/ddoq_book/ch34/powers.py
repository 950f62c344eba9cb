"""The power of the masses that is best for students, and the power that the training data predict.

In: rows and predictions of `ddoq record exponents`, `exponents_controlled` and `exponents_photographs`. Rows with equal
weights, eq. 33 and proportional weights are from the studies `weights`, `controlled` and `photographs`, with the same
images and first weights. Out: the declared comparisons as numbers, a table, a figure and texts. The unit is the
distillation, with one student each.
"""

import functools
import itertools
import json
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.config.profile import Profile
from ddoq_core.results.ledger import read
from ddoq_core.results.records import LEVEL, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..paired import verdict
from ..recorded import RESULTS
from ..studies.exponents import ESTIMATORS, GRID, NETWORK, SETTINGS, predictions_file, realised_file
from ..studies.photographs import NAME as PHOTOGRAPHS
from ..studies.photographs import PHOTOGRAPH_BLOCKS
from ..studies.unequal_masses import UNEQUAL, fresh_students
from ..style import CYCLE, INK, MUTED, WIDTH, figure_style, subplots
from .controlled import image_masses

FOLDER = "exponents"  # of book/results
EQ33 = "eq. 33"
OTHERS = {"power-0": "d4m", EQ33: "ddoq", "power-1": "ddoq_proportional"}  # rows of the other studies


@dataclass(frozen=True)
class Problem:
    """One codebook, or several with averaged students."""

    title: str
    ipc: int
    parts: tuple[str, ...]  # prefixes of its files
    others: tuple[str, ...]  # file of the other study for each part
    exponents: tuple[float | None, ...]  # exponent of the test images' masses; None: equal masses


FIRST = PHOTOGRAPH_BLOCKS[0]
WEIGHTS = "weights/{}-one-pass-decoded-B-ipc010.jsonl"
PROBLEMS = (
    *(
        Problem(title, 10, (dataset,), (WEIGHTS.format(dataset),), (None,))
        for title, dataset in {"digits": "mnist5k", "Fashion-MNIST": "fashion_mnist"}.items()
    ),
    Problem(
        "controlled study",
        5,
        tuple(f"mnist5k-s{s:g}" for s in UNEQUAL),
        tuple(f"controlled/mnist5k-ipc005-soft-s{s:g}.jsonl" for s in UNEQUAL),
        UNEQUAL,
    ),
    Problem("photographs", 10, (PHOTOGRAPHS,), (f"{PHOTOGRAPHS}/{PHOTOGRAPHS}-{FIRST.name}.jsonl",), (None,)),
)
PRIMARY = PROBLEMS[:3]  # photographs were declared after these


@dataclass(frozen=True)
class PowerComparison:
    """Students of one weighting minus those of another, in points."""

    problem: Problem
    row: str  # a key of `OTHERS` or of the study's settings
    baseline: str
    estimate: Estimate | None  # None: one of the two is not recorded
    of_each: Float[ndarray, " distillations"]  # the same, of every distillation

    @property
    def n_positive(self) -> int:
        """Number of distillations in which it is above 0."""
        return int((self.of_each > 0).sum())


@functools.cache
def grids(problem: Problem) -> dict[str, Float[ndarray, "D 1 n_test"]]:
    """Hits by distillation and image for every recorded weighting, mean over the parts of the problem."""
    masses = image_masses(Profile.load("table"), [s for s in problem.exponents if s is not None])
    found = []
    for part, other, s in zip(problem.parts, problem.others, problem.exponents, strict=True):
        files = {key: read(RESULTS / FOLDER / f"{part}-ipc{problem.ipc:03d}-{key}.jsonl") for key in SETTINGS}
        files |= {key: [r for r in read(RESULTS / other) if r["method"] == m] for key, m in OTHERS.items()}
        kept = {key: [r for r in rows if _is_first(r, problem)] for key, rows in files.items()}
        records = {key: Records.of(rows, masses.get(s)) for key, rows in kept.items() if rows}
        found.append({key: r.grid(*r.cells) for key, r in records.items()})
    everywhere = set.intersection(*map(set, found))
    return {key: np.mean([one[key] for one in found], axis=0) for key in files if key in everywhere}


def _is_first(row: dict, problem: Problem) -> bool:
    """Whether the row is the first student of its distillation with the network of the study."""
    network = NETWORK if len(problem.parts) > 1 else row["student"]
    return row["student"] == network and row["seed"] == fresh_students(row["distill_seed"])[0]


def compared_powers(problem: Problem, row: str, baseline: str, level: float = LEVEL) -> PowerComparison:
    """The difference of two weightings with the same seeds of students, paired by distillation and image."""
    found = grids(problem)
    if row not in found or baseline not in found:
        return PowerComparison(problem, row, baseline, None, np.empty(0))
    y = found[row] - found[baseline]
    return PowerComparison(
        problem, row, baseline, Estimate.of(y, len(y) * len(problem.parts), level), 100 * y.mean((1, 2))
    )


def primary_powers() -> list[PowerComparison]:
    """The three declared comparisons; their intervals hold together at 95 %."""
    level = 1 - (1 - LEVEL) / len(PRIMARY)
    return [compared_powers(problem, "images", EQ33, level) for problem in PRIMARY]


def secondary_powers() -> list[PowerComparison]:
    """Estimated exponents against eq. 33, unless primary, and against every fixed power; 95 % each."""
    found = []
    for problem in PROBLEMS:
        found += [
            compared_powers(problem, row, EQ33) for row in ESTIMATORS if row != "images" or problem not in PRIMARY
        ]
        found += [compared_powers(problem, row, f"power-{a:g}") for row in ESTIMATORS for a in GRID]
    return [one for one in found if one.estimate]


def title_of(row: str) -> str:
    """Name of a weighting in tables."""
    if row in ESTIMATORS:
        return f"estimated from {row}"
    return row.replace("power-", "power ")


def power_comparisons_table(found: list[PowerComparison], caption: str) -> Table:
    """Comparisons, with a block for each problem."""
    rows = []
    for c in found:
        e = c.estimate
        numbers = (e, f"{c.n_positive} of {len(c.of_each)}", verdict(e), e.detectable) if e else (None,) * 4
        rows.append((c.problem.title, c.problem.ipc, f"{title_of(c.row)} − {title_of(c.baseline)}", *numbers))
    columns = ("Problem", "K", "Comparison", Column("Points", "+.2f"), "Distillations above 0", "It is")
    levels = dict.fromkeys(f"{100 * c.estimate.level:.4g}" for c in found if c.estimate)
    notes = [f"Intervals of level {level} %, one student of each distillation." for level in levels]
    if any(c.estimate is None for c in found):
        notes.append("–: not recorded yet.")
    return Table.of_groups(caption, (*columns, Column("Found at 80 %", ".2f")), rows, notes)


@dataclass(frozen=True)
class Prediction:
    """The prediction of the training data on the powers, by one estimator."""

    together: Float[ndarray, " distillations"]  # the exponent of all classes together
    exponents: Float[ndarray, "distillations classes"]  # one exponent per class, used for the row's weights
    errors: Float[ndarray, " powers"]  # predicted squared error at the powers of the grid, over that at power 0

    @property
    def best(self) -> float:
        """The power of the grid with the least predicted error."""
        return GRID[int(self.errors.argmin())]


def predicted(problem: Problem, estimator: str) -> Prediction | None:
    """Predictions of a problem, means over its parts; None if they are not recorded."""
    files = [RESULTS / FOLDER / predictions_file(part, problem.ipc) for part in problem.parts]
    if not all(file.exists() for file in files):
        return None
    parts = [[row for row in json.loads(file.read_text()) if row["estimator"] == estimator] for file in files]
    of = {
        name: np.array([[row[name] for row in rows] for rows in parts]) for name in ("together", "exponent", "errors")
    }
    relative = of["errors"].mean(1) / of["errors"].mean(1)[:, :1]  # parts, powers
    return Prediction(of["together"].mean(0), np.concatenate(of["exponent"], axis=-1), relative.mean(0))


def realised(problem: Problem) -> Float[ndarray, " powers"] | None:
    """Squared error of the pictures at the powers of the grid, over that at power 0: means over distillations and
    parts; None if it is not recorded."""
    files = [RESULTS / FOLDER / realised_file(part, problem.ipc) for part in problem.parts]
    if not all(file.exists() for file in files):
        return None
    errors = np.array([json.loads(file.read_text()) for file in files]).mean(1)
    return (errors / errors[:, :1]).mean(0)


def best_power(problem: Problem) -> tuple[float, PowerComparison] | None:
    """The power of the grid with the best mean accuracy, and the comparison with the one predicted from images."""
    found, foretold = grids(problem), predicted(problem, "images")
    means = {a: found[f"power-{a:g}"].mean() for a in GRID if f"power-{a:g}" in found}
    if len(means) < len(GRID) or foretold is None:
        return None
    best = max(means, key=means.get)
    return best, compared_powers(problem, f"power-{best:g}", f"power-{foretold.best:g}")


def predictions_table() -> Table:
    """Predicted exponents and the best power found, with a row for each problem and estimator."""
    rows = []
    for problem, estimator in itertools.product(PROBLEMS, ESTIMATORS):
        p, found = predicted(problem, estimator), best_power(problem)
        if p is not None:
            low, high = np.quantile(p.exponents, [0.05, 0.95])
            spread = p.together.mean(), p.together.std(ddof=1)
            made = realised(problem)
            seen = None if made is None else GRID[int(made.argmin())]
            rows.append(
                (problem.title, estimator, *spread, f"{low:.2f} to {high:.2f}", p.best, seen, found and found[0])
            )
    columns = ("Problem", "From", Column("Exponent of all classes", ".2f"), Column("Deviation", ".2f"))
    columns += ("Of single classes, 90 %", Column("Predicted best", "g"))
    columns += (Column("Best for the pictures", "g"), Column("Best for students", "g"))
    notes = (
        "Means over 12 distillations, and their standard deviation. Predicted best, of the powers "
        f"{', '.join(f'{a:g}' for a in GRID)}: the one with the least predicted error. Best for the pictures: with the "
        "least error of those that were made. Best for students: with the highest mean accuracy.",
    )
    return Table.of_groups("Exponents that the training data predict", columns, rows, notes)


@figure_style()
def powers_figure() -> Figure:
    """Top: accuracy minus that of equal weights at every power. Bottom: the predicted error over that at power 0."""
    shown = [problem for problem in PROBLEMS if problem in PRIMARY or grids(problem)]
    figure, axes = subplots(2, len(shown), width=WIDTH, height=4.4, sharex=True, squeeze=False)
    for (upper, lower), problem in zip(axes.T, shown, strict=True):
        upper.axhline(0, color=INK, linewidth=0.8)
        line = [(a, compared_powers(problem, f"power-{a:g}", "power-0").estimate) for a in GRID[1:]]
        line = [(a, e) for a, e in line if e]
        error = [[e.mean - e.low for _, e in line], [e.high - e.mean for _, e in line]]
        x, y = [a for a, _ in line], [e.mean for _, e in line]
        upper.errorbar(x, y, yerr=error, fmt="-o", color=CYCLE[0], linewidth=1)
        for (estimator, dash), colour in zip({"images": "-", "draws": "--"}.items(), CYCLE[1:], strict=False):
            foretold = predicted(problem, estimator)
            if foretold is not None:
                lower.plot(GRID, foretold.errors, dash, marker="s", color=colour, label=f"from {estimator}")
                upper.axvline(foretold.together.mean(), color=colour, linestyle=dash, linewidth=1)
        if (made := realised(problem)) is not None:
            lower.plot(GRID, made, ":", marker="^", color=INK, label="of the pictures made")
        lower.axhline(1, color=MUTED, linewidth=0.8)
        upper.set_title(f"{problem.title}\nK = {problem.ipc}")
        lower.set(xlabel="power", xticks=GRID[::2], xticklabels=[f"{a:g}" for a in GRID[::2]])
    axes[0, 0].set_ylabel("accuracy − that of\nequal weights, points")
    axes[1, 0].set_ylabel("squared error,\nequal weights = 1")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def powers_texts() -> dict[str, str]:
    """Texts: comparisons with eq. 33, and predicted against found powers."""
    texts, missing = {}, "(not recorded yet)"
    for name, problem in zip(("digits", "fashion", "controlled", "photographs"), PROBLEMS, strict=True):
        for row in ESTIMATORS:
            e = compared_powers(problem, row, EQ33).estimate
            p = predicted(problem, row)
            texts[f"{name}_{row}"] = written(e, "+.2f") if e else missing
            texts[f"{name}_{row}_exponent"] = f"{p.together.mean():.2f}" if p is not None else missing
        found, made = best_power(problem), realised(problem)
        texts |= {f"{name}_made_best": missing, f"{name}_made_gap": missing}
        if found and made is not None:
            of_pictures = f"{GRID[int(made.argmin())]:g}"
            gap = compared_powers(problem, f"power-{found[0]:g}", f"power-{of_pictures}").estimate
            texts |= {f"{name}_made_best": of_pictures, f"{name}_made_gap": written(gap, "+.2f")}
        texts[f"{name}_best"] = f"{found[0]:g}" if found else missing
        texts[f"{name}_best_gap"] = written(found[1].estimate, "+.2f") if found else missing
    return texts
