"""Tables of the exact quantizers of four laws, and the errors of Newton's method by quadrature."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from IPython.display import HTML

from ddoq_core.quantization.closed_forms import CLOSED_FORMS, closed_quantizer
from ddoq_core.quantization.exact import exact_gradient, exact_quantizer
from ddoq_core.results.table import As, Column, Table
from ddoq_core.theory.zador import LINE_LIMITS

LIMIT_FORMS = {
    "N(0, 1)": "√3 π/2 = {:.6f}",
    "Laplace": "{:.0f}",
    "Exponential": "9/4 = {:.6f}",
    "uniform on [0, 1]": "1/12 = {:.6f}",
}


@dataclass(frozen=True)
class ClosedFormCheck:
    """The closed form of one law at one level, compared with quadrature."""

    law: str
    K: int
    distortion: float
    gradient: float  # largest entry of the gradient by quadrature, which the closed forms do not use
    newton_distortion: float  # difference of the distortion by Newton's method
    newton_points: float  # largest difference of a point by Newton's method

    @property
    def scaled(self) -> float:
        """K^2 G."""
        return self.K**2 * self.distortion


def check_closed_forms(levels: Iterable[int]) -> tuple[ClosedFormCheck, ...]:
    """Check every law of CLOSED_FORMS at every level."""
    levels = list(levels)
    return tuple(_checked(name, K) for name in CLOSED_FORMS for K in levels)


def laws_table(checks: Sequence[ClosedFormCheck]) -> Table:
    """Distortion, K^2 G, largest entry of the gradient, and errors of Newton's method, per law and level."""
    columns = (
        "Law",
        "K",
        Column("distortion G", ".10f"),
        Column("K² G", ".6f"),
        *(Column(name, _power) for name in ("largest entry of ∇G", "Newton: G off by", "points off by")),
    )
    blocks = []
    for name, limit in LINE_LIMITS.items():
        rows = [
            (c.K, c.distortion, c.scaled, c.gradient, c.newton_distortion, c.newton_points)
            for c in checks
            if c.law == name
        ]
        rows.append(("∞", As(0, "d"), As(limit, LIMIT_FORMS[name].format), None, None, None))
        blocks.append((name, tuple(rows)))
    return Table("Optimal quantizers of four laws", columns, tuple(blocks))


def complete_table(checks: Sequence[ClosedFormCheck]) -> Table:
    """Distortion of every law at every level to 10 decimals, and the largest entry of the four gradients."""
    levels = dict.fromkeys(c.K for c in checks)
    at = {K: [c for c in checks if c.K == K] for K in levels}
    rows = [(K, *(c.distortion for c in four), max(c.gradient for c in four)) for K, four in at.items()]
    columns = ("K", *(Column(name, ".10f") for name in CLOSED_FORMS), Column("largest entry of ∇G", _power))
    return Table.of_rows("Distortion G of the optimal quantizers", columns, rows)


def points_csv(levels: Iterable[int]) -> str:
    """All points and weights of every law and level to 10 decimals: law, K, i, point, weight."""
    levels, lines = list(levels), ["law,K,i,point,weight"]
    for name in CLOSED_FORMS:
        for K in levels:
            q = closed_quantizer(name, K)
            numbers = zip(q.points + 0.0, q.weights, strict=True)
            lines += [f'"{name}",{K},{i},{x:.10f},{w:.10f}' for i, (x, w) in enumerate(numbers, 1)]
    return "\n".join(lines) + "\n"


def points_link(levels: Sequence[int]) -> HTML:
    """A link that saves `points_csv`. The page contains the file, and the link works without a network."""
    data = "data:text/csv;charset=utf-8," + quote(points_csv(levels), safe=",.-() ")
    text = f"All points and weights, K = {min(levels)} to {max(levels)} (CSV)"
    return HTML(f'<a download="optimal_quantizers.csv" href="{data}">{text}</a>')


def _checked(name: str, K: int) -> ClosedFormCheck:
    law, closed = CLOSED_FORMS[name].law, closed_quantizer(name, K)
    newton = exact_quantizer(law, K)
    return ClosedFormCheck(
        name,
        K,
        closed.distortion,
        float(np.abs(exact_gradient(law, closed.points)).max()),
        abs(closed.distortion - newton.distortion),
        float(np.abs(closed.points - newton.points).max()),
    )


def _power(value: float) -> str:
    return f"{value:.0e}" if value else "0"
