"""A disk that is full, or a folder that nothing can be written to, in every step: one line, and nothing lost."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ddoq_core import cli
from ddoq_core.errors import InputError
from ddoq_core.runs.jobs import read_rows
from ddoq_core.runs.run import Run

from .small import STEPS, command, identity, profile

PLACES = STEPS | {"runs": STEPS["train"]}  # where something is written, and what asks for it
PAGE = 4096  # bytes; a file takes whole ones


def mount(*words: str) -> None:
    if not shutil.which("mount") or subprocess.run(["mount", *words], capture_output=True).returncode:
        pytest.skip("mounting needs root on Linux")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of its own, and `resize(bytes)`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "tmpfs", str(folder))

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def pages_of(folder: Path) -> int:
    """Pages that its files take."""
    return sum(-(-path.stat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())


def refused(step: str, run: Run) -> str:
    """The one line that a step ends with."""
    with pytest.raises(InputError) as caught:
        PLACES[step](run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def half_written(artifacts: Path, expected: dict[str, str]) -> list[str]:
    """Files that have their final name and not their content; those of a prior have it when all are saved.

    Rows are written as students are finished: any number of whole ones is right.
    """
    made = {name.replace(".partial/", "/"): sha for name, sha in identity(artifacts).items()}
    named = [name for name, sha in made.items() if expected.get(name, sha) != sha]
    for rows in [artifacts / name for name in named if name.endswith("/results.jsonl")]:
        assert read_rows(rows)
        named.remove(str(rows.relative_to(artifacts)))
    return [] if list(artifacts.glob("prior/*.partial")) else named


@pytest.mark.parametrize("step", PLACES)
def test_a_step_on_a_full_disk_says_so_and_ends_the_same_when_there_is_space(step, copy, disk, data, expected):
    folder, resize = disk
    artifacts, draw = copy(folder), random.Random(step)
    whole, size = pages_of(artifacts), pages_of(artifacts / step)
    shutil.rmtree(artifacts / step)
    for missing in (size, draw.randint(1, size), 1):
        resize((whole - missing) * PAGE)
        said = refused(step, Run(profile(data, artifacts)))
        foreseen = step == "relabel" and "soft labels need" in said and "set soft_labels=online" in said
        assert foreseen or (said.startswith(f"no space left on the disk of {artifacts}/") and "free some" in said)
        assert not half_written(artifacts, expected)
    resize(2 * whole * PAGE)
    PLACES[step](Run(profile(data, artifacts)))
    assert identity(artifacts) == expected


def test_a_run_on_a_full_disk_ends_with_code_2_and_one_line(copy, disk, data, monkeypatch, capsys):
    folder, resize = disk
    artifacts = copy(folder)
    shutil.rmtree(artifacts / "train")
    resize((pages_of(artifacts) + 3) * PAGE)  # for two locks, and a file that is begun
    monkeypatch.setattr(sys, "argv", ["ddoq", *command(data, artifacts)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    *before, line = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and line.startswith(f"ddoq: no space left on the disk of {artifacts}/")
    assert all(told.startswith("ddoq: ") for told in before)  # what `check` has found, and no traceback


def a_file(folder: Path):
    """A file where the folder should be."""
    folder.write_text("not a folder")
    return folder.unlink


def read_only(folder: Path):
    """A disk that is mounted for reading."""
    folder.mkdir()
    mount("--bind", str(folder), str(folder))
    mount("-o", "remount,ro,bind", str(folder))
    return lambda: subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("step", PLACES)
def test_a_step_that_cannot_write_its_folder_says_so_and_ends_the_same_when_it_can(step, copy, data, expected):
    artifacts = copy()
    shutil.rmtree(artifacts / step)
    for harm in (a_file, read_only):
        mend = harm(artifacts / step)
        try:
            said = refused(step, Run(profile(data, artifacts)))
        finally:
            mend()
        assert said.startswith(f"cannot write to {artifacts / step}") and "set 'artifacts' to a folder you own" in said
    PLACES[step](Run(profile(data, artifacts)))
    assert identity(artifacts) == expected
