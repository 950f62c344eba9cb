"""One finished run in small, which every test of a fault gets a copy of."""

import shutil
from pathlib import Path

import pytest

from ddoq_core.runs.run import Run

from .small import STEPS, identity, pictures, profile


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Pictures of three classes."""
    return pictures(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, data) -> Path:
    """Artifacts of every step, made without a fault."""
    artifacts = tmp_path_factory.mktemp("finished") / "artifacts"
    run = Run(profile(data, artifacts))
    for ask in STEPS.values():
        ask(run)
    return artifacts


@pytest.fixture(scope="session")
def expected(finished) -> dict[str, str]:
    """Their checksums."""
    return identity(finished)


@pytest.fixture
def copy(tmp_path, finished):
    """`copy()`, or `copy(folder)`: a copy of the finished artifacts that may be harmed."""
    return lambda folder=tmp_path: Path(shutil.copytree(finished, folder / "artifacts"))
