"""Keys follow results: no edit of words changes one, and an edit of what computes changes those of its own step."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ddoq_core
from ddoq_core.store.source import SAYING

PACKAGE = Path(ddoq_core.__file__).parent
STEPS = (
    "priors.pretrain", "pipeline.teacher", "pipeline.encode", "pipeline.cluster", "pipeline.synthesize",
    "pipeline.relabel", "pipeline.train_student", "checks.check", "checks.prior_quality",
    "methods.random_real", "methods.rded", "methods.sre2l", "methods.cda", "methods.tesla",
)  # fmt: skip
ASK = "import sys; from ddoq_core.store.source import source_key\nfor m in sys.argv[1:]: print(source_key((m,)))"


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package that can be edited."""
    return shutil.copytree(PACKAGE, tmp_path / "ddoq_core", ignore=shutil.ignore_patterns("__pycache__"))


def keys(package: Path, names: tuple[str, ...] = STEPS) -> dict[str, str]:
    """Source key of every step of a copy, or of other modules."""
    modules = [f"ddoq_core.{name}" for name in names]
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *modules], cwd=package.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(names, done.stdout.split(), strict=True))


class OtherWords(ast.NodeTransformer):
    """Changes every word of an error, a report or a progress bar, and every docstring."""

    def __init__(self) -> None:
        self.said, self.changed = False, 0

    def visit_Raise(self, node):
        return self._in_saying(node)

    def visit_Call(self, node):
        return self._in_saying(node) if getattr(node.func, "id", "") in SAYING else self.generic_visit(node)

    def visit_Constant(self, node):
        if self.said and isinstance(node.value, str) and " " in node.value:
            self.changed += 1
            return ast.Constant("other words: " + node.value)
        return node

    def visit_Expr(self, node):
        is_docstring = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Expr(ast.Constant("Other words.")) if is_docstring else self.generic_visit(node)

    def _in_saying(self, node):
        before, self.said = self.said, True
        node = self.generic_visit(node)
        self.said = before
        return node


def test_other_words_in_every_error_report_and_docstring_change_no_key(copy):
    before, changed = keys(copy), 0
    for path in copy.rglob("*.py"):
        if path.name in ("source.py", "__init__.py"):
            continue
        words = OtherWords()
        path.write_text(ast.unparse(words.visit(ast.parse(path.read_text()))))
        changed += words.changed
    assert changed > 200
    assert keys(copy) == before


@pytest.mark.parametrize(
    "file", ["cli.py", "results/table.py", "cost/tables.py", "config/profile.py", "runs/run.py", "foreign/folder.py"]
)
def test_what_makes_no_artifact_is_in_no_key(copy, file):
    before = keys(copy)
    path = copy / file
    path.write_text(path.read_text() + "\n\nANOTHER_LINE = 1\n")
    assert keys(copy) == before


def test_a_line_more_in_the_registry_of_loaders_or_in_a_loader_changes_no_key_of_a_step(copy):
    before = keys(copy)
    for file in ("data/loaders.py", "data/cifar.py", "data/image_folder.py", "data/imbalance.py"):
        path = copy / file
        path.write_text(path.read_text() + "\n\nANOTHER = {'birds': None}\n")
    assert keys(copy) == before


def test_a_loader_is_in_the_key_of_its_own_data_set_alone(copy):
    names = ("data.sets.mnist5k", "data.sets.fashion_mnist", "data.sets.cifar10", "data.sets.imagefolder")
    before = keys(copy, names)
    path = copy / "data" / "cifar.py"
    path.write_text(path.read_text() + "\n\nANOTHER_LINE = 1\n")
    after = keys(copy, names)
    assert [name for name in names if after[name] != before[name]] == ["data.sets.cifar10"]


def test_a_file_more_of_a_method_a_data_set_or_a_prior_changes_no_key(copy):
    before = keys(copy)
    (copy / "methods" / "dream.py").write_text("METHOD = None\n")
    (copy / "data" / "sets" / "birds.py").write_text("SIZES = None\n")
    (copy / "priors" / "pixart.py").write_text('PIPELINE = "PixArtPipeline"\n')
    assert keys(copy) == before


@pytest.mark.parametrize("words", ["METHOD = Method(", "def _cost("])
def test_what_a_method_says_of_its_row_and_its_cost_is_in_no_key(copy, words):
    before, path = keys(copy), copy / "methods" / "rded.py"
    at = path.read_text().index(words)
    path.write_text(path.read_text()[:at] + path.read_text()[at:].replace("RDED", "Rded"))
    assert keys(copy) == before


def test_an_edit_of_an_algorithm_changes_the_keys_of_the_steps_that_run_it_and_no_others(copy):
    before = keys(copy)
    path = copy / "quantization" / "lloyd.py"
    path.write_text(path.read_text() + "\n\nANOTHER_LINE = 1\n")
    after = keys(copy)
    changed = {step for step in STEPS if after[step] != before[step]}
    assert {"pipeline.cluster", "pipeline.synthesize"} <= changed
    assert not {"priors.pretrain", "pipeline.teacher", "pipeline.encode", "pipeline.train_student"} & changed
