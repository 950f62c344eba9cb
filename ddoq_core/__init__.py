"""Dataset distillation as pushforward optimal quantization: the package behind the book.

`quantization` is the mathematics, `theory` the tools to check it, `pipeline` Algorithm 4 step by step, `methods` the
rows of Table 1, and `runs` ties them together. The names below are for scripts that pass their own tensors through the
steps (book/running.md); each loads its module on first use. Notebooks import from the modules, which shows when they
have to run again.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # type checkers do not call __getattr__
    from .config.profile import Profile
    from .pipeline.relabel import relabel
    from .pipeline.synthesize import synthesize
    from .pipeline.tensors import store_images, store_prototypes
    from .pipeline.train_student import train
    from .runs.run import Run

_HOME = {
    "Profile": "config.profile",
    "Run": "runs.run",
    "store_prototypes": "pipeline.tensors",
    "store_images": "pipeline.tensors",
    "synthesize": "pipeline.synthesize",
    "relabel": "pipeline.relabel",
    "train": "pipeline.train_student",
}
__all__ = ["Profile", "Run", "relabel", "store_images", "store_prototypes", "synthesize", "train"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version(__name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
