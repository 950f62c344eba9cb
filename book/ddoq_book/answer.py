"""The findings on the weights in five lines, and when to use weights. Everything is computed from records."""

from ddoq_core.config.profile import Profile
from ddoq_core.results.records import Records
from ddoq_core.results.table import written

from .ch23.comparisons import primary_photographs
from .ch31.overview import LLOYD, ONE_PASS, main_comparisons
from .ch31.quoted import quoted_gains
from .ch31.weightings import WeightComparison, primary_weights
from .ch34.controlled import Comparison, Controlled
from .ch34.imbalance import TEST_LAWS
from .codebooks import DATASETS
from .paired import verdict
from .recorded import long_run_rows, rows_of
from .studies.unequal_masses import BLOCKS, STUDENTS

FEW, MANY = BLOCKS[0], BLOCKS[2]
NAMES = {"mnist5k": "digits", "fashion_mnist": "Fashion-MNIST", "photographs": "photographs"}
IPC = 10  # images per class in the first line
MISSING = "not recorded yet"


def answer() -> list[str]:
    """The effect of the weights in points, in five lines: on the original data, on classes with unequal parts, by
    network, against permuted weights, and where the gain ends."""
    rows, profile = rows_of("controlled"), Profile.load("table")
    training, equal = (Controlled.of(rows, profile, law) for law in TEST_LAWS)
    few, many = (training.compare("ddoq", "d4m", *block) for block in (FEW, MANY))
    small, large = (training.compare("ddoq", "d4m", *FEW, students=[name]) for name in (STUDENTS[0], STUDENTS[-1]))
    slope, permuted = training.compare("ddoq", "d4m", *FEW, slope=True), training.compare("ddoq", "ddoq_permuted", *FEW)
    return [
        _as_they_are(),
        f"Digits merged into two classes of five unequal parts, one point for each part: {_points(few)}{_level(few)}.",
        f"There, for the smallest network {_points(small)}, for the largest {_points(large)}; {_points(slope)} more "
        f"for each unit of the exponent of the masses.",
        f"Against the same weights in another order {_points(permuted)}: what is above 0 comes from the law, not from "
        f"the learning rate.",
        f"With {MANY[0] // FEW[0]} points for each part {_points(many)}; on test images that equal weights fit better "
        f"{_points(equal.compare('ddoq', 'd4m', *FEW))}.",
    ]


def advice() -> str:
    """When to use the weights, and how they did on the original data."""
    records = {name: Records.of(rows) for name in DATASETS if (rows := long_run_rows(name))}
    rows = [row for row in main_comparisons(records, quoted_gains()) if row.group in (LLOYD, ONE_PASS)]
    verdicts = [verdict(row.estimate) for row in rows if row.estimate]
    return (
        "Use the weights where a class has parts of unequal size, the codebook has about one point for each part, the "
        "network is small, and the test images come in the proportions of the training images. On data as they are, "
        f"{verdicts.count('higher')} of {len(verdicts)} declared comparisons came out above 0, and "
        f"{verdicts.count('lower')} below."
    )


def _as_they_are() -> str:
    """The first line: the original data, with the codebook and the optimiser of the paper."""
    of_weights, of_optimisers = {}, {}
    for c in (*primary_weights(), *primary_photographs()):
        if c.estimate and c.arm.block.ipc == IPC:
            same = c.arm.block == c.baseline.block
            (of_weights if same else of_optimisers)[NAMES[c.arm.dataset]] = c
    return (
        f"Data as they are, {IPC} images per class, the paper's codebook and optimiser: {_listed(of_weights)}. That "
        f"optimiser in place of D⁴M's, at equal weights: {_listed(of_optimisers)}."
    )


def _listed(found: dict[str, WeightComparison]) -> str:
    """Comparisons by data set, grouped by the level of their intervals."""
    levels = dict.fromkeys(_level(c) for c in found.values())
    parts = (
        ", ".join(f"{_points(c)} on {name}" for name, c in found.items() if _level(c) == level) + level
        for level in levels
    )
    return ", ".join(parts) or MISSING


def _points(found: Comparison | WeightComparison) -> str:
    """A comparison in points, with its interval."""
    return written(found.estimate, "+.2f") if found.estimate else MISSING


def _level(found: Comparison | WeightComparison) -> str:
    """The level of an interval, in brackets."""
    return f" (intervals of {100 * found.estimate.level:.4g} %)" if found.estimate else ""
