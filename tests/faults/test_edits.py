"""What is made again, and what is read, when the package or the profile has changed since a run was made."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import ddoq_core
from ddoq_core.config.knobs import knob
from ddoq_core.config.profile import Profile
from ddoq_core.runs.run import Run
from ddoq_core.store import artifacts as store_module
from ddoq_core.store import manifest

from .small import command, profile

RESULTS = Path(__file__).parents[2] / "book" / "results"
KNOB = '    brightness: float = knob(0.0, "largest change of brightness of a view", low=0.0, since="0.2")\n'

SHAPING = """
import json
from ddoq_core.config.profile import Profile
from ddoq_core.results.ledger import shaping
from ddoq_core.runs.run import Run
print(json.dumps(shaping(Run(Profile.load("table")), "ddoq")))
"""


@pytest.fixture
def package(tmp_path) -> Path:
    """A copy of the package that can be edited."""
    skipped = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(Path(ddoq_core.__file__).parent, tmp_path / "edited" / "ddoq_core", ignore=skipped))


def by(package: Path, *words: str) -> str:
    """Standard output of a Python of the edited package."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    done = subprocess.run([sys.executable, *words], env=environment, cwd=package.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def made(artifacts: Path) -> set[str]:
    """Folders of all artifacts."""
    return {str(p.parent.relative_to(artifacts)) for p in artifacts.rglob("manifest.json")}


@pytest.mark.parametrize("students", [1, 3])
def test_a_resumed_run_reads_each_artifact_once_whatever_the_number_of_students(copy, data, monkeypatch, students):
    artifacts, read = copy(), Counter()
    whole = profile(data, artifacts, n_student_seeds=students)
    Run(whole).train_students(say=lambda line: None)
    store_module._SOUND.clear()  # as in a new process

    def counted(path: Path) -> str:
        read[path] += 1
        return sha256_of(path)

    sha256_of = manifest.sha256_of
    monkeypatch.setattr(manifest, "sha256_of", counted)
    run = Run(whole)
    for _ in range(2):
        run.train_students(say=lambda line: None)
    assert set(read.values()) == {1}
    inside = {path.relative_to(artifacts).parts[0] for path in read}
    assert {"prior", "teacher", "cluster", "synthesize", "relabel", "train"} <= inside
    labels = [path for path in read if path.relative_to(artifacts).parts[0] == "relabel"]
    assert len(labels) == len(list((artifacts / "relabel").rglob("*.safetensors"))) + len(
        list((artifacts / "relabel").rglob("images.jsonl"))
    )


def test_a_file_that_changes_after_it_was_read_is_read_again(copy, data):
    artifacts = copy()
    run = Run(profile(data, artifacts))
    path = run.prototypes().path / "clusters.jsonl"
    before = path.read_bytes()
    path.write_bytes(before[:-2] + b"x\n")
    assert Run(run.profile).prototypes().path / "clusters.jsonl" == path and path.read_bytes() == before


@pytest.mark.slow
def test_a_refactoring_makes_its_own_step_again_and_stops_there(copy, data, finished, package):
    artifacts = copy()
    file = package / "quantization" / "lloyd.py"
    file.write_text(file.read_text() + "\n\nANOTHER_LINE = 1\n")
    by(package, "-m", "ddoq_core", *command(data, artifacts))
    again = {name.split("/")[0] for name in made(artifacts) - made(finished)}
    assert "cluster" in again
    assert not {"prior", "teacher", "encode", "rded", "sre2l", "tesla", "relabel", "train"} & again


@pytest.mark.slow
def test_a_new_knob_at_its_default_makes_nothing_again(copy, data, finished, package):
    artifacts = copy()
    half = next((artifacts / "train").iterdir())
    os.replace(half, half.with_name(half.name + ".partial"))  # an interrupted run
    (half.with_name(half.name + ".partial") / "manifest.json").unlink()
    before = {p: p.stat().st_mtime_ns for p in artifacts.rglob("*") if p.is_file() and ".partial" not in str(p)}
    file = package / "config" / "profile.py"
    text = file.read_text()
    file.write_text(text.replace("    flip: bool = knob(", KNOB + "    flip: bool = knob(", 1))
    assert file.read_text() != text
    by(package, "-m", "ddoq_core", *command(data, artifacts))
    assert "brightness" in by(package, "-m", "ddoq_core", "knobs")
    assert made(artifacts) == made(finished)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p.parent.parent.name not in (".locks", "runs"))
    assert [p.name for p in (artifacts / "runs").iterdir()] == [p.name for p in (finished / "runs").iterdir()]
    digests = by(package, "-c", SHAPING)
    rows = [json.loads(line) for file in sorted(RESULTS.glob("table/mnist5k-*.jsonl")) for line in file.open()]
    kept = {row["settings"] for row in rows if row["method"] == "ddoq"}
    assert kept == {json.loads(digests)["settings"]}


def test_a_knob_is_left_out_of_keys_at_its_default_only_if_it_came_after_the_first_records():
    @dataclass(frozen=True)
    class Grown(Profile):
        brightness: float = knob(0.0, "largest change of brightness of a view", low=0.0, since="0.2")

    assert Grown().keyed("flip", "brightness") == {"flip": False}
    assert Grown(brightness=0.1).keyed("flip", "brightness") == {"flip": False, "brightness": 0.1}


def test_every_knob_that_is_not_of_the_first_records_says_since_when():
    first = set((Path(__file__).parent / "first_knobs.txt").read_text().split())
    assert {name for name, found in Profile.knobs().items() if not found.metadata["since"]} == first
