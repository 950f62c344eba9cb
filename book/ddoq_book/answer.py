"""The findings on the weights in five lines, and when to use weights. Everything is computed from records."""

from ddoq_core.config.profile import Profile
from ddoq_core.results.records import Records
from ddoq_core.results.table import written

from .ch23.comparisons import CONTROL, LOCAL, PhotographArm, primary_photographs
from .ch31.comparisons import against_real
from .ch31.overview import DATA, LLOYD, ONE_PASS, main_comparisons
from .ch31.quoted import quoted_gains
from .ch31.weightings import WeightComparison, compared, primary_weights
from .ch34.controlled import Comparison, Controlled, primary_comparisons
from .ch34.imbalance import TEST_LAWS
from .ch34.powers import EQ33, PROBLEMS, PowerComparison, compared_powers, predicted, primary_powers
from .codebooks import DATASETS, kept_spreads, spread_of
from .forest import ForestRow
from .paired import verdict
from .recorded import long_run_rows, rows_of
from .studies.photographs import NAME as PHOTOGRAPHS
from .studies.unequal_masses import BLOCKS, STUDENTS

FEW, MANY = BLOCKS[0], BLOCKS[2]
IPC = 10  # images per class in the first line
MISSING = "not recorded yet"


def answer() -> list[str]:
    """The effect of the weights in points, in five lines: on the original data, on classes with unequal parts, by
    network, against permuted weights, and where the gain ends. Declared comparisons have their declared level."""
    rows, profile = rows_of("controlled"), Profile.load("table")
    training, equal = (Controlled.of(rows, profile, law) for law in TEST_LAWS)
    few, slope, permuted, many, _ = primary_comparisons(training)
    small, large = (training.compare("ddoq", "d4m", *FEW, students=[name]) for name in (STUDENTS[0], STUDENTS[-1]))
    alike = equal.compare("ddoq", "d4m", *FEW)
    return [
        _as_they_are(),
        f"Digits merged into two classes of five digits. The r-th digit of a class keeps a share in proportion to "
        f"1/rˢ, and has one distilled image. Mean over three networks and three s: {_points(few)}{_level(few)}.",
        f"There the smallest network gains {_points(small)}, the largest {_points(large)}{_level(small)}; the gain "
        f"grows by {_points(slope)} for each unit of s{_level(slope)}.",
        f"Against the same weights in random order within the class: {_points(permuted)}{_level(permuted)}. So it "
        f"matters which image has which weight.",
        f"With {MANY[0] // FEW[0]} images for each digit the gain is {_points(many)}{_level(many)}. If all digits are "
        f"equally frequent among the test images, the weights change the accuracy by {_points(alike)}{_level(alike)}.",
    ]


def in_short() -> str:
    """The finding without intervals, and what was not tried."""
    plain, (*names, last) = _verdicts(), dict.fromkeys(row.title.partition(",")[0] for row in _of_weights())
    last += " (ten classes of ImageNet, 64 pixels)" if last == DATA[PHOTOGRAPHS] else ""
    rest = len(_declared()) - len(plain)
    few = primary_comparisons(Controlled.of(rows_of("controlled"), Profile.load("table"), TEST_LAWS[0]))[0]
    return (
        f"On {', '.join(names)} and {last} as they are, the weights raised the accuracy in {plain.count('higher')} "
        f"of {len(plain)} declared comparisons{f' ({rest} more: not recorded yet)' if rest else ''}. On classes with "
        "parts of unequal size they "
        f"{'raised it' if few.verdict == 'higher' else 'did not'}. ImageNet was not run here, so the paper’s number is "
        "neither confirmed nor refuted."
    )


def advice() -> str:
    """How the weights did on the original data, when to use them, and how distilled images do against real ones."""
    real = against_real([*_long_records().values()]).verdicts("soft")
    return (
        f"{as_they_are_text()} Use them where all four hold: a class has parts of unequal size, the codebook has about "
        "one point in each part, small ones too, the network is small, and the test images come in the proportions of "
        "the training images. Compare with random real images first: with a teacher’s labels and more than one image "
        f"per class, {real['higher']} of {real.total()} sets of distilled or generated images are above as many random "
        f"real images, and {real['lower']} below. Or estimate the power of the shares from the training images "
        f"(the row ddoq_adaptive) instead of taking the square root; this changes the accuracy by {_adaptive()}."
    )


def _adaptive() -> str:
    """Estimated exponents against eq. 33: the declared comparisons, and photographs."""
    photographs = PROBLEMS[-1]
    found = [*primary_powers(), compared_powers(photographs, "images", EQ33)]
    places = ("on digits", "on Fashion-MNIST", "in the study of lines 2 to 5", "on photographs")
    listed = _listed(dict(zip(places, found, strict=True)))
    foretold = predicted(photographs, "images")
    return listed + (f", where it is {foretold.together.mean():.2f}, nearly equal weights" if foretold else "")


def as_they_are_text() -> str:
    """How many of the declared comparisons on the original data came out above and below 0."""
    plain = _verdicts()
    return (
        f"On data as they are, {plain.count('higher')} of the {len(plain)} recorded comparisons of the weights came "
        f"out above 0, and {plain.count('lower')} below."
    )


def _verdicts() -> list[str]:
    return [verdict(row.estimate) for row in _of_weights()]


def _of_weights() -> list[ForestRow]:
    """The declared comparisons of the weights on the original data that are recorded."""
    return [row for row in _declared() if row.estimate]


def _declared() -> list[ForestRow]:
    rows = main_comparisons(_long_records(), quoted_gains())
    return [row for row in rows if row.group in (LLOYD, ONE_PASS)]


def _long_records() -> dict[str, Records]:
    return {name: Records.of(rows) for name in DATASETS if (rows := long_run_rows(name))}


def _as_they_are() -> str:
    """The first line: the original data, with the codebook and the optimiser of the paper."""
    of_weights, of_optimisers = {}, {}
    for c in (*primary_weights(), *primary_photographs()):
        if c.estimate and c.arm.block.ipc == IPC:
            same = c.arm.block == c.baseline.block
            (of_weights if same else of_optimisers)["on " + DATA[c.arm.dataset]] = c
    collapse = _collapse() if "on " + DATA[PHOTOGRAPHS] in of_weights else ""
    return (
        f"Data as they are, {IPC} images per class, one pass of k-means, the paper’s optimiser: {_listed(of_weights)}. "
        f"{collapse}The paper also changed the optimiser; that alone, "
        f"at equal weights, changes the accuracy by {_listed(of_optimisers)}. The paper’s gain is that of both changes "
        "together."
    )


def _collapse() -> str:
    """How many equal cells the cells of one pass are worth on photographs, and the gain from Lloyd's codebook."""
    found = (
        f"On photographs one pass collapses: one cell has nearly all images, so the {IPC} cells are worth "
        f"{_worth('one pass', IPC):.1f} equal ones. "
    )
    order = compared(PhotographArm(LOCAL, CONTROL), PhotographArm(LOCAL, "d4m"))
    if order.estimate:
        found += f"The same weights in random order change the accuracy by {_points(order)}{_level(order)}. "
    *_, of_lloyd = primary_photographs()
    if of_lloyd.estimate:
        many = of_lloyd.arm.block.ipc
        found += (
            f"Lloyd’s algorithm does not: {many} cells there are worth {_worth('Lloyd', many):.0f}, and the weights "
            f"change the accuracy by {_points(of_lloyd)}{_level(of_lloyd)}. "
        )
    return found


def _worth(codebook: str, ipc: int) -> float:
    """Number of equal cells that the cells of a codebook on photographs are worth."""
    return ipc * spread_of(kept_spreads(PHOTOGRAPHS, PHOTOGRAPHS), codebook, ipc)


def _listed(found: dict[str, WeightComparison] | dict[str, PowerComparison]) -> str:
    """Comparisons by where they were made, grouped by the level of their intervals."""
    levels = dict.fromkeys(_level(c) for c in found.values())
    parts = (
        ", ".join(f"{_points(c)} {name}" for name, c in found.items() if _level(c) == level) + level for level in levels
    )
    return ", ".join(parts) or MISSING


def _points(found: Comparison | WeightComparison | PowerComparison) -> str:
    """A comparison in points, with its interval."""
    return written(found.estimate, "+.2f") if found.estimate else MISSING


def _level(found: Comparison | WeightComparison | PowerComparison) -> str:
    """The level of an interval, in brackets."""
    return f" ({100 * found.estimate.level:.4g} %)" if found.estimate else ""
