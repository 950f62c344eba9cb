"""The key of an artifact follows the code that makes it, and nothing else."""

import shutil

import pytest

from ddoq_core import source
from ddoq_core.source import source_key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of two modules in which sources can be edited."""

    def write(a: str, b: str) -> str:
        folder = tmp_path / "ddoq_copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in {"__init__": "", "a": a, "b": b}.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(source, "__package__", "ddoq_copy")
        for cached in (source.source_key, source._tree, source._is_module):
            cached.cache_clear()
        return source_key(("ddoq_copy.a",))

    yield write
    monkeypatch.undo()
    for cached in (source.source_key, source._tree, source._is_module):
        cached.cache_clear()


def test_the_key_follows_the_code_of_imported_modules_and_no_docstring_or_comment(package):
    a = '"""Doc."""\nfrom .b import f\n'
    key = package(a, "def f():\n    return 1\n")
    assert package('"""Other doc."""\nfrom .b import f  # why\n', 'def f():\n    """New."""\n    return 1\n') == key
    assert package(a, "def f():\n    return 2\n") != key
    alone = "def g():\n    pass\n"
    assert package(alone, "def f():\n    return 1\n") == package(alone, "whatever = 0\n")


def test_every_step_module_is_found_with_what_it_imports():
    assert source_key(("ddoq_core.pipeline.cluster",)) != source_key(("ddoq_core.keys",))
