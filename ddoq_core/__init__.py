"""Dataset distillation as pushforward optimal quantization: the package behind the book.

`quantization` is the mathematics, `theory` its tests, `pipeline` Algorithm 4 step by step, `methods` the rows of
Table 1, `runs` what ties them together. The names below are for a script that puts tensors of its own into the steps
(book/running.md); each loads its module when it is first used. Notebooks name modules, from which it follows when they
have to be run again.
"""

import importlib

_HOME = {
    "Profile": "config.profile",
    "Run": "runs.run",
    "store_prototypes": "pipeline.tensors",
    "store_images": "pipeline.tensors",
    "synthesize": "pipeline.synthesize",
    "relabel": "pipeline.relabel",
    "train": "pipeline.train_student",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
