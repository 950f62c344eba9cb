"""A law on a line in the form that `exact` integrates: centred, scaled, and cut where its density is not smooth."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError

NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)  # for a part of a cell
INWARD, OUTWARD = 16.0 ** -np.arange(240), 4.0 ** np.arange(1, 250)  # ladders of distances for the cuts of a law
CERTIFIED = 1e-9  # largest relative error of the total mass, the mean and the variance of a result
SMOOTH = 1e-13  # largest change of a part, as a share of a moment of the law, when the part is halved
NEAR_END = 2.0**-30  # relative distance to an end, other than 0, below which numbers are too coarse for a density
MOST_CUTS = 5_000
OLD_NAMES = {"Normal": "norm", "StandardNormal": "norm", "Logistic": "logistic", "Uniform": "uniform"}
FAR = 2**6  # shift a law if its median is this many deviations from 0; scale it if its deviation is this large


@dataclass(frozen=True)
class StandardLaw:
    """The law of X, where shift + scale X has the given law."""

    name: str
    shift: float
    scale: float
    pdf: Callable[[ndarray], ndarray]
    ppf: Callable[[ndarray], ndarray]
    cdf: Callable[[float], float]
    sf: Callable[[float], float]  # 1 - cdf
    support: tuple[float, float]
    median: float
    mean: float
    std: float
    cuts: Float[ndarray, " c"]  # the density is smooth between them
    atoms: tuple[tuple[float, float], ...] = ()  # ends, each with the mass too close to it to be integrated

    @property
    def is_finely_cut(self) -> bool:
        return len(self.cuts) > 1

    def wrong(self, x: Float[ndarray, " K"], mass: Float[ndarray, " K"], moment: ndarray, second: ndarray) -> str:
        """Which of total mass, mean or variance (between and within cells) is violated by masses and moments about x;
        "" if none."""
        away = x - self.mean
        variance = (mass * away**2 + 2 * away * moment).sum() + second.sum()
        for what, error in (
            ("the weights do not sum to 1", mass.sum() - 1),
            ("the mean of the law is not kept", (mass * away + moment).sum() / self.std),
            ("the variance of the law is not that between cells and within", variance / self.std**2 - 1),
        ):
            if not abs(error) <= CERTIFIED:
                return f"{what}, by a share of {error:.1e}"
        return ""

    @functools.cached_property
    def finely_cut(self) -> "StandardLaw":
        """The law cut at quantiles, ever closer to its ends, then halved until no part changes by more than SMOOTH."""
        low, high = self.support
        near = [end + side * max(NEAR_END * min(abs(end), 1e290), 1e-290) for side, end in ((1, low), (-1, high))]
        steps, unit = self.std * np.concatenate([INWARD, OUTWARD]), self.std ** np.arange(3)[:, None]
        with np.errstate(all="ignore"):
            ends = low + (self.median - low) * INWARD, high - (high - self.median) * INWARD
            quantiles = self.ppf(np.arange(1, 64) / 64)
            cuts = np.unique([*quantiles, *(self.median - steps), *(self.median + steps), *ends[0], *ends[1], *near])
            cuts = cuts[np.isfinite(cuts) & (cuts > low) & (cuts < high) & (cuts >= near[0]) & (cuts <= near[1])]
            atoms = ((low, float(self.cdf(cuts[0]))), (high, float(self.sf(cuts[-1]))))
            a, b = cuts[:-1], cuts[1:]
            while len(a) and len(cuts) < MOST_CUTS:
                middle = (a + b) / 2
                change = self.moments(a, b) - self.moments(a, middle) - self.moments(middle, b)
                rough = (np.abs(change) > SMOOTH * unit).any(0) & (a < middle) & (middle < b)
                a, middle, b = a[rough], middle[rough], b[rough]
                cuts, a, b = np.append(cuts, middle), np.append(a, middle), np.append(middle, b)
        atoms = tuple((end, mass) for end, mass in atoms if np.isfinite(end))
        return dataclasses.replace(self, cuts=np.unique(cuts), atoms=atoms)

    def moments(self, a: Float[ndarray, " c"], b: Float[ndarray, " c"]) -> Float[ndarray, "3 c"]:
        """Integrals of 1, x and x^2 from each a to its b."""
        half = (b - a)[:, None] / 2
        x = (a + b)[:, None] / 2 + half * NODES
        p = self.pdf(x) * half * WEIGHTS
        return np.array([(p * x**power).sum(1) for power in range(3)])


@functools.lru_cache(256)
def standard_law(law: Any) -> StandardLaw:
    """A law of `scipy.stats`, old or new interface, as a StandardLaw: near 0, and of about unit size.

    Raises:
        InputError: not a law, or discrete, multivariate, with free parameters, or without finite variance.
    """
    name = getattr(getattr(law, "dist", law), "name", None) or type(law).__name__
    name, old = OLD_NAMES.get(name, name), hasattr(law, "ppf")
    discrete = any("iscrete" in kind.__name__ for kind in type(law).__mro__)
    if discrete or not hasattr(law, "pdf") or not (old or hasattr(law, "icdf")) or getattr(law, "numargs", 0):  # type: ignore[arg-type]
        raise InputError(
            f"{name} is not a law on a line with a density and fixed parameters; give one such as scipy.stats.norm() "
            f"or a DensityLaw of a function"
        )
    shift, scale = 0.0, 1.0
    if hasattr(law, "dist"):
        shapes, shift, scale = law.dist._parse_args(*law.args, **law.kwds)
        law = law.dist(*shapes)
    mean, std = (law.mean(), law.std()) if old else (law.mean(), law.standard_deviation())
    if np.size(mean) * np.size(shift) * np.size(scale) != 1:
        raise InputError(f"the law {name} has several values for a parameter; give one value")
    if not (np.isfinite(shift) and scale * std > 0 and (scale * std) * (scale * std) < np.inf):
        raise InputError(f"the law {name} has no finite variance, so it has no quantizer in W_2; give another law")
    m, s = law.median(), 2.0 ** np.round(np.log2(std))
    m, s = (0.0 if abs(m) < FAR * std else m), (1.0 if 1 / FAR < std < FAR else s)

    ppf, sf = (law.ppf, law.sf) if old else (law.icdf, law.ccdf)

    def density(x: ndarray) -> ndarray:
        with np.errstate(all="ignore"):
            p = s * law.pdf(m + s * x)
        return np.where(np.isnan(p), 0.0, p)  # 0 / 0 far out or near an end; certification fails if p is not 0

    return StandardLaw(
        name, float(shift + scale * m), float(scale * s), density,
        lambda u: (ppf(u) - m) / s, lambda x: law.cdf(m + s * x), lambda x: sf(m + s * x),
        tuple((end - m) / s for end in law.support()), (law.median() - m) / s, (mean - m) / s, std / s,
        np.array([(law.median() - m) / s]),
    )  # fmt: skip
