"""How unequal the cells of a codebook are: by Lloyd's algorithm, by one pass, and by scikit-learn as D4M calls it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from torch import Tensor

from ddoq_core.quantization.lloyd import best_of_restarts
from ddoq_core.quantization.minibatch import d4m_minibatch, minibatch
from ddoq_core.quantization.seeding import random_samples
from ddoq_core.results.table import Column, Table

LLOYD_STARTS = 2  # the better one is used
ONE_PASS_STARTS = 3  # all are used


def effective_share(masses: Real[Tensor, " K"]) -> float:
    """Effective number of equal masses as a share of K: (sum v)^2 / (K sum v^2)."""
    v = masses.double()
    return float(v.sum() ** 2 / (len(v) * v.square().sum()))


def mass_ratio(masses: Real[Tensor, " K"]) -> float:
    """The largest mass over the smallest above 0."""
    return float(masses.max() / masses[masses > 0].min())


@dataclass(frozen=True)
class QuantizerSpread:
    """How unequal the cells of one quantizer are on some clouds, for example the classes of a data set."""

    quantizer: str
    effective: float  # `effective_share`, mean over clouds and starts
    ratio: float  # largest mass over the smallest above 0, median over clouds and starts
    excess: float  # distortion over that of Lloyd's algorithm, minus 1, mean over clouds and starts


def quantizer_spreads(
    clouds: Sequence[Float[Tensor, "n d"]], K: int, rng: np.random.Generator
) -> tuple[QuantizerSpread, ...]:
    """The cells of K points under three quantizers, and the counts that scikit-learn itself reports.

    Lloyd: the better of LLOYD_STARTS. One pass: Algorithm 3 from K of the samples, with exact cells. scikit-learn: as
    D4M's code calls it, with exact cells and with its own counts.
    """
    found: dict[str, list[tuple[float, float, float]]] = {}
    for X in clouds:
        lloyd = best_of_restarts(X, K, n_restarts=LLOYD_STARTS, rng=rng)
        masses = [("Lloyd", lloyd, lloyd.counts)]
        for _ in range(ONE_PASS_STARTS):
            online, d4m = minibatch(X, random_samples(X, K, rng), rng=rng), d4m_minibatch(X, K, rng)
            masses += [("one pass", online, online.counts), ("scikit-learn", d4m, d4m.counts)]
            masses += [("scikit-learn, its own counts", d4m, d4m.companion)]
        for name, codebook, v in masses:
            excess = codebook.distortion / lloyd.distortion - 1
            found.setdefault(name, []).append((effective_share(v), mass_ratio(v), excess))
    return tuple(
        QuantizerSpread(name, float(np.mean(shares)), float(np.median(ratios)), float(np.mean(excesses)))
        for name, (shares, ratios, excesses) in ((name, zip(*rows, strict=True)) for name, rows in found.items())
    )


def quantizer_spreads_table(found: Mapping[object, Sequence[QuantizerSpread]], of: Column | str, K: int) -> Table:
    """A block for each set of clouds; the first column is its name or dimension."""
    rows = [(name, s.quantizer, s.effective, s.ratio, s.excess) for name, some in found.items() for s in some]
    columns = (
        Column("K effective / K", ".2f"),
        Column("Largest / smallest", ".1f"),
        Column("Distortion above Lloyd's", _per_cent),
    )
    note = (
        f"K = {K}. Lloyd: the better of {LLOYD_STARTS} starts. The others: {ONE_PASS_STARTS} starts each. Means; the "
        "ratio is a median."
    )
    return Table.of_groups("How unequal the cells are", (of, "Quantizer", *columns), rows, (note,))


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"
