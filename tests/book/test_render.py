"""When the book is rendered: whenever something that it is made from has changed, and never halfway."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import render  # noqa: E402 - a tool beside the book, not a part of the package


@pytest.fixture
def tree(tmp_path):
    """What a page is made from."""
    for name in ("_config.yml", "constraints.txt", "book/page.md", "book/chapters/11_page.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    return tmp_path


@pytest.fixture
def builds(monkeypatch, tree):
    """In the place of Jupyter Book: counts its runs, notes whether it found an earlier output, writes a page."""
    found = []

    def build(command, cwd):
        html = cwd / "_build" / "html"
        found.append(html.is_dir())
        html.mkdir(parents=True, exist_ok=True)
        (html / "index.html").write_text("<p>a page</p>")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", build)
    monkeypatch.setattr(render.audit.browsing, "chromium", lambda: contextlib.nullcontext())
    return found


def test_a_book_that_is_there_is_not_rendered_again(tree, builds, capsys):
    render.make(tree)
    render.make(tree)
    assert len(builds) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("index.html, unchanged")


@pytest.mark.parametrize("name", ["_config.yml", "constraints.txt", "book/page.md", "book/chapters/11_page.ipynb"])
def test_a_change_of_what_a_page_is_made_from_renders_the_book_again(tree, builds, name):
    render.make(tree)
    (tree / name).write_text("other text")
    render.make(tree)
    assert builds == [False, True]


def test_a_new_page_one_that_is_gone_and_a_docstring_render_the_book_again(tree, builds, monkeypatch):
    package = tree / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(render, "file_of", lambda name: package / "__init__.py")
    keys = [render.rendering_key(tree)]
    (tree / "book" / "new.md").write_text("text")
    keys.append(render.rendering_key(tree))
    (tree / "book" / "page.md").unlink()
    keys.append(render.rendering_key(tree))
    (package / "__init__.py").write_text('"""A docstring."""')
    keys.append(render.rendering_key(tree))
    assert len(set(keys)) == len(keys)


def test_a_book_that_is_gone_is_rendered_again(tree, builds):
    (render.make(tree) / "index.html").unlink()
    render.make(tree)
    assert len(builds) == 2


def test_a_rendering_that_is_interrupted_is_begun_anew(tree, builds, monkeypatch):
    """Also the second one, which had the output of the first: Sphinx would not repeat the warnings of its pages."""

    def interrupted(command, cwd):
        (cwd / "_build" / "html").mkdir(parents=True, exist_ok=True)
        raise KeyboardInterrupt

    build = subprocess.run
    for _ in range(2):
        monkeypatch.setattr(subprocess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            render.make(tree)
        monkeypatch.setattr(subprocess, "run", build)
        render.make(tree)
        assert builds.pop() is False
        (tree / "book" / "page.md").write_text("other text")


def test_a_book_with_a_warning_or_a_fault_is_not_finished(tree, builds, monkeypatch):
    build = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, cwd: subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit, match="see the warnings above"):
        render.make(tree)
    monkeypatch.setattr(subprocess, "run", build)
    monkeypatch.setattr(render.audit, "audit", lambda html, hidden: ["a fault"])
    for _ in range(2):
        with pytest.raises(SystemExit, match="1 faults"):
            render.make(tree)
    assert builds == [False, False]
