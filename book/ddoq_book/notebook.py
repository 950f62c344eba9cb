"""What a notebook of the book asks for: a profile whose paths hold wherever it is run from, listings, and pictures."""

import base64
import html
import inspect
import io
import os
from collections.abc import Callable
from pathlib import Path

from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

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


def picture(figure: Figure, alt: str) -> HTML:
    """A figure with its description, for a notebook to glue and for another page to show."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    data = base64.b64encode(file.getvalue()).decode()
    return HTML(f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(alt)}"></figure>')
