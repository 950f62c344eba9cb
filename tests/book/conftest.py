"""For all tests of this folder: a browser, and the smoke book: a copy of the tree's book and notebooks, executed and
rendered once.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import browsing  # noqa: E402 - a tool beside the book, not a part of the package

COPIED = ("book", "notebooks", "_config.yml", "constraints.txt")


@pytest.fixture(scope="session")
def smoke_tree(tmp_path_factory) -> Path:
    """A copy of what the book is made from, in which every notebook has been executed at the profile `smoke`.

    Its name has a space, as the names of people's folders have.
    """
    tree = tmp_path_factory.mktemp("smoke book")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("chapters", "__pycache__"))
        else:
            shutil.copy(source, tree / name)
    (tree / "ddoq_core").symlink_to(ROOT / "ddoq_core")  # pages show its files
    execute = ["book/tools/execute.py", "--profile", "smoke", "--artifacts", str(tree / "artifacts")]
    _run(tree, [*execute, "--out", "book/chapters"])
    return tree


@pytest.fixture(scope="session")
def smoke_book(smoke_tree) -> Path:
    """Folder of the rendered HTML; rendering fails on any warning."""
    _run(smoke_tree, ["book/tools/render.py"])
    return smoke_tree / "_build" / "html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as browser:
        if browser is None:
            message = f"no browser found: install one of {', '.join(browsing.CHROMIUM)} to have the pages opened"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        yield browser


def _run(tree: Path, script: list[str]) -> None:
    done = subprocess.run([sys.executable, *script], cwd=tree, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, f"{script[0]} failed:\n{(done.stdout + done.stderr)[-6000:]}"


def _environment() -> dict[str, str]:
    """This process's environment, by which a run started from a test is no different from one at a prompt."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
