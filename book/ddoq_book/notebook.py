"""What the book's notebooks use: a profile with paths that hold in every folder, code listings, and pictures."""

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
    """Profile of a notebook: every knob in its namespace (`globals()`), declared there or injected.

    Relative paths start at the repository root. A name that is no path there, such as a model on a hub, is not changed.
    """
    profile = Profile.of({name: namespace[name] for name in Profile.knobs() if name in namespace})
    paths = {name: ROOT / path for name, path in profile.subset(*FOLDERS, *FILES).items() if path}
    return profile.replace(**{n: os.path.relpath(p) for n, p in paths.items() if n in FOLDERS or p.exists()})


def listing(function: Callable) -> Markdown:
    """The source of a function, to show on a page as code."""
    return Markdown(f"```python\n{inspect.getsource(function)}```")


def picture(figure: Figure, alt: str) -> HTML:
    """A figure with its alt text, which a notebook glues and another page shows.

    It takes the focus, because it scrolls on a narrow screen and has no link of its own.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    data = base64.b64encode(file.getvalue()).decode()
    return HTML(f'<figure tabindex="0"><img src="data:image/png;base64,{data}" alt="{html.escape(alt)}"></figure>')
