"""What `ddoq run` and `ddoq eval` leave and show: a page, a table, pictures by name, and few lines at the terminal."""

import io
import json
import re
import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ddoq_book.run_report import REPORT, contact_sheets, folder_name
from ddoq_core import cli, options
from ddoq_core.methods import METHODS
from ddoq_core.pipeline.distilled import DistilledDataset

from ..conftest import _save_random_prior
from ..stand_ins import stand_in

CLASSES = ["blue tit", "Kohlmeise <m>"]
VALUES = {
    "dataset": "imagefolder", "image_size": 16, "validation_fraction": 0.25, "prior": "dit", "teacher": "convnet-4",
    "teacher_epochs": 1, "ipc": [1, 3], "methods": ["random_real", "d4m", "ddoq", "full"], "students": ["convnet-2"],
    "epochs": 1, "n_seeds": 2, "n_restarts": 1, "n_steps": 2, "threads": 1, "workers": 1,
}  # fmt: skip


def birds(root: Path) -> None:
    """Two classes of noise, 8 and 2 images of each."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("val", 2)):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)).save(
                    root / part / name / f"{i}.png"
                )


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """`call(*words)`: a command on these birds with a prior of random weights; its exit code, output, errors."""
    root = tmp_path_factory.mktemp("birds")
    birds(root / "birds")
    _save_random_prior(root / "prior", channels=3)
    index = root / "prior" / "model_index.json"
    labels = {"id2label": {str(i): name for i, name in enumerate(CLASSES)}}
    index.write_text(json.dumps(json.loads(index.read_text()) | labels))
    places = {"data_root": str(root / "birds"), "prior_path": str(root / "prior"), "artifacts": str(root / "artifacts")}
    values = [f"{name}={json.dumps(value)}" for name, value in (VALUES | places).items()]
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    points = [EntryPoint(name, value, "ddoq.report") for name, value in declared["ddoq.report"].items()]

    def of(capsys, *words: str) -> SimpleNamespace:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(options, "entry_points", lambda **wanted: EntryPoints(points).select(**wanted))
            patch.setattr(sys, "argv", ["ddoq", *words, *(w for value in values for w in ("-p", value))])
            try:
                cli.main()
            except SystemExit as stop:
                assert not stop.code, capsys.readouterr().err
        return capsys.readouterr()

    return of


class Captured:
    """What a module's fixture has instead of capsys."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.streams = {"out": io.StringIO(), "err": io.StringIO()}
        for name, stream in self.streams.items():
            patch.setattr(sys, f"std{name}", stream)

    def readouterr(self) -> SimpleNamespace:
        return SimpleNamespace(**{name: stream.getvalue() for name, stream in self.streams.items()})


@pytest.fixture(scope="module")
def finished(call):
    """The output of the run, which is made once."""
    with pytest.MonkeyPatch.context() as patch:
        return call(Captured(patch), "run")


def test_a_run_ends_with_its_table_and_the_places_of_all_that_it_has_made(finished):
    lines = finished.out.splitlines()
    assert lines[0].startswith("Top-1 accuracy in percent on the 4 test images")
    head, rows = lines[2], lines[3:10]
    assert head.split()[:2] == ["IPC", "Method"] and " ".join(row.split()[0] for row in rows) == "all 1 1 1 3 3 3"
    assert len({row.index("[") for row in rows}) == 1  # columns stand in line
    places = dict(line.split(": ", 1) for line in lines if re.match("pictures|report|table: ", line))
    assert places.keys() == {"pictures", "report", "table"} and all(Path(place).exists() for place in places.values())
    assert Path(lines[-1]).name == "results.jsonl" and Path(lines[-1]).parent == Path(places["report"]).parent


def test_where_there_is_no_terminal_lines_are_plain_and_the_students_are_counted(finished):
    assert "\r" not in finished.out + finished.err and "\x1b" not in finished.out + finished.err
    counted = [line for line in finished.err.splitlines() if line.startswith("ddoq: student ")]
    assert counted[-1] == "ddoq: student 20 of 20" and len(counted) <= 3
    levels = [line for line in finished.err.splitlines() if "making sets and labels" in line]
    assert ["all real images" in line for line in levels] == [True, False]  # `full` is trained with the first level


def test_what_is_not_healthy_is_said_once_and_summed_up_at_the_end(finished):
    said = [re.match("ddoq: NOT HEALTHY: (.*?) [\\d.]", line) for line in finished.err.splitlines()]
    names = [found[1] for found in said if found]
    assert names and len(names) == len(set(names))
    at_end = [line for line in finished.out.splitlines() if line.startswith("not healthy in ")]
    assert len(at_end) == len(names) and all(" of 4 sets: " in line for line in at_end)


def test_the_report_is_one_page_without_a_request(finished):
    page = (Path(finished.out.splitlines()[-1]).parent / REPORT).read_text()
    assert len(page) < 5e6 and not re.search(r'(src|href)="(?!data:)|url\(|<script|@import', page)
    parts = (
        "Top-1 accuracy",
        "Figure 1, DDOQ: Pictures of ",
        "laptop on birds",
        "Are the sets healthy?",
        "What made this run",
        "Kohlmeise &lt;m&gt;",
    )
    for part in parts:
        assert part in page
    titles = [METHODS[name].title for name in ("random_real", "d4m", "ddoq")]
    assert re.findall("<h3>(.*?)</h3>", page) == titles and page.count("data:image/jpeg") == 2 * len(titles)
    assert all("alt=" in tag for tag in re.findall("<img[^>]*>", page))


def test_the_table_is_the_one_of_the_terminal_as_markdown(finished):
    table = (Path(finished.out.splitlines()[-1]).parent / "table.md").read_text()
    assert table.startswith(f"**{finished.out.splitlines()[0]}**\n\n| IPC | Method |") and "DDOQ minus D⁴M" in table


def test_pictures_lie_in_folders_that_are_called_as_the_classes_are(finished):
    folder = Path(finished.out.splitlines()[-1]).parent
    assert len(list((folder / "pictures").iterdir())) == 3 * 2 * 2
    for name in ("blue tit", "Kohlmeise _m_"):
        assert len(list((folder / "pictures" / "ddoq-ipc003-seed1" / name).glob("*.png"))) == 3
    theirs = {path.read_bytes() for path in folder.parents[1].glob("synthesize/ipc003-seed1-*/*/*.png")}
    ours = {path.read_bytes() for path in (folder / "pictures" / "ddoq-ipc003-seed1").rglob("*.png")}
    assert ours == theirs and len(ours) == 6


def test_a_quiet_run_prints_the_path_of_its_results_and_nothing_else(finished, call, capsys):
    again = call(capsys, "run", "--quiet")
    assert again.err == "" and again.out.splitlines() == finished.out.splitlines()[-1:]


def test_an_evaluation_ends_with_its_table_and_leaves_a_report(finished, call, capsys):
    folder = next((Path(finished.out.splitlines()[-1]).parents[2] / "random_real").glob("ipc003-seed0-*"))
    done = call(capsys, "eval", str(folder))
    lines = done.out.splitlines()
    assert lines[0].startswith("images: 3 of each of 2 classes")
    (head,) = [i for i, line in enumerate(lines) if line.startswith("Set ")]
    assert "Top-1" in lines[head] and "Top-5" not in lines[head]  # of two classes
    assert Path(lines[-1]).is_file()
    page = (Path(lines[-1]).parent / REPORT).read_text()
    assert "What was assumed" in page and page.count("data:image/jpeg") == 2


@pytest.mark.parametrize("n_sets", [2, 34])
def test_of_many_large_pictures_the_contact_sheets_stay_small(tmp_path, n_sets):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    n_classes, ipc = 20, 50
    one = stand_in(
        DistilledDataset, classes=[{"name": str(c)} for c in range(n_classes)], counts=torch.ones(n_classes * ipc),
        artifact=SimpleNamespace(path=tmp_path), metadata=[{"file_name": "a.png"}] * (n_classes * ipc),
        by_class=lambda values: values.split(ipc),
    )  # fmt: skip
    assert 5e5 < len(contact_sheets({str(i): one for i in range(n_sets)})) < 4.5e6


def test_a_name_that_is_no_folder_becomes_one():
    names = {"a/b": "a_b", " .. ": "_", "tench, Tinca tinca": "tench, Tinca tinca", "nul\x00": "nul_"}
    assert {name: folder_name(name) for name in names} == names
