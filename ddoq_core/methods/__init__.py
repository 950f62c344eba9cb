"""The rows of Table 1: every module of this package that holds a METHOD, in the order of the table."""

import importlib
import pkgutil

from .method import Method

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
_methods = sorted((m.METHOD for m in _modules if hasattr(m, "METHOD")), key=lambda method: method.rank)

METHODS: dict[str, Method] = {method.name: method for method in _methods}
