"""What is installed: pyproject.toml, constraints.txt and environment.yml say the same, and the tree is lint-free."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ddoq_core

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(r) for r in [*PROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
LOCK = {canonicalize_name(Requirement(line).name): Requirement(line) for line in LINES}


def locked(name: str) -> str:
    return next(iter(LOCK[canonicalize_name(name)].specifier)).version


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_the_lock_holds_a_version_inside_the_range_of_every_dependency(requirement):
    assert canonicalize_name(requirement.name) in LOCK
    assert locked(requirement.name) in requirement.specifier


def test_every_line_of_the_lock_is_one_exact_version():
    for line in LINES:
        assert re.fullmatch(r"[\w.-]+==[\w.+]+( ; .+)?", line), line
    assert len(LOCK) == len(LINES)


def test_lines_of_cuda_are_for_linux_only():
    cuda = [r for name, r in LOCK.items() if name.startswith(("nvidia-", "cuda-")) or name == "triton"]
    assert cuda
    assert all(not r.marker.evaluate({"sys_platform": "darwin"}) for r in cuda)
    assert all(r.marker.evaluate({"sys_platform": "linux"}) for r in cuda)
    others = [r for r in LOCK.values() if r not in cuda]
    assert all(r.marker is None or "sys_platform" not in str(r.marker) for r in others)


def test_conda_users_get_the_same_packages_and_versions():
    pip = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    extras = ",".join(sorted(EXTRAS))
    assert pip == ["--constraint constraints.txt", f"--editable .[{extras}]"]


def test_the_python_of_conda_is_one_that_the_package_takes():
    python = next(e for e in ENVIRONMENT["dependencies"] if isinstance(e, str) and e.startswith("python="))
    assert python.removeprefix("python=") + ".0" in SpecifierSet(PROJECT["requires-python"])


def test_make_installs_from_the_lock_with_all_extras():
    makefile = (ROOT / "Makefile").read_text()
    assert f"--constraint constraints.txt --editable '.[{','.join(sorted(EXTRAS))}]'" in makefile
    assert "pyproject.toml constraints.txt" in makefile


def test_what_is_installed_here_is_what_the_lock_says():
    installed = {canonicalize_name(d.metadata["Name"]): d.version.split("+")[0] for d in distributions()}
    wrong = {
        name: (installed[name], locked(name))
        for name, requirement in LOCK.items()
        if name in installed and _applies(requirement.marker) and installed[name] != locked(name)
    }
    assert not wrong


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate()


def test_the_book_is_built_by_jupyter_book_1():
    assert "==1.0.4.post1" in next(str(r.specifier) for r in REQUIREMENTS if r.name == "jupyter-book")


def test_the_version_is_in_one_place():
    """In pyproject.toml: the citation leaves it out, and no source of the package has it."""
    others = [ROOT / "CITATION.cff", *(ROOT / "ddoq_core").rglob("*.py")]
    assert [path.name for path in others if PROJECT["version"] in path.read_text()] == []
    assert ddoq_core.__version__ == version("ddoq_core")


def test_the_citation_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" not in citation
    assert citation["license"] == PROJECT["license"]
    assert [a["family-names"] for a in citation["preferred-citation"]["authors"]] == ["Tan", "Slade"]
    assert "2501.07681" in citation["preferred-citation"]["url"]


@pytest.mark.parametrize(
    "tool",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["codespell_lib"],
        pytest.param(["mypy"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_the_code_is_lint_free(tool):
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_types_reach_the_script_of_a_user(tmp_path):
    """The package is typed: wrong arguments are found in a script that imports it."""
    (tmp_path / "script.py").write_text(
        "from ddoq_core import Profile\n"
        "from ddoq_core.quantization import distortion\n"
        "profile: Profile = Profile.load(name=3.5)\n"
        "distortion('many', points=2)\n"
    )
    same = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")  # PyTorch is read once
    check = [sys.executable, "-m", "mypy", *same, "script.py"]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True)
    errors = re.findall(r"^script\.py:(\d+): error:", done.stdout, re.MULTILINE)
    assert errors == ["3", "4", "4"], done.stdout


def test_no_module_is_longer_than_300_lines():
    folders = ("ddoq_core", "book/ddoq_book", "book/tools", "benchmarks")
    modules = [p for folder in folders for p in (ROOT / folder).rglob("*.py")]
    assert {p.name: n for p in modules if (n := len(p.read_text().splitlines())) > 300} == {}
