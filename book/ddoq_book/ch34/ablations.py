"""The effect of each choice in Algorithm 4: one knob at a time, everything else as in the long run of Table 1.

In: rows of `ddoq record ablations`. Out: paired differences for each knob, and a table of them.
"""

from dataclasses import dataclass

import numpy as np

from ddoq_core.methods import METHODS
from ddoq_core.results.records import LEVEL, Cell, Estimate, Records
from ddoq_core.results.table import Column, Table

from ..forest import ForestRow
from ..paired import TOLD, PairedDifference, paired_difference
from ..recorded import rows_of
from ..studies.one_knob import ABLATED_AT, ABLATIONS, Ablation

IPC, LABELS = ABLATED_AT
OF_IMAGES = ("weights", "strength", "sampler", "quantizer")  # ablations that do not change the training of students


def recorded_settings(name: str, dataset: str = "mnist5k") -> dict[int, list[dict]]:
    """Rows of every recorded setting of a knob, by the setting's number."""
    found = {n: rows_of("ablations", f"{dataset}-{name}-{n}.jsonl") for n in range(len(ABLATIONS[name].settings))}
    return {n: rows for n, rows in found.items() if rows}


@dataclass(frozen=True)
class AblationRow:
    """One method under one setting of a knob."""

    method: str
    setting: str
    accuracy: Estimate
    against_first: PairedDifference | None  # None: it is the first setting
    gain_of_weights: Estimate | None  # DDOQ minus D4M within the setting; None for other methods, or without D4M
    effective: float  # effective number of equal counts as a share of K; mean over classes and distillations
    w2_uniform: float  # distance to the data with equal weights, the same mean
    w2: float  # the same with the weights v / sum v


@dataclass(frozen=True)
class AblationResult:
    """The effect of one knob; there are no rows if nothing was recorded."""

    ablation: Ablation
    rows: tuple[AblationRow, ...]
    n_test: int = 0

    @property
    def n_runs(self) -> int:
        """Least number of students behind a mean."""
        return min(row.accuracy.n_runs for row in self.rows)


def ablation_result(name: str, rows: dict[int, list[dict]]) -> AblationResult:
    """Accuracy under every setting of a knob, its paired difference to the first, and DDOQ minus D4M within it.

    Args:
        rows: rows of each setting, by its number in the ablation.
    """
    ablation = ABLATIONS[name]
    if 0 not in rows:
        return AblationResult(ablation, ())
    joint = _joint(rows)
    found = (_row(joint, ablation, method, number) for method in ablation.methods for number in sorted(rows))
    return AblationResult(ablation, tuple(row for row in found if row), joint.n_test)


def _joint(rows: dict[int, list[dict]]) -> Records:
    """All settings in one set of records, identified by their numbers; this pairs their differences."""
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
    """One knob, with a block for each method and a row for each setting."""
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
    """Every setting of every knob minus the first setting, as rows of a forest plot; one row if nothing is recorded."""
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
    """The power of all ablations together, and the headroom."""

    n: int  # differences to the first settings
    n_told: int
    n_beyond: int  # their intervals that reach beyond a point
    detectable: float  # median of the smallest differences found with a power of 80 %, in points
    headroom: float  # points from the first setting of the weights to all real images
    rising: tuple[tuple[str, AblationRow], ...]  # knobs and rows with pictures farther from the data with weights


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
    beyond = sum(max(-d.difference.low, d.difference.high) > 1 for d in against)
    return AblationPower(len(against), sum(d.verdict in TOLD for d in against), beyond, detectable, headroom, rising)


def ablation_power_texts(found: AblationPower) -> dict[str, str]:
    """The power of the ablations, as texts for the prose."""
    rising = [f"{title.lower()}: {row.setting} ({row.w2_uniform:.2f} to {row.w2:.2f})" for title, row in found.rising]
    return {
        "ablation_n": f"{found.n}",
        "ablation_chance": f"{(1 - LEVEL) * found.n:.1f}",
        "ablation_told": f"{found.n_told}",
        "ablation_beyond": f"{found.n_beyond}",
        "ablation_detectable": f"{found.detectable:.1f}",
        "ablation_headroom": f"{found.headroom:.1f}",
        "rising": "; ".join(rising) or "no setting",
    }
