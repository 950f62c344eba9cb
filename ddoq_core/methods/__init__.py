"""The rows of Table 1: each file that defines METHOD is a row, in the order below, with unlisted rows at the end."""

import importlib

from ..config.declared import method_names
from .method import Method

ORDER = (
    "random_real",
    "random_generated",
    "herding",
    "k_centre",
    "craig",
    "el2n",
    "grand",
    "easy",
    "dd",
    "rtp",
    "dc",
    "dsa",
    "dream",
    "dm",
    "mtt",
    "tesla",
    "haba",
    "kip",
    "kip_labels",
    "label_solve",
    "rfad",
    "frepo",
    "robust",
    "sre2l",
    "cda",
    "rded",
    "wmdd",
    "wmdd_masses",
    "glad",
    "glad_codebook",
    "ld3m",
    "minimax",
    "mgd3",
    "ot_guided",
    "d4m",
    "ddoq",
    "ddoq_proportional",
    "ddoq_companion",
    "ddoq_adaptive",
    "ddoq_permuted",
    "d4m_medoid",
    "ddoq_medoid",
    "ddoq_medoid_permuted",
    "full",
)

METHODS: dict[str, Method] = {name: importlib.import_module(f"{__name__}.{name}").METHOD for name in method_names()}
SMALL = {name: value for method in METHODS.values() for name, value in method.small.items()}  # of all, for tests
