"""Dataset distillation as pushforward optimal quantization: the package behind the book.

`quantization` is the mathematics, `theory` its tests, `pipeline` Algorithm 4 step by step, `methods` the rows of
Table 1, `report` tables and figures. The names below are what notebooks import; each loads its module when first used.
"""

import importlib

_HOME = {
    "InputError": "errors",
    "Profile": "profile",
    "Artifact": "store",
    "Store": "store",
    "Run": "pipeline.run",
    "Dataset": "pipeline.datasets",
    "load_dataset": "pipeline.datasets",
    "DistilledDataset": "pipeline.distilled",
    "GenerativePrior": "pipeline.prior",
    "load_prior": "pipeline.prior",
    "Quantizer": "quantization.voronoi",
    "lloyd": "quantization.lloyd",
    "clvq": "quantization.clvq",
    "minibatch": "quantization.minibatch",
    "kmeans_plus_plus": "quantization.seeding",
    "companion_weights": "quantization.weights",
    "METHODS": "methods",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
