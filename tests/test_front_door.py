"""The names of the package's front door, and the script of the page *Run it on your own data* that uses them."""

import importlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import ddoq_core
from ddoq_core.config.files import find_profile
from ddoq_core.config.profile import NOTEBOOKS, Profile, read_profile
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.runs.run import Run

from .faults import small

PAGES = [*(Path(__file__).parents[1] / "book").glob("*.md"), Path(__file__).parents[1] / "README.md"]
SCRIPTS = [
    code
    for page in PAGES
    for code in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    if re.search("^from ddoq_core import ", code, re.MULTILINE)
]


def test_the_front_door_has_the_names_that_scripts_of_the_pages_take_and_no_others():
    taken = {name for code in SCRIPTS for line in re.findall("^from ddoq_core import (.+)$", code, re.M)
             for name in line.split(", ")}  # fmt: skip
    assert taken == set(ddoq_core.__all__)
    assert {name for name in taken if getattr(ddoq_core, name).__name__ != name} == set()


def test_the_ten_names_of_the_api_page_are_imported_as_it_says():
    page = (Path(__file__).parents[1] / "book" / "api.md").read_text()
    rows = re.findall(r"^\| `from (\S+) import (\w+)` \| \{py:\w+\}`~(\S+)`", page, re.MULTILINE)
    assert len(rows) == 10
    for module, name, home in rows:
        found = getattr(importlib.import_module(module), name)
        assert f"{found.__module__}.{found.__qualname__}" == home


LAUNCHER = r"torchrun |accelerate launch |torch\.distributed\.run "
PORT = r"--standalone|--main_process_port 0|--rdzv-endpoint \"\$head:\$port\""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_two_runs_that_a_page_starts_on_one_host_do_not_meet_at_one_port(page):
    commands = [line for line in page.read_text().replace("\\\n", "").splitlines() if re.search(LAUNCHER, line)]
    assert [line for line in commands if not re.search(PORT, line)] == []
    assert commands or page.name not in ("README.md", "scale.md")


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_folders_with_a_space_in_their_names_reach_the_commands_of_make_whole():
    root = Path(__file__).parents[1]
    given = ["FASHION=/my data", "ARTIFACTS=my artifacts", "PROFILE=my profile.yaml"]
    command = ["make", "--dry-run", "--assume-old=.venv/.installed", "book", "table", "ablations", *given]
    lines = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    words = [shlex.split(line) for line in lines if "--artifacts" in line]
    assert len(words) > 5 and all(line[line.index("--artifacts") + 1] == "my artifacts" for line in words)
    assert any("my profile.yaml" in line for line in words) and any("data_root=/my data" in line for line in words)


def test_a_name_that_the_front_door_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'teleport'"):
        ddoq_core.teleport  # noqa: B018


def test_the_script_takes_my_prototypes_and_my_images_to_students(tmp_path, monkeypatch, capsys):
    """My prototypes are those of a run, so that what the script makes of them is known."""
    monkeypatch.chdir(tmp_path)
    values = read_profile(find_profile("smoke")) | small.VALUES | {"data_root": str(small.pictures(tmp_path / "data"))}
    values.pop(NOTEBOOKS, None)
    Path("birds.yaml").write_text(yaml.safe_dump(values))
    run = Run(Profile.load("birds.yaml"))
    points, counts = load_prototypes(run.prototypes(), 2)
    images, labels = run.dataset.train.images([0, 9, 1, 17]), run.dataset.train.labels[[0, 9, 1, 17]]
    [script] = SCRIPTS
    assert len([line for line in script.splitlines() if line]) == 1 + 10  # the import, and ten lines
    mine = {"points": points, "counts": counts, "images": images, "labels": labels}
    exec(script, mine)
    theirs = run.distilled("ddoq", 2)
    assert mine["decoded"].pixels().equal(theirs.pixels()) and mine["decoded"].counts.equal(theirs.counts)
    assert mine["kept"].images().equal(images[labels.argsort(stable=True)])
    assert len(capsys.readouterr().out.split()) == 2
