"""Quantization as cubature: the sum written out, three rules compared, and the decrease of their errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import NOTHING, Column, Table
from ddoq_core.theory.cubature import (
    CALL,
    COSINE,
    INTEGRANDS,
    Integrand,
    cubature_error,
    first_order_bound,
    gauss_hermite_error,
    mean_distance,
    monte_carlo_errors,
    normal_quantizer,
    second_order_bound,
)

from ..style import BLUE, GREEN, MUTED, VERMILION, figure_style, label, subplots, theory_line

LIPSCHITZ = "distance to the grid"  # the 1-Lipschitz function that attains e_1 (Theorem 5)


@dataclass(frozen=True)
class WorkedSum:
    """The sum over K points that approximates an integral, term by term."""

    integrand: Integrand
    points: Float[ndarray, " K"]
    weights: Float[ndarray, " K"]

    @property
    def values(self) -> Float[ndarray, " K"]:
        """f(x_i)."""
        return self.integrand.f(self.points)

    @property
    def total(self) -> float:
        """sum_i w_i f(x_i)."""
        return float(self.weights @ self.values)


def work_out(integrand: Integrand, K: int) -> WorkedSum:
    """The sum on the optimal quantizer of N(0, 1)."""
    q = normal_quantizer(K)
    return WorkedSum(integrand, q.points + 0.0, q.weights)


def worked_table(found: WorkedSum) -> Table:
    """The sum written out: every point, its weight, the function there, and their product."""
    x, w, f = found.points, found.weights, found.values
    rows = list(zip(range(1, len(x) + 1), x, w, f, w * f, strict=True))
    rows.append(("sum", None, w.sum(), None, found.total))
    rows.append(("exact", None, None, None, found.integrand.mean))
    columns = ("i", *(Column(name, ".4f") for name in ("xᵢ", "wᵢ", "f(xᵢ)")), Column("wᵢ f(xᵢ)", ".6f"))
    return Table.of_rows(f"E {found.integrand.name} with K = {len(x)}", columns, rows)


@dataclass(frozen=True)
class RuleErrors:
    """Errors of three rules with K points for one integrand, and the bounds; None if f or f' is not Lipschitz."""

    integrand: str
    K: int
    quantizer: float  # signed
    gauss_hermite: float  # signed
    draws: Mean  # of the absolute errors
    first_order: float | None
    second_order: float | None


def compare_rules(levels: Sequence[int], n_seeds: int, rng: np.random.Generator) -> tuple[RuleErrors, ...]:
    """The optimal quantizer, Gauss-Hermite and n_seeds repetitions of K draws, per integrand and level."""
    return tuple(
        RuleErrors(
            f.name,
            K,
            cubature_error(f, K),
            gauss_hermite_error(f, K),
            Mean.of(monte_carlo_errors(f, K, n_seeds, rng)),
            first_order_bound(f, K),
            second_order_bound(f, K),
        )
        for f in INTEGRANDS
        for K in levels
    )


def rules_table(rules: Sequence[RuleErrors]) -> Table:
    """Per integrand: signed errors of the quantizer and of Gauss-Hermite, absolute errors of draws, and the bounds."""
    columns = (
        "f",
        "K",
        Column("optimal quantizer", ".1e"),
        Column("Gauss–Hermite", ".1e"),
        Column("K draws, mean absolute error", lambda mean: f"{mean.value:.1e} ± {mean.half:.0e}"),
        Column("L G^½", ".1e"),
        Column("½ Lip(f′) G", ".1e"),
    )
    blocks = {rule.integrand: [] for rule in rules}
    for rule in rules:
        bounds = rule.first_order, rule.second_order
        blocks[rule.integrand].append((rule.K, rule.quantizer, rule.gauss_hermite, rule.draws, *bounds))
    note = (
        f"Errors are the rule's sum minus E f(X). Draws: n = {rules[0].draws.n:,} repetitions, 95 % intervals. "
        f"{NOTHING}: f or f′ is not Lipschitz."
    )
    groups = tuple((name, tuple(rows)) for name, rows in blocks.items())
    return Table("Errors of three rules with K points, X ~ N(0, 1)", columns, groups, (note,))


@figure_style()
def cubature_figure(levels: Sequence[int], n_seeds: int, rng: np.random.Generator) -> Figure:
    """|error| against K: the distance to the grid, cos X and the call on the quantizer, and draws; bounds dashed."""
    figure, axes = subplots(height=4.4)
    K, roots = np.array(levels), np.array([normal_quantizer(k).distortion for k in levels]) ** 0.5
    theory_line(axes, K, roots, "$G^{1/2}$ (Theorem 5)")
    theory_line(axes, K, roots**2 / 2, "$G/2$")
    curves = {
        "K draws, call": (np.array([monte_carlo_errors(CALL, k, n_seeds, rng).mean() for k in levels]), MUTED, "x", 4),
        LIPSCHITZ: (np.array([mean_distance(k) for k in levels]), VERMILION, "s", -10),
        "cos X": (np.array([abs(cubature_error(COSINE, k)) for k in levels]), BLUE, "o", -4),
        "call": (np.array([abs(cubature_error(CALL, k)) for k in levels]), GREEN, "D", 0),
    }
    for name, (errors, colour, marker, down) in curves.items():
        axes.plot(K, errors, marker=marker, color=colour, linestyle="none" if name == "call" else "-")
        label(axes, K[-1], errors[-1], name, colour, xytext=(6, down))
    axes.set(xscale="log", yscale="log", xlabel="number of points K", ylabel="|error in E f(X)|")
    axes.set_xlim(right=K[-1] * 4.5)
    return figure


def slope(levels: Sequence[int], errors: Float[ndarray, " levels"]) -> float:
    """Slope of the least-squares line through log error against log K."""
    return float(np.polyfit(np.log(levels), np.log(errors), 1)[0])
