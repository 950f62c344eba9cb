"""The smoke book: a copy of the tree's book and notebooks, executed and rendered once for all tests of this folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("book", "notebooks", "_config.yml", "constraints.txt")


@pytest.fixture(scope="session")
def smoke_tree(tmp_path_factory) -> Path:
    """A copy of what the book is made from, in which every notebook has been executed at the profile `smoke`."""
    tree = tmp_path_factory.mktemp("smoke")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("chapters", "__pycache__"))
        else:
            shutil.copy(source, tree / name)
    execute = ["book/tools/execute.py", "--profile", "smoke", "--artifacts", str(tree / "artifacts")]
    _run(tree, [*execute, "--out", "book/chapters"])
    return tree


@pytest.fixture(scope="session")
def smoke_book(smoke_tree) -> Path:
    """Folder of the rendered HTML; rendering fails on any warning."""
    _run(smoke_tree, ["book/tools/render.py"])
    return smoke_tree / "_build" / "html"


def _run(tree: Path, script: list[str]) -> None:
    done = subprocess.run([sys.executable, *script], cwd=tree, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, f"{script[0]} failed:\n{(done.stdout + done.stderr)[-6000:]}"


def _environment() -> dict[str, str]:
    """This process's environment, by which a run started from a test is no different from one at a prompt."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
