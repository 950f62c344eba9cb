"""Small slips of the paper, each checked by a number: what the printed form gives, and what the corrected one does."""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import exact_quantizer
from ddoq_core.results.table import Table

TEACHER, STUDENT = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.4, 0.2])


def slips_table(K: int, n_paths: int, seed: int) -> Table:
    """One row per slip. K: points of the quantizer of N(0, 1) whose weights are summed."""
    rows = (*_kernel(0.3), _chain(4.0), _closed_cells(), _scaled_law(1.0), _time_change(1.0, 2.0, n_paths, seed))
    rows += (*_weights(K), _order_of_kl())
    return Table("Printed and corrected", ("where", "what is computed", "as printed", "corrected"), rows)


def _kernel(t: float) -> tuple:
    """Lemma 12, Theorem 13, Appendix A: g_t has the factor (2 pi t)^(-d/2), not its inverse, and mass 1."""
    line = quad(lambda x: math.exp(-(x**2) / (2 * t)), -math.inf, math.inf)[0]
    found = []
    for d in (1, 2):
        printed, right = line**d * (2 * math.pi * t) ** (d / 2), line**d * (2 * math.pi * t) ** (-d / 2)
        found.append(
            _row("Lemma 12, Theorem 13, A", f"mass of g_t, t = {t:g}, d = {d}", f"{printed:.3f}", f"{right:.3f}")
        )
    return tuple(found)


def _chain(a: float) -> tuple:
    """Proof of Theorem 5: E|X - x| <= (E|X - x|)^(1/2) lacks a square; uniform law on [-a, a], one point at 0."""
    first, second = (quad(lambda x, p=p: abs(x) ** p / (2 * a), -a, a)[0] for p in (1, 2))
    text = f"{first:.3f} ≤ {math.sqrt(first):.3f}", f"{first:.3f} ≤ {math.sqrt(second):.3f}"
    return _row("Theorem 5, proof", f"Hölder's step, uniform law on [−{a:g}, {a:g}], K = 1", *text)


def _closed_cells() -> tuple:
    """Theorem 5 and Proposition 2: closed cells share their boundary; mu = delta_0, points -1 and 1."""
    distances = np.abs(np.array([-1.0, 1.0]) - 0.0)
    closed = int((distances == distances.min()).sum())
    return _row(
        "Theorem 5, eq. 6",
        "mass of Σ μ(Cᵢ) δ(xᵢ), μ = δ₀, x = (−1, 1)",
        f"{closed}",
        f"{len({int(distances.argmin())})}",
    )


def _scaled_law(t: float) -> tuple:
    """Theorem 13, step 1: mu(e^(t/2) x) as a density lacks the factor e^(d t / 2); mu = N(0, 1)."""
    printed = quad(lambda x: norm.pdf(math.exp(t / 2) * x), -math.inf, math.inf)[0]
    return _row(
        "Theorem 13, step 1",
        f"mass of μ(e^(t/2) x), t = {t:g}, d = 1",
        f"{printed:.4f}",
        f"{printed * math.exp(t / 2):.4f}",
    )


def _time_change(s: float, t: float, n: int, seed: int) -> tuple:
    """Theorem 13, step 1: x_t = x_0 e^(-t/2) + W_(1 - e^-t) holds in law for each t, not as a path; x_0 = 0."""
    first, second = numpy_rng(seed, "16", "slips").standard_normal((2, n))
    variance = lambda u: -math.expm1(-u)  # noqa: E731
    at_s = math.sqrt(variance(s)) * first
    as_path = at_s + math.sqrt(variance(t) - variance(s)) * second
    as_process = math.exp((s - t) / 2) * at_s + math.sqrt(variance(t - s)) * second
    text = (f"{v.mean():.3f} ± {1.96 * v.std(ddof=1) / math.sqrt(n):.3f}" for v in (at_s * as_path, at_s * as_process))
    return _row("Theorem 13, step 1", f"covariance of x at times {s:g} and {t:g}", *text)


def _weights(K: int) -> tuple:
    """Before eq. 33, w in (0, 1); eq. 33: mean at most 1, mean square 1."""
    w = K * exact_quantizer(norm(), K).weights
    return (
        _row(
            "before eq. 33", f"largest weight w, N(0, 1), K = {K:,}", "below 1", f"{w.max():.3f}, mean {w.mean():.3f}"
        ),
        _row("eq. 33", f"mean of √w, N(0, 1), K = {K:,}", "–", f"{np.sqrt(w).mean():.4f}, mean square {w.mean():.3f}"),
    )


def _order_of_kl() -> tuple:
    """Algorithm 4, line 7: the student first is the reverse of the usual loss of distillation."""
    text = f"student first: {_kl(STUDENT, TEACHER):.5f}", f"teacher first: {_kl(TEACHER, STUDENT):.5f}"
    return _row("Algorithm 4, line 7", "KL of teacher (.7, .2, .1) and student (.4, .4, .2)", *text)


def _kl(p: Float[ndarray, " n"], q: Float[ndarray, " n"]) -> float:
    return float((p * np.log(p / q)).sum())


def _row(where: str, what: str, printed: str, corrected: str) -> tuple:
    return where, ((what, printed, corrected),)
