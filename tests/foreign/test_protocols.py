"""`ddoq eval`: folders of every layout, trained by a published protocol and scored, whoever made them."""

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddoq_core import cli
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.foreign import protocols as module
from ddoq_core.foreign.protocols import PROTOCOLS, evaluate_folder, evaluation_table
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import SetSize
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.randomness import numpy_rng
from ddoq_core.runs.run import Run

N, IPC, SIZE = 11, 2, 16  # classes: enough for 10 to come before 2
WNIDS = ["n01440764", "n02102040", "n02979186", "n03000684", "n03028079", "n03394916", "n03417042", "n03425413"]
WNIDS += ["n03445777", "n03888257", "n04591713"]
LAYOUTS = {  # of class c, image k
    "D4M": "{c}/{c}-image{k}0.png",
    "SRe2L": "new{c:03d}/class{c:03d}_id{k:03d}.jpg",
    "random subset": "{wnid}/{wnid}_{k}.png",
}
FIXED = {  # what defines a protocol for folders: D4M's validate/train_FKD.py, RDED's validation and argument.py
    "d4m": {"lr_schedule": "cosine", "crop_scale": 0.08, "batch_size": 11, "epochs": 3},
    "rded": {"lr_schedule": "half-cosine", "crop_scale": 0.5, "batch_size": 10, "epochs": 9},  # three of the profile's
}
SHARED = {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "temperature": 20.0, "loss": "forward"}


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> Profile:
    """Eleven classes of noisy photographs in files, each of one brightness, and a profile that asks for little."""
    root = tmp_path_factory.mktemp("birds")
    for (c, wnid), (part, n) in itertools.product(enumerate(WNIDS), {"train": 6, "val": 4}.items()):
        (root / part / wnid).mkdir(parents=True)
        for i in range(n):
            noise = numpy_rng(0, part, c, i).integers(0, 20, (SIZE, SIZE, 3)) + 20 * c
            Image.fromarray(noise.astype(np.uint8)).save(root / part / wnid / f"{i}.png")
    return Profile(
        profile="birds", dataset="imagefolder", data_root=str(root), image_size=SIZE, validation_fraction=0.0,
        teacher="convnet-8", teacher_epochs=15, students=["convnet-4"], epochs=3, rded_factor=2, ipc=[IPC],
        methods=["random_real"], targets=["soft"], n_seeds=1, threads=1, workers=1,
        artifacts=str(tmp_path_factory.mktemp("store")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def ours(birds) -> Path:
    """Two real images of each class, as a distilled set of ours."""
    return Run(birds).distilled("random_real", IPC).artifact.path


@pytest.fixture
def folder(birds, ours, tmp_path):
    """`folder(layout)`: the images of `ours`, laid out as others do."""

    def write(layout: str) -> Path:
        root = tmp_path / "theirs"
        for c, k in itertools.product(range(N), range(IPC)):
            path = root / LAYOUTS[layout].format(c=c, k=k, wnid=WNIDS[c])
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(ours / f"{c:05d}" / f"class{c:05d}_id{k:05d}.png") as image:
                image.save(path)
        return root

    return write


def parameters(birds, row) -> bytes:
    (student,) = Path(birds.artifacts).glob(f"train/*{row['key']}")
    return (student / "student.safetensors").read_bytes()


def times(birds) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in Path(birds.artifacts).glob("*/*/manifest.json")}


@pytest.mark.parametrize("preset", FIXED)
def test_a_set_gives_the_identical_student_in_every_layout_that_keeps_its_pixels(birds, ours, folder, preset):
    (own,) = evaluate_folder(ours, preset, birds).rows
    for layout in ("D4M", "random subset"):
        root = folder(layout)
        (row,) = evaluate_folder(root, preset, birds).rows
        assert parameters(birds, row) == parameters(birds, own) and row["hits"] == own["hits"]
        shutil.rmtree(root)
    (lossy,) = evaluate_folder(folder("SRe2L"), preset, birds).rows  # JPEG
    assert lossy["n_test"] == own["n_test"] == 4 * N and parameters(birds, lossy) != parameters(birds, own)


def test_a_set_of_ours_gets_the_student_that_a_run_trains_on_it(birds, ours):
    knobs = SHARED | {"batch_size": 4, "crop_scale": 0.5, "lr_schedule": "step", "learning_rate": 0.01}
    profile = birds.replace(**knobs)
    (trained,) = Run(profile).train_students(say=lambda line: None)
    (row,) = evaluate_folder(ours, "d4m", profile, [*knobs]).rows
    assert parameters(birds, row) == parameters(birds, trained) and row["top5"] == trained["top5"]
    assert trained.keys() - row.keys() == set() and row["preset"] == "d4m"


def test_a_students_labels_are_right_though_imagefolder_would_mix_up_these_folders(birds, folder, monkeypatch):
    """With labels of its own the wrong order would be seen at once: hard targets, and a student that learns them."""
    hard = replace(METHODS["d4m"], protocol=lambda profile, size: ("hard", {"cutmix": False, "epochs": 80}))
    monkeypatch.setitem(module.PROTOCOLS, "hard", hard)
    monkeypatch.setitem(module.NOT_AS_PUBLISHED, "hard", "")
    learning = birds.replace(students=["convnet-16"], learning_rate=0.01, batch_size=11)
    assert evaluate_folder(folder("D4M"), "hard", learning).rows[0]["top1"] > 60


@pytest.mark.parametrize("preset", FIXED)
def test_a_preset_sets_what_defines_its_protocol_and_you_win_over_it(birds, ours, preset, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "train_all", lambda levels, workers, finished: seen.extend(*levels))
    evaluate_folder(ours, preset, birds)
    evaluate_folder(ours, preset, birds.replace(learning_rate=0.5, epochs=7), ["learning_rate", "epochs"])
    published, changed = (job.profile for job in seen)
    expected = SHARED | FIXED[preset] | {"cutmix": True, "soft_labels": "online"}
    assert published.subset(*expected) == expected and [job.target for job in seen] == ["soft", "soft"]
    assert published.subset("students", "flip") == birds.subset("students", "flip")
    assert changed.subset(*expected) == expected | {"learning_rate": 0.5, "epochs": 7}


@pytest.mark.parametrize(("classes", "ipc", "batch"), [(1000, 10, 1024), (100, 50, 102), (10, 10, 10), (10, 1, 10)])
def test_the_batch_of_d4m_is_1024_for_a_thousand_classes_and_in_proportion_for_fewer(classes, ipc, batch):
    assert PROTOCOLS["d4m"].protocol(Profile(), SetSize(ipc, classes))[1]["batch_size"] == batch


def test_the_protocol_of_rded_is_the_one_of_its_row_and_the_command_knows_every_preset():
    assert PROTOCOLS["rded"] is METHODS["rded"]
    assert tuple(PROTOCOLS) == cli.PRESETS and PROTOCOLS.keys() == module.NOT_AS_PUBLISHED.keys()


def test_weights_that_come_with_a_folder_reach_the_loss(birds, folder, monkeypatch):
    root = folder("D4M")
    (plain,) = evaluate_folder(root, "d4m", birds).rows
    np.savetxt(root / "sample_weights.txt", np.tile([0.1, 0.9], (N, 1)), fmt="%f")
    shown = []

    def batches(self, epoch, of=Lessons.batches):
        for batch in of(self, epoch):
            shown.extend(batch[2].tolist())
            yield batch

    monkeypatch.setattr(Lessons, "batches", batches)
    (row,) = evaluate_folder(root, "d4m", birds.replace(cutmix=False), ["cutmix"]).rows
    assert sorted(shown) == pytest.approx([0.2] * 3 * N + [1.8] * 3 * N) and row["weights"] == "given"
    (weighted,) = evaluate_folder(root, "d4m", birds).rows
    assert parameters(birds, weighted) != parameters(birds, plain)
    (uniform,) = evaluate_folder(root, "d4m", birds.replace(weights="uniform")).rows
    assert parameters(birds, uniform) == parameters(birds, plain)


def test_what_was_assumed_is_said_and_kept_beside_the_row(birds, folder):
    done = evaluate_folder(folder("D4M"), "rded", birds.replace(n_student_seeds=2), ["n_student_seeds"])
    assumed, table = done.assumed, evaluation_table(done)
    for line in (
        "images: 2 of each of 11 classes, 16 x 16 pixels",
        "class order: by the number in the folder's name, 0 to 10; sorted as text, 9 of them would get another class",
        "weights: uniform",
        "preset rded: .*lr_schedule = half-cosine.*patches are not shuffled",
        "set by you: n_student_seeds = 2",
        "by the profile birds: .*epochs = 9 .published: 300.*test_crop = 0.0 .published: 0.875.",
        r"teacher: convnet-8, right on \d+.\d % of the 44 test images of imagefolder",
    ):
        assert any(re.match(line, said) for said in assumed), line
    (row,) = table.rows
    assert row[:3] == ("theirs", 2, "convnet-4") and row[-1] == 2 and table.heads[3:5] == ("Top-1", "Top-5")
    assert re.match(r"Accuracy in percent on 44 test images of imagefolder: mean \[95 % interval\]", table.caption)
    assert [json.loads(line) for line in done.file.read_text().splitlines()] == done.rows
    assert json.loads(done.file.with_name("assumed.json").read_text()) == done.assumed


def test_what_is_finished_is_not_made_again_and_what_was_interrupted_goes_on(birds, folder, monkeypatch):
    root, profile = folder("D4M"), birds.replace(seed=5)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "train_all", killed)
        evaluate_folder(root, "d4m", profile)
    before = times(birds)
    assert [p for p in before if p.parent.name.startswith("theirs") and p.parent.parent.name == "foreign"]
    first = evaluate_folder(root, "d4m", profile)
    after = times(birds)
    assert before.items() < after.items()
    assert evaluate_folder(root, "d4m", profile) == first and times(birds) == after


def test_bad_folders_are_told_before_a_teacher_is_trained(birds, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "teacher", property(lambda run: pytest.fail("a teacher was asked for")))
    with pytest.raises(InputError, match="no folder"):
        evaluate_folder(tmp_path / "nowhere", "d4m", birds)


def test_the_command_prints_the_assumptions_and_the_accuracy(birds, ours, monkeypatch, capsys):
    values = {n: v for n, v in vars(birds).items() if v != getattr(Profile(), n)}
    words = [f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in values.items()]
    monkeypatch.setattr("sys.argv", ["ddoq", "eval", str(ours), *(w for word in words for w in ("-p", word))])
    with pytest.raises(SystemExit) as stop:
        cli.app()
    out = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0 and out[0].startswith("images: 2 of each of 11 classes")
    assert any(line.startswith("Set ") and "Top-1" in line for line in out)
    assert Path(out[-1]).is_file()
