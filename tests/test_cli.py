"""The `ddoq` command: documentation in --help, one clear line and exit code 2 for what the user can mend."""

import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from ddoq_core import cli
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.grids import read_grid
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact

from .stand_ins import stand_in

STEPS = ["run", "pretrain", "teacher", "assess", "encode", "cluster", "synthesize", "check", "relabel", "train"]
COMMANDS = [*STEPS, "eval", "record", "bench", "grid", "cost", "knobs"]


def test_no_summary_of_a_command_is_cut_at_80_columns(ddoq, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ddoq("--help")
    lines = out.partition("Commands:\n")[2].splitlines()
    assert len(lines) >= len(COMMANDS) and max(map(len, out.splitlines())) <= 80
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_the_version_is_that_of_the_installed_package(ddoq):
    assert ddoq("--version") == (0, f"ddoq {version('ddoq_core')}\n", "")


def test_the_shell_can_complete_commands():
    shell = {"_DDOQ_COMPLETE": "complete_bash", "COMP_WORDS": "ddoq synth", "COMP_CWORD": "1"}
    script = Path(sys.executable).with_name("ddoq")
    done = subprocess.run([script], env=os.environ | shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["synthesize"]


def test_a_path_may_begin_at_the_home_folder(ddoq, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    _, _, err = ddoq("eval", "~/theirs")
    assert f"no folder {tmp_path}/theirs" in err
    _, _, err = ddoq("encode", "--profile", "~/mine.yaml")
    assert f"no profile file {tmp_path}/mine.yaml" in err
    _, _, err = ddoq("encode", "-p", "dataset=cifar10", "-p", "data_root=~/pictures")
    assert f"{tmp_path}/pictures" in err


def test_help_names_every_step_with_its_line_of_algorithm_4(ddoq):
    code, out, _ = ddoq("--help")
    assert code == 0 and all(command in out for command in COMMANDS) and "Algorithm 4, line 1" in out


@pytest.mark.parametrize("step", COMMANDS)
def test_every_command_explains_itself(ddoq, step):
    code, out, _ = ddoq(step, "--help")
    assert code == 0 and len(out.split()) > 10


def test_a_task_that_the_benchmark_does_not_know_is_one_line(ddoq):
    code, _, err = ddoq("bench", "--task", "plain")
    assert code == 2 and err.startswith("ddoq: no task 'plain'; tasks: latents, ") and err.count("\n") == 1


def test_a_grid_is_one_file_that_is_read_again_and_checked(ddoq, tmp_path):
    code, out, _ = ddoq("grid", "--points", "5", "--dimension", "1")
    assert code == 0 and out.splitlines()[0] == "5_1_nopti" and "by quadrature" in out
    assert [p.name for p in tmp_path.iterdir()] == ["5_1_nopti"]
    found = read_grid(tmp_path / "5_1_nopti")
    np.testing.assert_array_equal(found.points[:, 0], exact_quantizer(norm(), 5).points)
    code, out, err = ddoq("grid", "--law", "gauss")
    assert code == 2 and (out, err) == ("", "ddoq: no law 'gauss'; laws: normal\n")


def test_knobs_lists_every_parameter_with_default_and_meaning(ddoq):
    _, out, _ = ddoq("knobs")
    assert "guidance_scale = 2.0" in out and "classifier-free guidance" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "labtop"], "unknown profile 'labtop'; did you mean 'laptop'?"),
        (["--profile", "mine.yaml"], "no profile file mine.yaml"),
        (["-p", "guidence_scale=3"], "unknown parameter 'guidence_scale'"),
        (["-p", "epochs=many"], "epochs = 'many', but it must be a whole number"),
        (["-p", "epochs"], "'epochs' is not name=value"),
        (["-p", "ipc=[0]"], "ipc = 0, but it must be at least 1"),
        (["-p", "dataset=cifar10", "-p", "data_root=nowhere"], "nowhere"),
        (["-p", "dataset=imagefolder", "-p", "data_root=nowhere"], "nowhere"),
        (["-p", "dataset=imagefolder"], "data_root"),
        (["-p", "prior=dit", "-p", "prior_path=nowhere"], "nowhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_input_is_one_line_that_names_it_and_exit_code_2(ddoq, tmp_path, words, message):
    code, out, err = ddoq("encode", *words)
    assert code == 2 and out == ""
    assert err.startswith("ddoq: ") and err.count("\n") == 1 and message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["theirs", "--preset", "d5m"], "no preset 'd5m'; did you mean 'd4m'?; presets: d4m, rded"),
        (["theirs", "-p", "epoch=3"], "unknown parameter 'epoch'"),
        (["theirs"], "no folder theirs; give one that holds a folder of images for each class"),
    ],
)
def test_what_eval_cannot_take_is_one_line_and_leaves_nothing_behind(ddoq, tmp_path, words, message):
    code, out, err = ddoq("eval", *words)
    assert code == 2 and out == "" and err.startswith(f"ddoq: {message}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_eval_names_the_class_that_has_no_image(ddoq, tmp_path):
    for c in range(10):
        (tmp_path / "theirs" / f"new{c:03d}").mkdir(parents=True)
        Image.new("L", (28, 28), 20 * c).save(tmp_path / "theirs" / f"new{c:03d}" / "0.jpg")
    (tmp_path / "theirs" / "new003" / "0.jpg").unlink()
    code, _, err = ddoq("eval", "theirs", "--profile", "smoke")
    assert code == 2 and "theirs/new003 holds no image" in err and err.count("\n") == 1


def folder_of_images(root, **classes: int):
    for part in ("train", "val"):
        for name, n in classes.items():
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (40, 40), (i % 256, 10, 10)).save(root / part / name / f"{i:03d}.png")
    return root


SMALL = ["--profile", "smoke", "-p", "dataset=imagefolder", "-p", "data_root=data", "-p", "validation_fraction=0.0"]


def test_an_empty_class_folder_is_named(ddoq, tmp_path):
    (folder_of_images(tmp_path / "data", ant=4) / "train" / "bee").mkdir()
    code, _, err = ddoq("encode", *SMALL)
    assert code == 2 and "bee" in err and err.count("\n") == 1


def test_an_unreadable_image_is_named_and_skipped_only_when_allowed(ddoq, tmp_path):
    root = folder_of_images(tmp_path / "data", ant=6, bee=6)
    (root / "train" / "bee" / "002.png").write_bytes(b"\x89PNG no more")
    code, _, err = ddoq("encode", *SMALL)
    assert code == 2 and "002.png" in err and "skip_unreadable" in err
    code, _, err = ddoq("encode", *SMALL, "-p", "skip_unreadable=true")
    assert code == 0 and "002.png" in err


def test_ipc_above_the_class_size_names_the_class_and_its_size(ddoq, tmp_path):
    folder_of_images(tmp_path / "data", ant=6, bee=3)
    code, _, err = ddoq("cluster", *SMALL, "-p", "ipc=[5]")
    assert code == 2 and err.splitlines()[-1].startswith("ddoq: ipc = 5")
    assert "bee" in err and "3 training images" in err


def test_more_images_with_hard_labels_than_a_class_has_are_refused_by_their_own_name_before_anything_is_made(
    ddoq, tmp_path
):
    folder_of_images(tmp_path / "data", ant=6, bee=6)
    code, _, err = ddoq("run", *SMALL, "-p", "ipc=[2, 5]", "-p", "hard_ipc=10")
    assert code == 2 and err.splitlines()[-1].startswith("ddoq: hard_ipc = 10, but class 0")
    assert "lower hard_ipc" in err and {p.name for p in (tmp_path / "artifacts").iterdir()} <= {"scan", ".locks"}


def test_a_folder_that_cannot_be_written_is_named(ddoq, tmp_path):
    (tmp_path / "artifacts").write_text("a file stands here")
    code, _, err = ddoq("pretrain", "--profile", "smoke")
    assert code == 2 and "artifacts" in err.splitlines()[-1]


IMAGENET = ["-p", "dataset=imagefolder", "-p", "image_size=224", "--classes", "1000", "--images-per-class", "1281"]


def test_cost_is_a_table_of_steps_and_leaves_nothing_behind(ddoq, tmp_path):
    code, out, _ = ddoq("cost")
    assert code == 0 and "| 1 Latent clustering | encode | all | 1 | 41.3 GFLOP |" in out and "| All |" in out
    assert not list(tmp_path.iterdir())


def test_cost_at_imagenets_scale_needs_neither_images_nor_weights_and_quotes_the_papers_hours(ddoq):
    code, out, _ = ddoq("cost", *IMAGENET, "-p", "prior=stable-diffusion", "-p", "validation_fraction=0")
    assert code == 0 and "1,281,000 training images of 1,000 classes" in out and "Quoted: hours" in out


def test_cost_tells_the_memory_of_training_and_that_a_batch_fits_on_no_card_and_refuses_nothing(ddoq):
    words = ["cost", "--profile", "imagenet", "-p", "students=[resnet18, resnet101]", "-p", "ipc=[200]"]
    code, out, _ = ddoq(*words)
    assert code == 0 and "| resnet18, soft labels | 200 | 30.1 GB | 512 | 22.2 MB | 12.2 GB | 16 GB |" in out
    code, out, _ = ddoq(*words, "-p", "accumulate=1")
    assert code == 0 and "| resnet101, soft labels | 200 | 30.1 GB | 1024 | 127 MB | 131 GB | – |" in out


def test_the_teacher_is_compared_with_what_torchvision_publishes(ddoq, monkeypatch):
    profile = Profile(teacher="resnet18", teacher_path="pretrained", image_size=224, test_crop=0.875)
    said = {}
    for top1 in (69.76, 68.4):
        metrics = {"top1": top1, "n_test": 50_000}
        judge = stand_in(Artifact, path=Path("judge"), json=lambda name, metrics=metrics: metrics)
        whole = stand_in(Run, teacher=judge, dataset=stand_in(Dataset, n_classes=1000), profile=profile)
        monkeypatch.setattr(cli, "given_run", lambda *given, whole=whole, **more: whole)
        said[top1] = ddoq("teacher", "--published")
    assert said[69.76][0] == 0 and "top-1 69.76 %, and 69.76 % published by torchvision" in said[69.76][1]
    assert said[68.4][0] == 2 and said[68.4][2].count("\n") == 1 and "they differ by more than 0.1" in said[68.4][2]


def test_cost_says_which_run_to_finish_before_it_can_be_measured(ddoq, tmp_path):
    code, _, err = ddoq("cost", "--measured")
    assert code == 2 and "run `ddoq run --profile laptop`" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peak", "0"], "--peak = 0"),
        (["--efficiency", "1.5"], "--efficiency = 1.5"),
        (["--efficiency", "0"], "--efficiency = 0"),
        (["--classes", "10"], "--classes and --images-per-class go together"),
        (["--classes", "0", "--images-per-class", "5"], "--classes = 0"),
        (["-p", "students=[resnet19]"], "unknown network 'resnet19'; did you mean 'resnet18'?"),
        (["-p", "ipc=[500]"], "ipc = 500, but a class has 350 training images"),
        (["-p", "dataset=imagefolder"], "set data_root, or give --classes"),
        (["-p", "dataset=imagefolder", "--data-root", "nowhere"], "no folder nowhere/train"),
        (["-p", "prior=dit", "--prior-path", "."], "holds no configuration of a dit prior"),
        (["-p", "image_size=30"], "prior = pretrain needs a multiple of 8"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_cost_of_what_cannot_be_is_one_line_and_exit_code_2(ddoq, words, message):
    code, out, err = ddoq("cost", *words)
    assert code == 2 and out == "" and err.startswith("ddoq: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "-p", "guidence_scale=3"], ["cost", "--peak", "0"]],
    ids=["help", "bad parameter", "bad peak"],
)
def test_the_command_answers_before_it_imports_anything_heavy(words):
    call = "from ddoq_core import cli\ntry: cli.main()\nexcept SystemExit: pass"
    code = f"import sys\n{call}\nsys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_program_is_installed_under_its_name():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "ddoq_core", "-h"], capture_output=True, text=True)
    assert time.monotonic() - began < 60 and done.returncode in (0, 2)


def test_a_study_that_is_none_and_a_choice_without_students_are_one_line(ddoq, declared_studies, tmp_path):
    code, _, err = ddoq("record", "tables", "--out", str(tmp_path))
    known = "ablations, baselines, controlled, exponents, exponents_controlled, exponents_photographs, families, "
    known += "families_tuning, few_images, labels, latents, learned, oracles, photographs, table, tuning, weights, zipf"
    assert code == 2 and err == f"ddoq: no study 'tables'; studies: {known}\n"
    code, _, err = ddoq("record", "table", "--out", str(tmp_path), "--ipc", "7", "--method", "d4m")
    assert code == 2 and "has no student with" in err and not list(tmp_path.glob("*.jsonl"))
