"""Every notebook that takes data runs by papermill on a folder of two classes that are called oddly."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import papermill
import pytest
from PIL import Image

from ddoq_core.config.files import find_profile
from ddoq_core.config.profile import NOTEBOOKS, Profile, read_profile
from ddoq_core.methods import SMALL

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import execute  # noqa: E402 - a tool beside the book, not a part of the package

TAKE_DATA = [p for p in sorted((ROOT / "notebooks").glob("[23][0-9]_*.ipynb")) if "Run(" in p.read_text()]
NAMES = ["50 % <off> & 1", "$x_1$ äpfel*"]
SIZE, N_TRAIN, N_TEST = 16, 24, 6
WITHOUT_WIDTH = r"100\.0 ?\[100\.0, 100\.0\]|\b0\.0 ?\[0\.0, 0\.0\] %"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """train/ and val/ with two classes of coloured noise, each with a bright stripe at a place of its own."""
    root, rng = tmp_path_factory.mktemp("foreign") / "my data", np.random.default_rng(0)
    for part, n in (("train", N_TRAIN), ("val", N_TEST)):
        for label, name in enumerate(NAMES):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                values = rng.integers(0, 60, (SIZE, SIZE, 3))
                values[:, 8 * label : 8 * label + 8] += 180
                Image.fromarray(values.astype(np.uint8)).save(root / part / name / f"{i}.jpg")
    return root


@pytest.fixture(scope="module")
def values(folder) -> dict:
    """What is given with -p: the sizes of the profile `smoke`, and this folder."""
    content = read_profile(find_profile("smoke"))
    sizes = content.pop(NOTEBOOKS)
    named = {"dataset": "imagefolder", "data_root": str(folder), "image_size": SIZE, "flip": True}
    named |= {"artifacts": str(folder.parent / "artifacts"), "teacher": "convnet-8", "students": ["convnet-4"]}
    return Profile.load("smoke", content | SMALL | named).subset(*Profile.knobs()) | sizes


def test_the_notebooks_that_take_data_are_those_of_the_method_and_of_the_results():
    assert len(TAKE_DATA) >= 6 and all(execute.declared(execute.jupytext.read(p)) for p in TAKE_DATA)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", TAKE_DATA, ids=lambda p: p.stem)
def test_a_notebook_runs_on_a_folder_of_two_classes_with_odd_names(notebook, values, tmp_path):
    names = execute.declared(execute.jupytext.read(notebook))
    given, out = execute.given(names, values), tmp_path / "out.ipynb"
    papermill.execute_notebook(str(notebook), str(out), given, kernel_name="python3", cwd=ROOT, progress_bar=False)
    shown = json.dumps([cell.get("outputs") for cell in json.loads(out.read_text())["cells"]], ensure_ascii=False)
    assert re.findall(WITHOUT_WIDTH, shown) == [] and "top-5" not in shown.lower()
