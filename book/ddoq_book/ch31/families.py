"""Every family of systems in one table: accuracies with hard, soft and own labels, and the bytes that a student needs.

In: the records of the long run and of the study `families`. Out: rows by family, a map of the field, and published
accuracies. A row without records says so; nothing is trained here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import OWN
from ddoq_core.pipeline.label_forms import label_bytes
from ddoq_core.results.records import Cell, Estimate, Records
from ddoq_core.results.table import Column, Table

from ..data_named import data_title
from ..recorded import long_run_rows, rows_of
from ..studies.families import FAMILIES, HARD_LABEL
from ..style import CYCLE, INK, figure_style, label, subplots

BLOCKS = {  # families in the order of the table
    "Baselines": ("random_real", "random_generated"),
    "Core-sets": ("herding", "k_centre", "craig", "el2n", "grand", "easy"),
    "Meta-learning": ("dd", "rtp"),
    "Gradients and distributions": ("dc", "dsa", "dream", "dm", "robust"),
    "Trajectories": ("mtt", "tesla"),
    "Factorised": ("haba",),
    "Kernels": ("kip", "kip_labels", "label_solve", "rfad", "frepo"),
    "Inversion and crops": ("sre2l", "cda", "rded"),
    "Generative priors": ("glad", "glad_codebook", "ld3m", "minimax"),
    "Transport": ("wmdd", "wmdd_masses", "mgd3", "ot_guided"),
    "Quantization": ("d4m", "ddoq", "ddoq_proportional"),
}
LABELS = ("hard", "soft", OWN)
NOT_YET = "not recorded yet"
MARKERS = {"hard": "o", "soft": "s", OWN: "^"}


@dataclass(frozen=True)
class FamilyRow:
    """One method at one number of images per class: its recorded accuracies and bytes by kind of labels."""

    family: str
    method: str
    accuracies: dict[str, Estimate]
    stored: dict[str, int]


@dataclass(frozen=True)
class FamilyTable:
    """All families at one number of images per class."""

    dataset: str  # with the number of images kept; empty: no records
    ipc: int
    student: str
    rows: tuple[FamilyRow, ...]

    @property
    def recorded(self) -> tuple[FamilyRow, ...]:
        """Rows that have records."""
        return tuple(row for row in self.rows if row.accuracies)


def family_rows(dataset: str, ipc: int, student: str = "convnet-32") -> list[dict]:
    """Records of all rows at one number of images per class, for one network."""
    found = long_run_rows(dataset) + rows_of(FAMILIES, f"{dataset}-*-ipc{ipc:03d}.jsonl")
    return [row for row in found if row["student"] == student and row["ipc"] == ipc]


def families(rows: Iterable[dict], ipc: int, student: str = "convnet-32") -> FamilyTable:
    """Means with their intervals, method by method, of records at one number of images per class."""
    rows = list(rows)
    accuracies: dict[tuple[str, str], Estimate] = {}
    stored: dict[tuple[str, str], int] = {}
    for (method, labels), of_cell in _cells(rows).items():
        accuracies[method, labels] = Records.of(of_cell).accuracy(Cell(method, ipc, student, labels))
        stored[method, labels] = bytes_of(of_cell[0])
    made = []
    for family, methods in BLOCKS.items():
        for method in methods:
            mine = [labels for labels in LABELS if (method, labels) in accuracies]
            of_method = ({labels: found[method, labels] for labels in mine} for found in (accuracies, stored))
            made.append(FamilyRow(family, method, *of_method))
    return FamilyTable(data_title(rows), ipc, student, tuple(made))


def _cells(rows: list[dict]) -> dict[tuple[str, str], list[dict]]:
    found: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        found.setdefault((row["method"], row["labels"]), []).append(row)
    return found


def bytes_of(row: dict) -> int:
    """Bytes that a student of a record needs: from the record, or from its settings if the record is older."""
    if "stored" in row:
        return sum(row["stored"].values())
    p, classes = Profile.load(row["profile"], row["parameters"]), len(row["effective"])
    n = row["ipc"] * classes
    target = "soft" if row["labels"] == "soft" or (row["method"] == "rded" and row["labels"] == OWN) else "hard"
    labels = HARD_LABEL * n if target == "hard" else label_bytes(n, classes, row["epochs"])
    return n * p.picture_size**2 + labels  # the images of these records are grey


def families_table(found: FamilyTable) -> Table:
    """The families as blocks: hard labels first, then soft labels, then each method's own, with kilobytes."""
    rows = []
    for row in found.recorded:
        cells = [row.accuracies.get(labels) for labels in LABELS]
        kilobytes = [row.stored[labels] / 1e3 if labels in row.stored else None for labels in LABELS]
        rows.append((row.family, METHODS[row.method].title, *cells, *kilobytes))
    n = {e.n_runs for row in found.rows for e in row.accuracies.values()}
    missing = [METHODS[row.method].title for row in found.rows if not row.accuracies]
    return Table.of_groups(
        f"All families at {found.ipc} images per class on {found.dataset or 'data without records'}, {found.student}: "
        "top-1 accuracy in percent, mean [95 % interval], and kilobytes that a student needs",
        (
            *("Family", "Method", Column("Hard labels", ".1f"), Column("Soft labels", ".1f")),
            *(Column("Own protocol", ".1f"), Column("kB, hard", ",.0f"), Column("kB, soft", ",.0f")),
            Column("kB, own", ",.0f"),
        ),
        rows,
        (
            f"Students behind a mean: {', '.join(map(str, sorted(n))) or 'none yet'}.",
            "Bytes before compression: pictures at one byte per channel, learned values as floats of four bytes, soft "
            "labels as the teacher's logits of all epochs.",
            *([f"Not recorded yet: {', '.join(missing)}."] if missing else []),
        ),
    )


@figure_style()
def field_map(found: FamilyTable) -> Figure:
    """Accuracy against bytes: one mark for each method and kind of labels, coloured by family."""
    figure, axes = subplots(height=4.6)
    colours = {family: CYCLE[i % len(CYCLE)] for i, family in enumerate(BLOCKS)}
    for row in found.recorded:
        for labels, accuracy in row.accuracies.items():
            axes.plot(row.stored[labels] / 1e3, accuracy.mean, MARKERS[labels], color=colours[row.family])
        best = max(row.accuracies, key=lambda labels: row.accuracies[labels].mean)
        at = row.stored[best] / 1e3, row.accuracies[best].mean
        label(axes, *at, METHODS[row.method].title, colours[row.family], fontsize=6)
    if not found.recorded:
        axes.text(0.5, 0.5, NOT_YET, color=INK, ha="center", transform=axes.transAxes)
    axes.set(xscale="log", xlabel="kilobytes that a student needs", ylabel="accuracy, percent")
    axes.set_title("circles: hard labels; squares: soft labels; triangles: own protocol", fontsize=8)
    return figure


def recorded_text(found: FamilyTable) -> str:
    """Text: number of rows in the table that have records."""
    return f"{len(found.recorded)} of {len(found.rows)} rows"
