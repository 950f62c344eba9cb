"""The mean of a crossed design (distillations x student seeds x test images), and its distance from its expectation.

All three factors are random. The variance of the mean is estimated without bias by a signed sum of mean squares
(Searle, Casella and McCulloch 1992), with Satterthwaite's degrees of freedom, since there are few seeds.
"""

import itertools
import math
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray
from scipy import stats

# A factor of the seeds is pooled with their interaction unless an F test finds it at this level, a usual one in rules
# for pooling (Bancroft 1964); otherwise a factor without effect would cost the interval its degrees of freedom.
POOLED = 0.25


@dataclass(frozen=True)
class GrandMean:
    """A mean, its standard error, and the degrees of freedom of Student's t."""

    value: float
    error: float
    degrees: float

    def half(self, level: float) -> float:
        """Half the width of the interval at this level."""
        return self.error * float(stats.t.ppf((1 + level) / 2, self.degrees)) if self.error else 0.0


def grand_mean(y: Float[ndarray, "D S X"]) -> GrandMean:
    """Mean of y[distillation, student seed, image]. A factor with one level adds nothing to the variance."""
    squares, n = _mean_squares(y), y.size
    images = sum((-1) ** (len(f) + 1) * ms for f, (ms, _) in squares.items() if 2 in f) / n
    terms = [(max(images, 0.0), max(y.shape[2] - 1, 1))]
    terms += [(sign * ms / n, df) for sign, ms, df in _seeds({f: s for f, s in squares.items() if 2 not in f})]
    variance = sum(part for part, _ in terms)
    spread = sum(part**2 / df for part, df in terms)
    return GrandMean(float(y.mean()), math.sqrt(variance), variance**2 / spread if spread else math.inf)


def _seeds(squares: dict[tuple[int, ...], tuple[float, int]]) -> list[tuple[int, float, int]]:
    """Sign, mean square and degrees of freedom of each term in the variance from the seeds."""
    if len(squares) < 3:  # one factor, or none
        return [(1, *square) for square in squares.values()]
    error, df_error = squares[0, 1]
    found = [f for f in ((0,), (1,)) if squares[f][0] > stats.f.ppf(1 - POOLED, squares[f][1], df_error) * error]
    if len(found) == 2:
        return [(1, *squares[0,]), (1, *squares[1,]), (-1, error, df_error)]
    if found:
        return [(1, *squares[found[0]])]
    df = sum(df for _, df in squares.values())
    return [(1, sum(ms * df for ms, df in squares.values()) / df, df)]


def _mean_squares(y: Float[ndarray, "D S X"]) -> dict[tuple[int, ...], tuple[float, int]]:
    """Mean square and degrees of freedom of every effect and interaction of the factors with several levels."""
    factors = [axis for axis, n in enumerate(y.shape) if n > 1]
    found = {}
    for size in range(1, len(factors) + 1):
        for effect in itertools.combinations(factors, size):
            part = y.mean(tuple(axis for axis in range(3) if axis not in effect), keepdims=True)
            for axis in effect:
                part = part - part.mean(axis, keepdims=True)
            df = math.prod(y.shape[axis] - 1 for axis in effect)
            found[effect] = float((part**2).sum()) * y.size / part.size / df, df
    return found
