"""Runs that `ddoq run` began in a folder: one that was interrupted is gone on with as it was, or given up.

In: a run. Out: `profile.json` beside where its `results.jsonl` will be, so that a run that is not finished is known.
"""

import json
from pathlib import Path

from ..errors import InputError
from ..locks import is_held
from ..processes import here
from ..store import Workspace
from .run import Run, shaping_values

PROFILE = "profile.json"


def begin(run: Run) -> None:
    """Write down with which parameters this run is made.

    Raises:
        InputError: a run of the same profile was interrupted, and its parameters were others: the line names the first.
    """
    parameters = json.loads(json.dumps(shaping_values(run.profile) | {"data": run.dataset.key}))
    here().told(lambda: _begin(run.store.root, run.folder, parameters))


def _begin(root: Path, folder: Path, parameters: dict) -> None:
    others = (path.parent for path in sorted(folder.parent.glob(f"*/{PROFILE}")) if path.parent != folder)
    for other in others:
        theirs = _read(other / PROFILE)
        over = (
            theirs.get("profile") != parameters["profile"]
            or (other / "results.jsonl").exists()
            or is_held(root, other.name)
        )
        if not over:
            name = next(n for n in sorted({*theirs, *parameters}) if theirs.get(n) != parameters.get(n))
            raise InputError(
                f"a run with {name} = {theirs.get(name)}, not {parameters.get(name)}, was interrupted; "
                f"give it the same parameters to go on, or remove {other} to give it up (what it made is kept)"
            )
    if _read(folder / PROFILE) != parameters:
        Workspace(folder).json(PROFILE, parameters)


def _read(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}  # it says nothing that another run could be held to
