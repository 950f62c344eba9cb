"""Small slips of the paper, each checked by a number: the value of the printed form, and of the corrected form."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_core.quantization import exact_quantizer
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import As, Table
from ddoq_core.theory.bounds import log_pathwise_constant, log_printed_constant
from ddoq_core.theory.diffusion import BROWNIAN

TEACHER, STUDENT = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.4, 0.2])
KERNEL_TIME = 0.3  # t of the kernel g_t
HALF_SIDE = 4.0  # a of the uniform law on [-a, a]
SCALING_TIME = 1.0  # t of the scaled law
FIRST, SECOND = 1.0, 2.0  # times of the path
STOP, HORIZONS = 0.5, np.geomspace(0.51, 1000, 400)  # delta of the largest constant, and the values of T tried


@dataclass(frozen=True)
class Slip:
    """The value of the printed form, and of the corrected form."""

    printed: Any  # a number, or several
    corrected: Any


@dataclass(frozen=True)
class Slips:
    """One number or several for each slip."""

    kernel_mass: dict[int, Slip]  # by d
    largest_constant: Slip  # logarithm of C of Theorem 13 over all T tried
    hoelder: Slip  # both sides of an inequality
    closed_cells: Slip
    scaled_mass: Slip
    covariance: Slip
    K: int
    largest_weight: float
    mean_weight: float
    mean_root: float  # of the weights
    kl: Slip


def slips(K: int, n_paths: int, seed: int) -> Slips:
    """All slips. K: number of points of the quantizer of N(0, 1) whose weights are summed."""
    w = K * exact_quantizer(norm(), K).weights
    weights = float(w.max()), float(w.mean()), float(np.sqrt(w).mean())
    kl = Slip(_kl(STUDENT, TEACHER), _kl(TEACHER, STUDENT))  # Algorithm 4, line 7: the usual loss is the second
    kernel = {d: _kernel_mass(KERNEL_TIME, d) for d in (1, 2)}
    chain, covariance = _hoelder(HALF_SIDE), _covariance(FIRST, SECOND, n_paths, seed)
    return Slips(
        kernel, _largest_constant(), chain, _closed_cells(), _scaled_mass(SCALING_TIME), covariance, K, *weights, kl
    )


def _kernel_mass(t: float, d: int) -> Slip:
    """Lemma 12, Theorem 13, Appendix A: with the factor (2 pi t)^(-d/2), not its inverse, g_t has mass 1."""
    line = quad(lambda x: math.exp(-(x**2) / (2 * t)), -math.inf, math.inf)[0]
    return Slip(line**d * (2 * math.pi * t) ** (d / 2), line**d * (2 * math.pi * t) ** (-d / 2))


def _largest_constant() -> Slip:
    """Theorem 13 promises one C for all T: eq. 30 as printed is unbounded in T, and has a maximum when corrected."""
    horizons = HORIZONS.tolist()
    printed = max(log_printed_constant(BROWNIAN, 1.0, STOP, T, 1) for T in horizons)
    return Slip(printed, max(log_pathwise_constant(BROWNIAN, 1.0, STOP, T) for T in horizons))


def _hoelder(a: float) -> Slip:
    """Proof of Theorem 5: E|X - x| <= (E|X - x|)^(1/2) lacks a square; uniform law on [-a, a], one point at 0."""
    first, second = (quad(lambda x, p=p: abs(x) ** p / (2 * a), -a, a)[0] for p in (1, 2))
    return Slip((first, math.sqrt(first)), (first, math.sqrt(second)))


def _closed_cells() -> Slip:
    """Theorem 5 and Proposition 2: closed cells share their boundary; mu = delta_0, points -1 and 1."""
    distances = np.abs(np.array([-1.0, 1.0]) - 0.0)
    return Slip(int((distances == distances.min()).sum()), len({int(distances.argmin())}))


def _scaled_mass(t: float) -> Slip:
    """Theorem 13, step 1: mu(e^(t/2) x) as a density lacks the factor e^(d t / 2); mu = N(0, 1)."""
    printed = quad(lambda x: norm.pdf(math.exp(t / 2) * x), -math.inf, math.inf)[0]
    return Slip(printed, printed * math.exp(t / 2))


def _covariance(s: float, t: float, n: int, seed: int) -> Slip:
    """Theorem 13, step 1: x_t = x_0 e^(-t/2) + W_(1 - e^-t) holds in law for each t, not as a path; x_0 = 0."""
    first, second = numpy_rng(seed, "16", "slips").standard_normal((2, n))
    variance = lambda u: -math.expm1(-u)  # noqa: E731
    at_s = math.sqrt(variance(s)) * first
    as_path = at_s + math.sqrt(variance(t) - variance(s)) * second
    as_process = math.exp((s - t) / 2) * at_s + math.sqrt(variance(t - s)) * second
    return Slip(Mean.of_many(at_s * as_path), Mean.of_many(at_s * as_process))


def _kl(p: Float[ndarray, " n"], q: Float[ndarray, " n"]) -> float:
    return float((p * np.log(p / q)).sum())


def slips_table(found: Slips) -> Table:
    """One row per slip."""
    t, a, K = KERNEL_TIME, HALF_SIDE, found.K
    rows = [
        ("Lemma 12, Theorem 13, A", f"mass of g_t, t = {t:g}, d = {d}", *_cells(slip, "{:.3f}"))
        for d, slip in found.kernel_mass.items()
    ]
    largest = f"largest log C, T ≤ {HORIZONS[-1]:,.0f}, R = d = 1, δ = {STOP:g}"
    rows.append(("Theorem 13, eq. 30", largest, *_cells(found.largest_constant, "{:.2f}")))
    sides = _cells(found.hoelder, "{:.3f} ≤ {:.3f}")
    rows.append(("Theorem 5, proof", f"Hölder's step, uniform law on [−{a:g}, {a:g}], K = 1", *sides))
    closed = "mass of Σ μ(Cᵢ) δ(xᵢ), μ = δ₀, x = (−1, 1)"
    rows.append(("Theorem 5, eq. 6", closed, *_cells(found.closed_cells, "{}")))
    scaled = f"mass of μ(e^(t/2) x), t = {SCALING_TIME:g}, d = 1"
    rows.append(("Theorem 13, step 1", scaled, *_cells(found.scaled_mass, "{:.4f}")))
    covariance = f"covariance of x at times {FIRST:g} and {SECOND:g}"
    rows.append(("Theorem 13, step 1", covariance, *_cells(found.covariance, "{:.3f}")))
    heaviest = _cell((found.largest_weight, found.mean_weight), "{:.3f}, mean {:.3f}")
    rows.append(("before eq. 33", f"largest weight w, N(0, 1), K = {K:,}", "below 1", heaviest))
    roots = _cell((found.mean_root, found.mean_weight), "{:.4f}, mean square {:.3f}")
    rows.append(("eq. 33", f"mean of √w, N(0, 1), K = {K:,}", None, roots))
    kl = _cell(found.kl.printed, "student first: {:.5f}"), _cell(found.kl.corrected, "teacher first: {:.5f}")
    rows.append(("Algorithm 4, line 7", "KL of teacher (.7, .2, .1) and student (.4, .4, .2)", *kl))
    columns = ("where", "what is computed", "as printed", "corrected")
    return Table.of_rows("Printed and corrected", columns, rows)


def _cells(slip: Slip, form: str) -> tuple[As, As]:
    return _cell(slip.printed, form), _cell(slip.corrected, form)


def _cell(value: Any, form: str) -> As:
    """One number or several in a given format."""
    return As(value if isinstance(value, tuple) else (value,), lambda numbers: form.format(*numbers))
