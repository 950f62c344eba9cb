"""The accuracy that fewer bytes of soft labels cost: the rows of `ddoq record labels`, if they are recorded."""

from dataclasses import dataclass

from ddoq_core.config.profile import Profile
from ddoq_core.results.records import Cell, Estimate, Records
from ddoq_core.results.table import Column, Table, written

from ..paired import NO_EFFECT, verdict
from ..recorded import rows_of
from ..studies.labels import FOLDER, IPC, bytes_per_image, label_runs
from .controlled import MARGIN

DATA = {
    "mnist5k": ("digits", "table", 10),
    "imagefolder": ("photographs", "imagenette_cpu", 10),
}  # name, profile, classes
FORM_TITLES = {
    "float16": "float16, all classes", "int8": "8 bits, all classes", "top3": "float16, top 3, rest spread",
    "top1": "float16, top 1, rest spread", "reused": "float16, a tenth of the epochs",
    "reused-int8": "8 bits, a tenth of the epochs",
}  # fmt: skip


@dataclass(frozen=True)
class FormResult:
    """One form of labels on one data set, for DDOQ's students."""

    data: str
    form: str
    epochs: int  # epochs of views that are kept
    bytes: int  # of one image
    share: float  # share of the bytes of float16
    accuracy: Estimate | None  # None: not recorded yet
    change: Estimate | None  # against float16, paired

    @property
    def verdict(self) -> str | None:
        """Lower, higher, not told apart, or no effect (within the margin by two one-sided tests)."""
        return self.change and verdict(self.change, MARGIN)


def label_results() -> list[FormResult]:
    """Every form of the study, with its bytes and, if recorded, its accuracy."""
    found = []
    for dataset, (data, name, n_classes) in DATA.items():
        runs = dict(label_runs(Profile.load(name)))
        whole = bytes_per_image(runs["float16"].profile, n_classes)
        base = _recorded(dataset, "float16")
        for form, run in runs.items():
            size, rows = bytes_per_image(run.profile, n_classes), _recorded(dataset, form)
            accuracy, change = _scores(base, rows)
            found.append(FormResult(data, form, run.profile.labelled_epochs, size, size / whole, accuracy, change))
    return found


def _recorded(dataset: str, form: str) -> list[dict]:
    return [row | {"labels": form} for row in rows_of(FOLDER, f"{dataset}-{form}.jsonl") if row["method"] == "ddoq"]


def _scores(base: list[dict], rows: list[dict]) -> tuple[Estimate | None, Estimate | None]:
    """Accuracy of a form, and its difference to the base if both have the same seeds."""
    if not rows:
        return None, None
    of_form = Cell("ddoq", IPC, rows[0]["student"], rows[0]["labels"])
    if not base or base[0]["labels"] == rows[0]["labels"]:
        return Records.of(rows).accuracy(of_form), None
    seeds = [{(row["distill_seed"], row["seed"]) for row in some} for some in (base, rows)]
    both = Records.of([*base, *rows])
    of_base = Cell("ddoq", IPC, base[0]["student"], base[0]["labels"])
    return both.accuracy(of_form), both.difference(of_form, of_base) if seeds[0] == seeds[1] else None


def label_table(found: list[FormResult]) -> Table:
    """Bytes of an image's labels by form, and the change in accuracy."""
    missing = [r for r in found if r.accuracy is None]
    notes = ["Asking the teacher during training takes 0 bytes and gives the same students as float16, byte for byte."]
    if any(r.verdict == NO_EFFECT for r in found):
        notes.append(f"No effect: two one-sided tests at 5 % place the difference within ±{MARGIN:g} points.")
    if missing:
        notes.append("–: not recorded yet, by ddoq record labels.")
    return Table.of_groups(
        f"Soft labels in fewer bytes: DDOQ, {IPC} images per class",
        (
            *("Data", "Labels", "Epochs", Column("Bytes an image", ","), Column("Share", ".1%")),
            *(Column("Top-1", ".1f"), Column("Minus float16", "+.2f"), "It is"),
        ),
        [(r.data, FORM_TITLES[r.form], r.epochs, r.bytes, r.share, r.accuracy, r.change, r.verdict) for r in found],
        notes,
    )


def label_texts(found: list[FormResult]) -> dict[str, str]:
    """For each data set: the form with the fewest bytes that is not lower than float16, its share and verdict; the
    epochs kept by float16 and by a tenth, and the change from the latter."""
    texts = {}
    for data, *_ in DATA.values():
        of_data = {r.form: r for r in found if r.data == data}
        kept = [r for r in of_data.values() if r.verdict not in (None, "lower")]
        if kept:
            least = min(kept, key=lambda r: r.bytes)
            texts |= {f"{data}_form": FORM_TITLES[least.form], f"{data}_share": f"{least.share:.0%}".replace("%", " %")}
            texts[f"{data}_verdict"] = str(least.verdict)
        texts[f"{data}_epochs"] = str(of_data["float16"].epochs)
        texts[f"{data}_fewer"] = str(of_data["reused"].epochs)
        texts[f"{data}_change"] = written(of_data["reused"].change, "+.1f")
    return texts
