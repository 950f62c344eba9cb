"""What a notebook of the book asks for: its profile, with paths that hold wherever it is run from, and listings."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path

from IPython.display import Markdown

from ddoq_core.config.profile import Profile

ROOT = Path(__file__).parents[2]  # of the repository
FOLDERS = "artifacts", "data_root"
FILES = "prior_path", "autoencoder_path", "teacher_path", "class_list", "val_mapping"


def profile_of(namespace: dict) -> Profile:
    """Profile of a notebook: every knob that stands in its namespace (`globals()`), declared there or injected.

    Relative paths are taken from the repository root; a name that is no path there, such as that of a model on a hub,
    stays as it is.
    """
    profile = Profile.of({name: namespace[name] for name in Profile.knobs() if name in namespace})
    paths = {name: ROOT / path for name, path in profile.subset(*FOLDERS, *FILES).items() if path}
    return profile.replace(**{n: os.path.relpath(p) for n, p in paths.items() if n in FOLDERS or p.exists()})


def listing(function: Callable) -> Markdown:
    """The text of a function, for a page to show as code."""
    return Markdown(f"```python\n{inspect.getsource(function)}```")
