"""Quantization as cubature: E f(X) by sum_i w_i f(x_i) for X ~ N(0, 1), against closed forms and other rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.special import ndtr
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization.exact import ExactQuantizer
from ddoq_core.results.intervals import half_width
from ddoq_core.results.table import NOTHING, Table

from ..style import BLUE, GREEN, MUTED, VERMILION, figure_style, label, subplots, theory_line
from .laws import closed_quantizer

LIPSCHITZ = "distance to the grid"  # the 1-Lipschitz function that attains e_1 (Theorem 5)


@dataclass(frozen=True)
class Integrand:
    """A function whose mean under N(0, 1) is known."""

    name: str
    f: Callable[[ndarray], ndarray]
    mean: float
    convex: bool
    lipschitz: float | None  # of f; None: none
    lipschitz_slope: float | None  # of f'; None: none


# the payoff of a call option of strike 1 in the model of Bachelier
CALL = Integrand("max(X − 1, 0)", lambda x: np.maximum(x - 1, 0), float(norm.pdf(1) - ndtr(-1)), True, 1.0, None)
COSINE = Integrand("cos X", np.cos, float(np.exp(-0.5)), False, 1.0, 1.0)
EXPONENTIAL = Integrand("exp X", np.exp, float(np.exp(0.5)), True, None, None)
SQUARE = Integrand("X²", np.square, 1.0, True, None, 2.0)
INTEGRANDS = (CALL, COSINE, EXPONENTIAL, SQUARE)


@cache
def quantizer(K: int) -> ExactQuantizer:
    """The optimal quantizer of N(0, 1)."""
    return closed_quantizer("N(0, 1)", K)


def cubature(integrand: Integrand, K: int) -> float:
    """sum_i w_i f(x_i) - E f(X) on the optimal quantizer: not above 0 where f is convex, by Jensen in every cell."""
    q = quantizer(K)
    return float(q.weights @ integrand.f(q.points) - integrand.mean)


def gauss_hermite(integrand: Integrand, K: int) -> float:
    """The same of the Gauss rule of N(0, 1) with K nodes, exact for polynomials up to degree 2 K - 1."""
    x, w = np.polynomial.hermite_e.hermegauss(K)
    return float(w @ integrand.f(x) / w.sum() - integrand.mean)


def monte_carlo(integrand: Integrand, K: int, n_seeds: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean over n_seeds of the absolute error of K independent draws, and half its 95 % interval."""
    if n_seeds < 2:
        raise InputError(f"monte_carlo_seeds = {n_seeds}, but an interval needs 2 at least")
    errors = np.abs(integrand.f(rng.standard_normal((n_seeds, K))).mean(1) - integrand.mean)
    return float(errors.mean()), float(half_width(errors))


def first_order_bound(integrand: Integrand, K: int) -> float | None:
    """Theorem 5: L G^(1/2)."""
    return None if integrand.lipschitz is None else integrand.lipschitz * quantizer(K).distortion ** 0.5


def second_order_bound(integrand: Integrand, K: int) -> float | None:
    """Lip(f') G / 2, for a stationary quantizer."""
    return None if integrand.lipschitz_slope is None else integrand.lipschitz_slope * quantizer(K).distortion / 2


def mean_distance(K: int) -> float:
    """e_1 = E min_i |X - x_i| on the optimal quantizer: the error for the distance to the grid, which is 0 on it."""
    x = quantizer(K).points
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])

    def above(a: ndarray, b: ndarray) -> ndarray:  # int_a^b (xi - x) p
        return norm.pdf(a) - norm.pdf(b) - x * (ndtr(b) - ndtr(a))

    return float((above(x, edges[1:]) - above(edges[:-1], x)).sum())


def worked_table(integrand: Integrand, K: int) -> Table:
    """The sum written out: every point, its weight, the function there, and their product."""
    q = quantizer(K)
    values = integrand.f(q.points)
    rows = [
        (str(i), ((f"{x:.4f}".replace("-", "−"), f"{w:.4f}", f"{v:.4f}", f"{w * v:.6f}"),))
        for i, (x, w, v) in enumerate(zip(q.points + 0.0, q.weights, values, strict=True), 1)
    ]
    rows.append(("sum", ((NOTHING, f"{q.weights.sum():.4f}", NOTHING, f"{q.weights @ values:.6f}"),)))
    rows.append(("exact", ((NOTHING, NOTHING, NOTHING, f"{integrand.mean:.6f}"),)))
    columns = ("i", "xᵢ", "wᵢ", "f(xᵢ)", "wᵢ f(xᵢ)")
    return Table(f"E {integrand.name} with K = {K}", columns, tuple(rows))


def rules_table(levels: Sequence[int], n_seeds: int, rng: np.random.Generator) -> Table:
    """Signed errors of the quantizer and of Gauss-Hermite, absolute ones of draws, and the bounds, per integrand."""
    blocks = []
    for integrand in INTEGRANDS:
        rows = []
        for K in levels:
            bounds = [bound(integrand, K) for bound in (first_order_bound, second_order_bound)]
            drawn = "{:.1e} ± {:.0e}".format(*monte_carlo(integrand, K, n_seeds, rng))
            errors = map(_power, (cubature(integrand, K), gauss_hermite(integrand, K)))
            rows.append((str(K), *errors, drawn, *(NOTHING if b is None else _power(b) for b in bounds)))
        blocks.append((integrand.name, tuple(rows)))
    columns = ("f", "K", "optimal quantizer", "Gauss–Hermite", "K draws, mean absolute error", "L G^½", "½ Lip(f′) G")
    note = (
        f"Errors are the rule's sum minus E f(X). Draws: n = {n_seeds:,} repetitions, 95 % intervals. "
        f"{NOTHING}: f or f′ is not Lipschitz."
    )
    return Table("Errors of three rules with K points, X ~ N(0, 1)", columns, tuple(blocks), (note,))


@figure_style()
def rates_figure(levels: Sequence[int], n_seeds: int, rng: np.random.Generator) -> Figure:
    """|error| against K: the distance to the grid, cos X and the call on the quantizer, draws; both bounds dashed."""
    figure, axes = subplots(height=4.4)
    K, roots = np.array(levels), np.array([quantizer(k).distortion for k in levels]) ** 0.5
    theory_line(axes, K, roots, "$G^{1/2}$ (Theorem 5)")
    theory_line(axes, K, roots**2 / 2, "$G/2$")
    curves = {
        "K draws, call": (np.array([monte_carlo(CALL, k, n_seeds, rng)[0] for k in levels]), MUTED, "x", 4),
        LIPSCHITZ: (np.array([mean_distance(k) for k in levels]), VERMILION, "s", -10),
        "cos X": (np.array([abs(cubature(COSINE, k)) for k in levels]), BLUE, "o", -4),
        "call": (np.array([abs(cubature(CALL, k)) for k in levels]), GREEN, "D", 0),
    }
    for name, (errors, colour, marker, down) in curves.items():
        axes.plot(K, errors, marker=marker, color=colour, linestyle="none" if name == "call" else "-")
        label(axes, K[-1], errors[-1], name, colour, xytext=(6, down))
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="|error in E f(X)|")
    axes.set_xlim(right=K[-1] * 4.5)
    return figure


def slope(levels: Sequence[int], errors: Float[ndarray, " levels"]) -> float:
    """Slope of a line through the logarithms of both, by least squares."""
    return float(np.polyfit(np.log(levels), np.log(errors), 1)[0])


def _power(value: float) -> str:
    return f"{value:.1e}".replace("-", "−", 1) if value < 0 else f"{value:.1e}"
