"""A mean and its 95 % interval by Student's t, as a number and as text."""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t as student_t


def half_width(values: Float[ndarray, "*rows n"]) -> Float[ndarray, "*rows"]:
    """Half the 95 % interval of the mean of n values, along the last axis; nan for a single one."""
    n = values.shape[-1]
    if n == 1:
        return np.full(values.shape[:-1], np.nan)
    return student_t(n - 1).ppf(0.975) * values.std(-1, ddof=1) / math.sqrt(n)


def interval(values: Float[ndarray, " n"], digits: int = 2) -> str:
    """Mean ± half width."""
    return f"{values.mean():.{digits}f} ± {half_width(values):.{digits}f}".replace("-", "−")
