"""The check of types and shapes while tests run: every annotation of ddoq_core and ddoq_book is taken at its word.

A whole number is a number too, and NumPy's numbers are numbers.
"""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

NUMBERS = FrozenDict({bool: bool | np.bool_, int: int | np.integer, float: float | int | np.floating | np.integer})

check = beartype(conf=BeartypeConf(hint_overrides=NUMBERS))
