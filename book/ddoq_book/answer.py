"""When weights help, by how much, with which codebook, and when they cost: five sentences, computed from records."""

from ddoq_core.config.profile import Profile

from .ch31.weightings import WeightComparison, primary_weights
from .ch34.controlled import Comparison, Controlled
from .ch34.imbalance import TEST_LAWS
from .codebooks import codebook_spreads
from .recorded import rows_of
from .studies.unequal_masses import BLOCKS, STUDENTS

FEW, MANY = BLOCKS[0], BLOCKS[2]
NAMES = {"mnist5k": "digits", "fashion_mnist": "Fashion-MNIST"}
IPC = 10  # of the last sentence


def answer() -> list[str]:
    """The five sentences."""
    rows, profile = rows_of("controlled"), Profile.load("table")
    training, equal = (Controlled.of(rows, profile, law) for law in TEST_LAWS)
    few, many = (training.compare("ddoq", "d4m", *block) for block in (FEW, MANY))
    small, large = (training.compare("ddoq", "d4m", *FEW, students=[name]) for name in (STUDENTS[0], STUDENTS[-1]))
    more = f"with {MANY[0] // FEW[0]} points for each part it is {_points(many)}, and " if many.estimate else ""
    price = f"{more}under a test law that equal weights fit better it is {_points(equal.compare('ddoq', 'd4m', *FEW))}."
    return [
        f"On digits in two super-classes of unequal parts, with one codebook point for each part and soft labels, the "
        f"weights of eq. 33 change the accuracy by {_points(few)}{_level(few)}.",
        f"The change is {_points(small)} for the smallest network, {_points(large)} for the largest, and it grows by "
        f"{_points(training.compare('ddoq', 'd4m', *FEW, slope=True))} per unit of the exponent of the masses.",
        f"Against the same weights dealt to the images in another order it is "
        f"{_points(training.compare('ddoq', 'ddoq_permuted', *FEW))}: what is above 0 there comes from the law and not "
        f"from the learning rate.",
        price[0].upper() + price[1:],
        _of_codebooks(),
    ]


def _of_codebooks() -> str:
    """The last sentence: the data as they are, with the codebook and the optimiser of the paper."""
    kept = [s for s in codebook_spreads() if s.ipc == IPC and s.counts == "cells"]
    if not kept:
        return "On data as they are, nothing is recorded yet."
    effective = "; ".join(
        f"{NAMES[dataset]}: " + ", ".join(f"{s.codebook} {s.effective:.2f}" for s in kept if s.dataset == dataset)
        for dataset in dict.fromkeys(s.dataset for s in kept)
    )
    of_weights, of_optimisers, compared = [], [], primary_weights()
    for c in compared:
        if c.estimate and c.arm.block.ipc == IPC:
            same = c.arm.block == c.baseline.block
            (of_weights if same else of_optimisers).append(f"{_points(c)} on {NAMES[c.arm.dataset]}")
    weights, optimisers = (", ".join(found) or "nothing recorded yet" for found in (of_weights, of_optimisers))
    return (
        f"On data as they are, the counts of ten centroids are worth this share of ten equal ones ({effective}), and "
        f"with one pass and the paper's optimiser the weights change the accuracy by {weights}; that optimiser in "
        f"place of D⁴M's, at equal weights, changes it by {optimisers}{_level(compared[0])}."
    )


def _points(found: Comparison | WeightComparison) -> str:
    """A comparison in words."""
    return f"{found.estimate:+.2f} points".replace("-", "−") if found.estimate else "not recorded yet"


def _level(found: Comparison | WeightComparison) -> str:
    """The level of an interval, and of those like it."""
    return f" (intervals of {100 * found.estimate.level:.4g} %)" if found.estimate else ""
