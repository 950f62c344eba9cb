"""Render the book with Jupyter Book: every warning is an error.

In: a folder with _config.yml and book/, whose chapters are executed. Out: _build/html/index.html in that folder.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["build", "book", "--config", "_config.yml", "--path-output", "."]
STRICT = ["-W", "-n", "--keep-going"]


def render(root: Path) -> Path:
    """Render the book of a checkout (or a copy of one); returns the folder of its HTML.

    After a failure the half-made output goes: Sphinx does not repeat the warnings of pages that it has read, so that
    a second try would pass.

    Raises:
        SystemExit: Jupyter Book fails or warns; its own output says where.
    """
    jupyter_book = Path(sys.executable).with_name("jupyter-book")  # beside this Python: .venv need not be activated
    done = subprocess.run([jupyter_book, *BUILD, *STRICT], cwd=root)
    if done.returncode:
        shutil.rmtree(root / "_build", ignore_errors=True)
        sys.exit("the book was not rendered: see the warnings above")
    return root / "_build" / "html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Render the book to _build/html.")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with _config.yml and book/")
    render(parser.parse_args().root)
