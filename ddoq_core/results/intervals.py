"""A mean and its 95 % interval, by Student's t or, for many values, by the normal law, as numbers and as text."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from numpy import ndarray
from scipy.stats import t as student_t

NORMAL = 1.96  # standard errors on each side


@dataclass(frozen=True)
class Mean:
    """A mean of n values, and half the width of its 95 % interval; number formats write it as `mean ± half`."""

    value: float
    half: float  # nan for n = 1
    n: int

    @classmethod
    def of(cls, values: Real[ndarray, " n"]) -> "Mean":
        return cls(float(values.mean()), float(half_width(values)), len(values))

    @classmethod
    def of_many(cls, values: Float[ndarray, " n"]) -> "Mean":
        """Mean of enough values for Student's t to be normal."""
        return cls.normal(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values))

    @classmethod
    def normal(cls, value: float, error: float, n: int) -> "Mean":
        """A value from n draws with its own standard error and a nearly normal law."""
        return cls(value, NORMAL * error, n)

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}} ± {self.half:{form}}"


def half_width(values: Real[ndarray, "*rows n"]) -> Float[ndarray, "*rows"] | float:
    """Half the width of the 95 % interval of the mean of n values, along the last axis; nan for a single value."""
    n = values.shape[-1]
    if n == 1:
        return np.full(values.shape[:-1], np.nan)
    return student_t(n - 1).ppf(0.975) * values.std(-1, ddof=1) / math.sqrt(n)


def interval(values: Real[ndarray, " n"], digits: int = 2) -> str:
    """Mean ± half width, as text."""
    return f"{Mean.of(values):.{digits}f}".replace("-", "−")
