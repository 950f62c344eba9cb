"""Published accuracies of the families, quoted from sources that were opened; sources that did not open are left out.

The oracles are next to them: accuracies of these rows here in a published setting, from `ddoq record oracles`.
"""

import statistics
from dataclasses import dataclass

from ddoq_core.methods import METHODS
from ddoq_core.results.table import NOTHING, Column, Table

from ..recorded import rows_of
from ..studies.families import ORACLE_RUNS, ORACLES, Oracle

# IPC 1 / 10 / 50, ConvNet of width 128 unless the remark says otherwise; percent
QUOTED_FAMILIES = """
random_real | – | – | 14.4 ± 0.2 / 26.0 ± 1.2 / 43.4 ± 1.0 | table of AutoPalette
herding | – | – | 21.5 ± 1.3 / 31.6 ± 0.7 / 40.4 ± 0.6 | table of AutoPalette
k_centre | – | – | 23.3 ± 0.9 / 36.4 ± 0.6 / 48.7 ± 0.3 | table of AutoPalette
dd | – | – | – / 36.8 ± 1.2 / – | table of AutoPalette; another network
rtp | – | – | 66.4 ± 0.4 / 71.2 ± 0.4 / 73.6 ± 0.5 | tables of others; equal floats, not equal images
dc | 91.7 ± 0.5 / 97.4 ± 0.2 / 98.8 ± 0.1 | 70.5 ± 0.6 / 82.3 ± 0.4 / 83.6 ± 0.4 | 28.3 ± 0.5 / 44.9 ± 0.5 / 53.9 ± 0.5 | README of DatasetCondensation; KIP's table
dsa | 88.7 ± 0.6 / 97.8 ± 0.1 / 99.2 ± 0.1 | 70.6 ± 0.6 / 84.6 ± 0.3 / 88.7 ± 0.2 | 28.8 ± 0.7 / 52.1 ± 0.5 / 60.6 ± 0.5 | README of DatasetCondensation; KIP's table
dm | – | – | 26.0 ± 0.8 / 48.9 ± 0.6 / 63.0 ± 0.4 | tables of PAD and AutoPalette
mtt | – | – | 46.3 ± 0.8 / 65.3 ± 0.7 / 71.6 ± 0.2 | table of AutoPalette; ZCA
tesla | – | – | 48.5 ± 0.8 / 66.4 ± 0.8 / 72.6 ± 0.7 | table of PAD
haba | – | – | 48.3 ± 0.8 / 69.9 ± 0.4 / 74.0 ± 0.2 | table of a submission of 2026
kip | 85.5 ± 0.1 / 97.2 ± 0.2 / 98.4 ± 0.1 | – | 40.5 ± 0.4 / 53.1 ± 0.5 / 58.6 ± 0.4 | KIP's table; the kernel's own accuracy
rfad | – | – | 53.6 / – / – | an issue of its repository; width 1,024
frepo | – | – | 46.8 ± 0.7 / 65.5 ± 0.4 / 71.7 ± 0.2 | table of PAD; a wider network
d4m | – | – | – / 56.2 ± 0.4 / 72.8 ± 0.5 | its own text
full | – | – | 84.8 ± 0.1 | table of PAD
"""  # noqa: E501 - a table
BAND = 2.0  # points: a published value within this distance counts as reached


@dataclass(frozen=True)
class OracleResult:
    """A published setting and the accuracy reached in it here; None: not recorded yet."""

    oracle: Oracle
    reached: float | None

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.reached is None:
            return "not recorded yet"
        gap = self.reached - self.oracle.quoted
        return "reached" if abs(gap) <= BAND else f"{gap:+.1f} points"


def quoted_families_table() -> Table:
    """Quoted accuracies, not measured here: IPC 1 / 10 / 50."""
    lines = [line.split(" | ") for line in QUOTED_FAMILIES.strip().splitlines()]
    return Table.of_rows(
        "Quoted: published accuracies at 1 / 10 / 50 images per class, in percent. Nothing in it was measured here.",
        ("Method", "MNIST", "Fashion-MNIST", "CIFAR-10", "Source that was opened"),
        [(METHODS[name].title, *values) for name, *values in lines],
        (f"{NOTHING}: no published value is known here, or its source could not be opened.",),
    )


def oracle_results() -> list[OracleResult]:
    """Every published setting in the study of oracles, with the mean of its students or of the kernel."""
    found = []
    for oracle in ORACLE_RUNS:
        rows = rows_of(ORACLES, oracle.file)
        scores = [row["kernel_top1"] if oracle.kernel else row["top1"] for row in rows]
        found.append(OracleResult(oracle, statistics.fmean(scores) if scores else None))
    return found


def oracles_table(found: list[OracleResult]) -> Table:
    """Published accuracies next to those reached here."""
    return Table.of_rows(
        f"Published settings run again here, accuracy in percent: reached within {BAND:g} points, or not",
        (
            *("Method", "Data", "IPC", "Network", Column("Quoted", ".1f"), Column("Here", ".1f"), "Verdict"),
            *("Smaller here", "Source"),
        ),
        [
            (
                METHODS[r.oracle.method].title, r.oracle.dataset, r.oracle.ipc,
                "kernel" if r.oracle.kernel else r.oracle.student, r.oracle.quoted, r.reached, r.verdict,
                r.oracle.reduced or NOTHING, r.oracle.source,
            )
            for r in found
        ],
    )  # fmt: skip
