"""Render the book with Jupyter Book and check it; do nothing if nothing has changed. Every warning is an error.

In: a folder with _config.yml and book/ with executed chapters. Out: _build/html/index.html in that folder.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import audit

from ddoq_core.store.source import PACKAGES, file_of

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["build", "book", "--config", "_config.yml", "--path-output", "."]
STRICT = ["-W", "-n", "--keep-going"]
UNREAD = ("__pycache__", "failed")  # folders that no page uses
FINISHED = "finished"  # file in _build with the key of the book that was rendered and checked


def make(root: Path) -> Path:
    """Render and check the book of a checkout, or a copy of one, unless it exists; returns the folder of its HTML.

    Raises:
        SystemExit: Jupyter Book fails or warns, or the audit finds something; the output before it says where.
    """
    html, finished, key = root / "_build" / "html", root / "_build" / FINISHED, rendering_key(root)
    if (html / "index.html").is_file() and finished.is_file() and finished.read_text() == key:
        print(f"The book is at {html / 'index.html'}, unchanged")
        return html
    render(root)
    audit.main(html)
    finished.write_text(key)
    return html


def render(root: Path) -> None:
    """Run Jupyter Book.

    The output of a failed or interrupted rendering is deleted. Sphinx does not repeat the warnings of pages that it has
    read; without the deletion a second try would pass.

    Raises:
        SystemExit: Jupyter Book fails or warns; its own output says where.
    """
    finished = root / "_build" / FINISHED
    if not finished.is_file():
        shutil.rmtree(root / "_build", ignore_errors=True)
    finished.unlink(missing_ok=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")  # next to this Python: .venv need not be activated
    done = subprocess.run([jupyter_book, *BUILD, *STRICT], cwd=root)
    if done.returncode:
        shutil.rmtree(root / "_build", ignore_errors=True)
        sys.exit("the book was not rendered: see the warnings above")


def rendering_key(root: Path) -> str:
    """SHA-256 of all files that the rendering reads: book/ with its chapters, the configuration, the lock, and the
    packages, whose docstrings and sources become pages."""
    digest = hashlib.sha256(sys.version.encode())
    for folder in (root / "book", *(file_of(package).parent for package in PACKAGES)):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not set(UNREAD) & set(file.relative_to(folder).parts):
                digest.update(f"\n{folder.name}/{file.relative_to(folder)}\n".encode() + file.read_bytes())
    for name in ("_config.yml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Render the book to _build/html and check it.")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with _config.yml and book/")
    try:
        make(parser.parse_args().root)
    except KeyboardInterrupt:
        sys.exit("ddoq: interrupted; run the same command again")


if __name__ == "__main__":
    main()
