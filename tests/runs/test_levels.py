"""A run goes from few images per class to many, writes rows as they come, and starts no more than is missing."""

import json

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.runs import run as module
from ddoq_core.runs.jobs import task_of
from ddoq_core.runs.plan import students_of
from ddoq_core.runs.run import Run

SMALL = {
    "methods": ["random_real", "full"], "ipc": [3, 1], "targets": ["soft"], "train_size": 60, "teacher": "convnet-4",
    "teacher_epochs": 1, "students": ["convnet-2"], "epochs": 1, "n_seeds": 2, "workers": 1, "image_size": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Artifacts of a finished run, and the rows and images per class that were there after each student."""
    root = tmp_path_factory.mktemp("levels")
    run, seen, real = Run(Profile.of(SMALL | {"artifacts": str(root)})), [], module.Workspace.jsonl

    def noted(self, name, rows):
        path = real(self, name, rows)
        if name == "results.jsonl":
            made = {p.name.partition("-")[0] for p in (root / "random_real").iterdir()}
            seen.append(([json.loads(line) for line in path.read_text().splitlines()], made))
        return path

    module.Workspace.jsonl = noted
    try:
        rows = run.train_students(say=lambda line: None)
    finally:
        module.Workspace.jsonl = real
    return root, seen, rows


def kinds(root) -> set[str]:
    return {f"{p.parent.name}/{p.name}" for p in root.glob("*/*") if p.parent.name not in ("runs", ".locks", "train")}


def test_a_row_is_written_when_its_student_ends_small_ones_first(folder):
    _, seen, rows = folder
    counts = [len(found) for found, _ in seen]
    assert counts == sorted(counts) and len({*counts}) > 3 and counts[-1] == len(rows) == 6
    while_small = [made for found, made in seen if max((r["ipc"] or 0) for r in found) == 1]
    assert while_small and all(made == {"ipc001"} for made in while_small)  # nothing of the second level is begun


def test_the_rows_are_those_of_the_plan_in_its_order(folder):
    root, _, rows = folder
    run = Run(Profile.of(SMALL | {"artifacts": str(root)}))
    assert [task_of(row) for row in rows] == run.plan and run.finished_rows() == json.loads(json.dumps(rows))


def test_students_of_another_network_start_nothing_else(folder):
    root, _, _ = folder
    before = kinds(root)
    trained = {p.name for p in (root / "train").iterdir()}
    Run(Profile.of(SMALL | {"artifacts": str(root), "students": ["convnet-3"], "methods": ["random_real"]})).results()
    assert kinds(root) == before  # no set, no pixels, no labels, no teacher, no prior
    assert len({p.name for p in (root / "train").iterdir()} - trained) == 4


def test_a_table_at_the_scale_of_imagenet_shows_the_cells_that_are_there(folder, monkeypatch):
    root = folder[0]
    run = Run(Profile.of(SMALL | {"artifacts": str(root)}))
    monkeypatch.setattr(module, "ANOTHER_SCALE", 5)
    path = run.folder / "results.jsonl"
    whole = path.read_text()
    try:
        left = [line for line in whole.splitlines() if (json.loads(line)["ipc"], json.loads(line)["seed"]) != (3, 1)]
        path.write_text("\n".join(left) + "\n")
        assert {row["ipc"] for row in run.results()} == {None, 1} and len(run.results()) == 4
        with pytest.raises(InputError, match="not finished"):
            run.finished_rows()
        path.write_text(left[0] + "\n")
        with pytest.raises(InputError, match="not finished"):
            run.results()
    finally:
        path.write_text(whole)


def test_a_method_that_runs_at_none_of_the_levels_is_named():
    profile = Profile.of({"methods": ["d4m", "tesla"], "ipc": [10], "hard_ipc": [10], "tesla_ipc": [1]})
    with pytest.raises(InputError, match=r"tesla runs at tesla_ipc = \[1\], and none of them is in ipc = \[10\]"):
        students_of(profile)


def test_torchvisions_weights_are_scored_once():
    profile = Profile(methods=["full", "d4m"], n_student_seeds=5, teacher="resnet18", teacher_path="pretrained")
    assert [t.seed for t in Run(profile).plan if t.method == "full"] == [0]
