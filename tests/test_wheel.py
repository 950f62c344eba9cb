"""The wheel in an empty environment, no repository near: the light core, then the extra `pipeline`."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIGHT = {  # commands that the light core answers, and a word of the answer
    ("-c", "from ddoq_core.quantization import OptimalQuantizer, lloyd, clvq; print('quantizers')"): "quantizers",
    ("-m", "ddoq_core", "--help"): "Usage",
    ("-m", "ddoq_core", "knobs"): "guidance_scale",
    ("-m", "ddoq_core", "cost", "--profile", "imagenet"): "1,281,167 training images",
}
NOT_INSTALLED = ("diffusers", "transformers", "torchvision", "matplotlib", "mlxtend", "accelerate", "IPython")
FIND = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"

pytestmark = pytest.mark.slow


def answered(python: Path, *words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess:
    """A command of the environment, which knows of no other."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_"))}
    done = subprocess.run([python, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, f"{words}: {(done.stdout + done.stderr)[-3000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if name.startswith(("ddoq_core/", "book/ddoq_book/", "benchmarks/")) or "/" not in name:
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source"]
    answered(Path(sys.executable), *map(str, build), folder=folder)
    return next(folder.glob("ddoq_core-*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The Python of an environment with the light core alone."""
    folder = tmp_path_factory.mktemp("light")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install(python, str(wheel))
    return python


def install(python: Path, requirement: str) -> None:
    words = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), requirement]
    answered(python, *words, folder=python.parent)


def test_the_wheel_is_typed_and_describes_itself_by_the_readme(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert "ddoq_core/py.typed" in archive.namelist()
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        head, _, description = archive.read(metadata).decode().partition("\n\n")
    assert "Description-Content-Type: text/markdown" in head
    assert description.strip() == (ROOT / "README.md").read_text().strip()


def test_the_light_core_answers_and_a_run_asks_for_the_pipeline_which_then_runs(wheel, python, tmp_path):
    for words, word in LIGHT.items():
        assert word in answered(python, *words, folder=tmp_path).stdout
    assert answered(python, "-c", FIND, *NOT_INSTALLED, folder=tmp_path).stdout.split() == []
    asked = answered(python, "-m", "ddoq_core", "run", "--profile", "smoke", folder=tmp_path, code=2)
    *_, line = asked.stderr.splitlines()
    assert "is not installed; pip install 'ddoq_core[pipeline]'" in line and "Traceback" not in asked.stderr
    install(python, f"{wheel}[pipeline]")
    run = answered(python, "-m", "ddoq_core", "run", "--profile", "smoke", folder=tmp_path)
    results = Path(run.stdout.split()[-1])
    assert (tmp_path / results).read_text().count("\n") > 0
