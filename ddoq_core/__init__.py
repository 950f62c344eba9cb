"""Dataset distillation as pushforward optimal quantization: the package behind the book.

`quantization` is the mathematics, `theory` its tests, `pipeline` Algorithm 4 step by step, `methods` the rows of
Table 1, `runs` what ties them together. Each name below loads its module when it is first used.
"""

import importlib

_HOME = {
    "InputError": "errors",
    "Profile": "config.profile",
    "Artifact": "store.artifacts",
    "Store": "store.artifacts",
    "Run": "runs.run",
    "Dataset": "data.dataset",
    "load_dataset": "data.loaders",
    "DistilledDataset": "pipeline.distilled",
    "GenerativePrior": "priors.load",
    "load_prior": "priors.load",
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
