"""The report that `ddoq run` and `ddoq eval` write to the folder of a run: report.html, table.md, and named pictures.

In: a finished run, or an evaluation. Out: files next to results.jsonl, and the lines for the terminal. The report is
one file that loads nothing: pictures are embedded, small enough to keep it below 5 MB.
"""

import base64
import html
import io
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from PIL import Image

from ddoq_core.checks.check_lines import facts_of
from ddoq_core.config.profile import Profile
from ddoq_core.foreign.protocols import Evaluation, evaluation_table
from ddoq_core.methods import METHODS
from ddoq_core.methods.d4m import PROTOTYPES
from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.processes import world
from ddoq_core.results.records import Records
from ddoq_core.results.table import Table
from ddoq_core.runs.plan import warning_of_few
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Workspace

from .ch31.table1 import differences, differences_table, table1, table1_table
from .ch32.figure1 import figure1, weighted_class
from .provenance import changed_knobs, record_facts

REPORT, TABLE, PICTURES = "report.html", "table.md", "pictures"
PLACES = {"report": REPORT, "table": TABLE}  # files named in the last lines
CLASSES = 10  # largest number of classes in a contact sheet
TILES = 600  # pictures in all contact sheets of a report
SIDE = 64  # pixels: largest side of a picture in a contact sheet
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd }
img { max-width: 100%; vertical-align: middle }
"""


def report_run(run: Run) -> list[str]:
    """Write the report of a finished run; returns its table as lines, and the places of the files."""
    rows, folder = run.finished_rows(), run.folder
    records, made, checked = Records.of(rows), sets_of(run), list(run.checks())
    tables = [table1_table(table1(records))]
    if {"ddoq", "d4m"} <= set(run.profile.methods):
        tables.append(differences_table(differences(records, "ddoq", "d4m")))
    parts, lines = {}, [tables[0].text()]
    if made:
        highest = max(ipc for _, ipc, _ in made)
        shown = {name: found for (name, ipc, seed), found in made.items() if (ipc, seed) == (highest, 0)}
        parts |= _figure1(run, [name for name in shown if METHODS[name].images == PROTOTYPES], highest)
        sheets = {METHODS[name].title: found for name, found in shown.items()}
        parts[f"Pictures of every method, {highest} images per class"] = contact_sheets(sheets)
    if checked:
        health = health_table(checked)
        parts["Are the sets healthy?"] = health._repr_html_()
        lines += unhealthy_lines(checked)
    parts["What made this run"] = _facts(run.profile, rows)
    if world().main:
        for (name, ipc, seed), found in made.items():
            name_pictures(found, folder / PICTURES / f"{name}-ipc{ipc:03d}-seed{seed}")
        few = warning_of_few(run.plan, run.profile, run.dataset)
        title = f"Run of profile {run.profile.profile} on {Path(run.profile.data_root).name or run.dataset.name}"
        write_report(folder, title, tables, {"Warning": html.escape(few)} | parts if few else parts)
    places = {"pictures": PICTURES} if made else {}
    return [*lines, *(f"{what}: {folder / name}" for what, name in (places | PLACES).items())]


def report_evaluation(done: Evaluation) -> list[str]:
    """Write the report of an evaluation; returns the places of the files."""
    folder, name = done.file.parent, done.rows[0]["method"]
    assumed = "".join(f"<li>{html.escape(line)}</li>" for line in done.assumed)
    parts = {
        "The pictures": contact_sheets({name: done.distilled}),
        "What was assumed": f"<ul>{assumed}</ul>",
        "What made this": _facts(done.profile, done.rows),
    }
    if world().main:
        write_report(folder, f"Students of {name}", [evaluation_table(done)], parts)
    return [f"{what}: {folder / name}" for what, name in PLACES.items()]


def sets_of(run: Run) -> dict[tuple[str, int, int], DistilledDataset]:
    """The distilled sets of a run, by method, images per class and distillation."""
    keys = dict.fromkeys((t.method, t.ipc, t.distill_seed) for t in run.plan if t.ipc is not None)
    return {key: run.distilled(*key) for key in keys}


def write_report(folder: Path, title: str, tables: list[Table], parts: Mapping[str, str]) -> None:
    """Write report.html and table.md to a folder.

    Args:
        parts: HTML by heading.
    """
    body = "".join(table._repr_html_() for table in tables)
    body += "".join(f"<h2>{html.escape(heading)}</h2>{part}" for heading, part in parts.items())
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{html.escape(title)}</h1>{body}</body></html>'
    markdown = "\n".join(table.markdown() for table in tables)
    for name, text in ((REPORT, page), (TABLE, markdown)):
        Workspace(folder).replace(name, lambda path, text=text: path.write_text(text, encoding="utf-8"))


def _figure1(run: Run, methods: list[str], ipc: int) -> dict[str, str]:
    """Figure 1 of the first class, for the weighted method if it is among these; empty without prototypes."""
    if not methods:
        return {}
    method = "ddoq" if "ddoq" in methods else methods[0]
    found = weighted_class(run, run.dataset.class_names[0], ipc, method)
    picture = io.BytesIO()
    figure1(found).savefig(picture, format="png")
    words = f"Pictures of {found.class_name}, heaviest first, each with its share of the class"
    return {
        f"Figure 1, {METHODS[method].title}: {words}": _image(
            picture, "png", f"{words}; below each the nearest real image"
        )
    }


def contact_sheets(sets: Mapping[str, DistilledDataset]) -> str:
    """HTML of the pictures of each set, a line per class, heaviest first; the more sets, the fewer pictures of each."""
    n_classes = min(CLASSES, max(len(found.classes) for found in sets.values()))
    per_class = max(1, TILES // (n_classes * len(sets)))
    text = ""
    for name, found in sets.items():
        lines, items = "", found.by_class(torch.arange(len(found.metadata)))
        for entry, of_class in zip(found.classes[:CLASSES], items, strict=False):
            order = found.counts[of_class].argsort(descending=True, stable=True)[:per_class]
            files = [found.artifact.path / found.metadata[i]["file_name"] for i in of_class[order].tolist()]
            lines += (
                f'<tr><th scope="row">{html.escape(entry["name"])}</th><td>{_strip(files, entry["name"])}</td></tr>'
            )
        text += f"<h3>{html.escape(name)}</h3><table>{lines}</table>"
    return text


def _strip(files: list[Path], name: str) -> str:
    """Some pictures side by side."""
    tiles = []
    for file in files:
        with Image.open(file) as picture:
            picture.thumbnail((SIDE, SIDE))
            tiles.append(picture.convert("RGB"))
    strip = Image.new("RGB", (sum(tile.width + 2 for tile in tiles), max(tile.height for tile in tiles)), "white")
    for i, tile in enumerate(tiles):
        strip.paste(tile, (sum(t.width + 2 for t in tiles[:i]), 0))
    data = io.BytesIO()
    strip.save(data, "JPEG", quality=85)
    return _image(data, "jpeg", f"{len(files)} pictures of {name}")


def _image(data: io.BytesIO, kind: str, words: str) -> str:
    text = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/{kind};base64,{text}">'


def health_table(checked: Iterable[Artifact]) -> Table:
    """The measurements of every set of prototypes, and the healthy ranges."""
    rows = [
        (f"IPC {(made := artifact.manifest['parameters'])['ipc']}, seed {made['distill_seed']}", fact.title, fact.text,
         fact.healthy, {True: "yes", False: "no", None: "compare"}[fact.ok])
        for artifact in checked for fact in facts_of(artifact).values()
    ]  # fmt: skip
    return Table.of_groups("", ("Set", "What", "Found", "Healthy is", "Healthy"), rows)


def unhealthy_lines(checked: Iterable[Artifact]) -> list[str]:
    """A line for each measurement that is not healthy in some of the sets."""
    facts = [fact for artifact in checked for fact in facts_of(artifact).values()]
    counts = Counter(fact.title for fact in facts if fact.ok is False)
    return [f"not healthy in {n} of {len(list(checked))} sets: {title}" for title, n in counts.items()]


def _facts(profile: Profile, rows: list[dict]) -> str:
    """Provenance of the rows, as HTML."""
    lines = [
        *((name, value.replace("`", "")) for name, value in record_facts(rows)),
        ("differs from laptop in", ", ".join(changed_knobs(profile)) or "nothing"),
    ]
    return Table.of_rows("", ("", ""), lines)._repr_html_()


def name_pictures(distilled: DistilledDataset, folder: Path) -> None:
    """Put the pictures of a set into one folder per class, named after the class.

    They are hard links to the artifact's files and take no space, or copies if the disk has no hard links.
    """
    shutil.rmtree(folder, ignore_errors=True)
    names = [folder_name(entry["name"]) for entry in distilled.classes]
    for row in distilled.metadata:
        source, label = distilled.artifact.path / row["file_name"], row["label"]
        name = names[label] if names.count(names[label]) == 1 else f"{names[label]} {label}"
        target = folder / name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def folder_name(name: str) -> str:
    """The name of a class, without characters that a file system does not allow."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "_"
