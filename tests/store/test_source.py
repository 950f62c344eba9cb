"""The key of an artifact follows the code that makes it, and nothing else."""

import ast
import shutil
from pathlib import Path

import pytest

from ddoq_core.store import source
from ddoq_core.store.source import source_key

PACKAGE = Path(source.__file__).parents[1]
UNPICKLERS = ("pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal")
NEVER = ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec")
ONLY_WITH = {  # what the last part of a call needs to be given
    "torch.load": ("weights_only", "True"),
    "get_state_dict": ("weights_only", "True"),
    "load_state_dict_from_url": ("weights_only", "True"),
    "np.load": ("allow_pickle", "False"),
}


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
        monkeypatch.setattr(source, "PACKAGES", ("ddoq_copy",))
        for cached in (source.source_key, source._code, source._tree, source.file_of):
            cached.cache_clear()
        return source_key(("ddoq_copy.a",))

    yield write
    monkeypatch.undo()
    for cached in (source.source_key, source._code, source._tree, source.file_of):
        cached.cache_clear()


def test_the_key_follows_the_code_of_imported_modules_and_no_docstring_or_comment(package):
    a = '"""Doc."""\nfrom .b import f\n'
    key = package(a, "def f():\n    return 1\n")
    assert package('"""Other doc."""\nfrom .b import f  # why\n', 'def f():\n    """New."""\n    return 1\n') == key
    assert package(a, "def f():\n    return 2\n") != key
    alone = "def g():\n    pass\n"
    assert package(alone, "def f():\n    return 1\n") == package(alone, "whatever = 0\n")


def test_every_step_module_is_found_with_what_it_imports():
    assert source_key(("ddoq_core.pipeline.cluster",)) != source_key(("ddoq_core.randomness",))


def foreign_readers(path: Path) -> list[str]:
    """What a module does that could run a foreign file: its pickles, loads without weights_only, loose YAML."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            found += [n for n in names if n.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.Call):
            call, given = ast.unparse(node.func), [(k.arg, ast.unparse(k.value)) for k in node.keywords]
            needed = next((with_ for name, with_ in ONLY_WITH.items() if f".{call}".endswith(f".{name}")), None)
            if call in NEVER or (needed and needed not in given):
                found.append(call)
    return found


def test_no_module_unpickles_or_loads_yaml_freely():
    found = {str(p.relative_to(PACKAGE)): foreign_readers(p) for p in sorted(PACKAGE.rglob("*.py"))}
    assert {name: calls for name, calls in found.items() if calls} == {
        "data/cifar.py": ["pickle"],
        "config/declared.py": ["exec"],  # of the class Knobs in the package's own files
    }


def test_the_one_pickle_that_is_read_is_read_by_an_unpickler_that_calls_nothing():
    tree = ast.parse((PACKAGE / "data" / "cifar.py").read_text())
    used = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "pickle"]
    assert sorted(used) == ["pickle.Unpickler", "pickle.UnpicklingError"]


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader=Loader)",
        "models.get_model_weights(name).DEFAULT.get_state_dict(progress=True)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_a_module_that_could_run_a_foreign_file_is_seen(tmp_path, text):
    (tmp_path / "module.py").write_text(text)
    assert foreign_readers(tmp_path / "module.py")
