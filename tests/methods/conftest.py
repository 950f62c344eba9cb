"""Runs of single rows on the squares, in small."""

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.methods import SMALL
from ddoq_core.runs.run import Run

SMALLEST = SMALL | {
    "image_size": 16, "threads": 1, "ipc": [2], "hard_ipc": [2], "targets": ["own"], "epochs": 1, "teacher_epochs": 1,
    "teacher": "convnet-4", "vae_epochs": 1, "diffusion_epochs": 4, "n_steps": 3,
}  # fmt: skip


@pytest.fixture(scope="session")
def run_on_squares(squares, tmp_path_factory):
    """`run_on_squares(**knobs)`: a run, in a folder that all runs of the session share."""
    folder = tmp_path_factory.mktemp("artifacts")

    def made(folder=folder, **changes) -> Run:
        run = Run(Profile.of(SMALLEST | {"artifacts": str(folder)} | changes))
        run.__dict__["dataset"] = squares
        return run

    return made


@pytest.fixture
def resumes(run_on_squares, contents, tmp_path, monkeypatch):
    """`resumes(name, module, function, **knobs)`: a set of the row, interrupted in a call of a function that every step
    calls, goes on to the same bytes without making a step again; returns the calls that the two runs made.
    """

    def check(name: str, module, function: str, at: int = 3, **changes) -> int:
        whole = run_on_squares(**changes).distilled(name, 2)
        monkeypatch.setattr("ddoq_core.store.checkpoints.EVERY", 0)
        calls, true = [], getattr(module, function)

        def failing(*arguments, **named):
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return true(*arguments, **named)

        monkeypatch.setattr(module, function, failing)
        with pytest.raises(KeyboardInterrupt):
            run_on_squares(folder=tmp_path, **changes).distilled(name, 2)
        again = run_on_squares(folder=tmp_path, **changes).distilled(name, 2)
        assert contents(again.artifact) == contents(whole.artifact)
        return len(calls)

    return check
