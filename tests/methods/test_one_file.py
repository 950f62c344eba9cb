"""One file is enough: each file of the page `Extending it`, put into a copy of the package, is known everywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ddoq_core.config.profile import Profile
from ddoq_core.cost.model import costs
from ddoq_core.cost.sizes import Images
from ddoq_core.methods import METHODS, SMALL

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "extending.md").read_text()
FILES = dict(re.findall(r"```\{code-block\} python\n:caption: (\S+)\n(.*?)```", PAGE, flags=re.DOTALL))
METHOD, DATA, PRIOR = (f"ddoq_core/{name}.py" for name in ("methods/central", "data/sets/bars", "priors/class_unet"))
TINY = {
    "image_size": 16, "dataset": "bars", "teacher": "convnet-4", "teacher_epochs": 1, "students": ["convnet-4"],
    "ipc": [1, 2], "hard_ipc": [2], "epochs": 2, "batch_size": 2, "n_seeds": 2, "methods": ["random_real", "central"],
}  # fmt: skip
TABLE = """
import json, sys
from pathlib import Path
from ddoq_book.ch31.table1 import table1, table1_table
from ddoq_core.results.records import Records
rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
print(table1_table(table1(Records.of(rows))).markdown())
"""
KEY = """
from ddoq_core.store.source import source_key
print(source_key(("ddoq_core.priors.dit", "ddoq_core.priors.load")))
"""
DENOISE = """
import sys, json, torch
from pathlib import Path
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel
from ddoq_core.config.profile import Profile
from ddoq_core.priors.load import load_prior, prior_artifact, prior_modules
from ddoq_core.randomness import torch_rng
folder, narrow = Path(sys.argv[1]), {"block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 4}
blocks = [{f"{way}_block_types": [f"{name}Block2D"] * 2 for way, name in kind}
          for kind in ((("down", "Down"), ("up", "Up")), (("down", "DownEncoder"), ("up", "UpDecoder")))]
UNet2DModel(8, 4, 4, num_class_embeds=3, add_attention=False, **narrow, **blocks[0]).save_pretrained(folder / "unet")
AutoencoderKL(1, 1, mid_block_add_attention=False, **narrow, **blocks[1]).save_pretrained(folder / "vae")
DDIMScheduler().save_pretrained(folder / "scheduler")
index = {"_class_name": "ClassUNetPipeline", "scheduler": ["diffusers", "DDIMScheduler"]}
(folder / "model_index.json").write_text(json.dumps(index))
profile = Profile.of({"prior": "class-unet", "prior_path": str(folder)})
assert prior_modules(profile) == ("ddoq_core.priors.class_unet",)
prior = load_prior(prior_artifact(profile).path)
labels, noise = prior.embed([{}, {}]), [torch_rng(0, i) for i in range(2)]
latents = prior.denoise(None, labels, guidance=2.0, steps=2, noise=noise)
print(tuple(prior.decode(latents).shape))
"""


def copied(folder: Path, *files: str) -> Path:
    """The package, its book and its tests, with these files of the page."""
    leave = shutil.ignore_patterns("__pycache__", "artifacts", "_build", "chapters")
    for name in ("ddoq_core", "book", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file in files:
        (folder / file).write_text(FILES[file])
    return folder


def told(folder: Path, *words: str) -> str:
    """What a Python process in the copy prints."""
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder / 'book'}"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def given(values: dict) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f"{name}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy with a method and a data set more."""
    return copied(tmp_path_factory.mktemp("copy"), METHOD, DATA)


@pytest.fixture(scope="module")
def results(copy):
    """`results.jsonl` of a run of the new method on the new data."""
    return copy / told(copy, "-m", "ddoq_core", "run", *given(TINY)).splitlines()[-1]


def test_the_page_shows_one_file_of_each_kind():
    assert list(FILES) == [METHOD, DATA, PRIOR]


def test_an_unknown_method_has_a_cost():
    assert all(method.cost for method in METHODS.values())


def test_methods_that_share_images_make_and_pay_for_them_in_the_same_way():
    for method in METHODS.values():
        others = [m for m in METHODS.values() if m.images == method.images]
        assert {(m.distill, m.cost, m.uses, m.fits) for m in others} == {
            (method.distill, method.cost, method.uses, method.fits)
        }


def test_what_a_method_uses_is_a_step_or_the_images_of_another_one():
    known = {"prior", "encode", "cluster"} | {method.images for method in METHODS.values()}
    assert all(set(method.uses) <= known for method in METHODS.values())


def test_the_small_values_of_a_method_are_of_its_own_knobs():
    for method in METHODS.values():
        assert all(method.name in Profile.knobs()[name].metadata["methods"] for name in method.small)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.distill])
def test_a_method_alone_has_a_cost_of_its_own(name):
    found = costs(Profile.of(SMALL | {"methods": [name], "targets": ["soft"], "ipc": [2]}), Images.of(Profile()))
    assert any(cost.stage == "2 Synthesis" and cost.title for cost in found)


def test_the_knobs_of_a_method_are_listed_with_all_others(copy):
    listed = told(copy, "-m", "ddoq_core", "knobs")
    assert "central_side = 8\n    side of the shrunk images that are compared" in listed
    assert "ddoq_medoid_permuted, full, central." in " ".join(listed.split()) and "One of: bars, cifar10" in listed


def test_a_method_is_listed_after_those_of_the_package(copy):
    code = "from ddoq_core.methods import METHODS; print(*METHODS)"
    assert told(copy, "-c", code).split() == [*METHODS, "central"]


def test_the_knob_of_a_method_leaves_all_other_knobs_as_they_are(copy):
    code = "import dataclasses, yaml; from ddoq_core.config.profile import Profile as P"
    values = yaml.safe_load(told(copy, "-c", f"{code}; print(yaml.safe_dump(dataclasses.asdict(P())))"))
    assert values == {name: getattr(Profile(), name) for name in Profile.knobs()} | {"central_side": 8}


@pytest.mark.slow
def test_the_method_is_run_and_scored(results):
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    mine = [row for row in rows if row["method"] == "central"]
    assert {(row["ipc"], row["labels"]) for row in mine} == {(1, "soft"), (2, "soft"), (2, "hard")}
    assert all(row["weights"] == "own" and 0 <= row["top1"] <= 100 for row in mine)
    assert not {row["key"] for row in mine} & {row["key"] for row in rows if row["method"] != "central"}


@pytest.mark.slow
def test_table_1_has_its_row(copy, results):
    assert "Central images" in told(copy, "-c", TABLE, str(results))


@pytest.mark.slow
def test_its_cost_is_known_before_the_run_and_so_are_the_sizes_of_the_data_set(copy):
    table = told(copy, "-m", "ddoq_core", "cost", *given(TINY))
    assert "nearest to the mean" in table and "84 training images of 2 classes" in table


@pytest.mark.slow
def test_the_tests_that_go_over_all_methods_go_over_it(copy):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    told(copy, *words, "tests/cost/test_cost.py", "-m", "not slow", "-k", "exactly_the_artifacts")
    told(copy, *words, "tests/methods/test_one_file.py", "-k", "unknown or small_values or of_its_own")


@pytest.mark.slow
def test_one_file_is_a_prior_and_changes_no_key_of_another_one(tmp_path):
    folder = copied(tmp_path, PRIOR)
    assert told(folder, "-c", DENOISE, str(tmp_path)).strip() == "(2, 1, 16, 16)"
    assert told(folder, "-c", KEY) == told(ROOT, "-c", KEY)
