"""Lloyd's algorithm (Algorithm 2), and the best of several of its starts.

The algorithm is written once; its cost depends on the form of the samples, which `form_of` chooses.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..errors import InputError
from .forms import Direct, Form, Gram
from .line import Line
from .seeding import kmeans_plus_plus_rows, random_rows
from .voronoi import Iterate, Quantizer, at_least, checked_mass, on_one_scale, quantizer_of, scaled, scaled_back

STARTS = {"k-means++": kmeans_plus_plus_rows, "random": random_rows}
ITERATIONS, SEEDING = 20, 30  # assumed passes over the samples of one run, and of one k-means++ start
MOST = 2**14  # samples in the Gram form: their inner products need 1 GiB


def lloyd(
    samples: Tensor, codebook: Tensor, *, mass: Tensor | None = None, max_iter: int = 300, tol: float = 1e-6,
    callback: Callable[[Iterate], None] | None = None,
) -> Quantizer:  # fmt: skip
    """Lloyd's algorithm (Algorithm 2): move every point to the centroid of its Voronoi cell until none moves.

    The distortion G(x) = E min_i |X - x_i|^2 never increases (Graf and Luschgy 2000, Lemma 4.10).
    An empty cell is refilled by splitting the costliest cell. Cells stay empty only if there are fewer distinct
    samples than points.

    Args:
        samples: n points X ~ mu, (n, d), finite.
        codebook: the K starting points (K, d); not modified.
        mass: of each sample, (n,), 0 or more, in any unit; None is 1 each.
        max_iter: at most this many moves.
        tol: stop when the distortion falls by no more than this fraction and no cell is empty.
        callback: called with every iterate, the start first.
    Returns:
        Quantizer with points (K, d), in increasing order if d = 1; counts (K,) summing to n; history.
    Raises:
        InputError: K < 1, K > n, a sample or point that is not finite, different dimensions, an invalid mass, a
            negative `max_iter`, or a distortion beyond the range of float64.
    """
    at_least(0, max_iter=max_iter)
    samples, codebook, exponent = on_one_scale(samples, codebook, start=True)
    mass, tell = checked_mass(mass, samples), callback and (lambda iterate: callback(scaled_back(iterate, exponent)))
    form = form_of(samples, mass, [len(codebook)], min(max_iter, ITERATIONS))
    run = _iterate(form, form.place(codebook), max_iter, tol, tell)
    return scaled_back(_finished(form, run, samples, mass), exponent)


def best_of_restarts(
    samples: Tensor, K: int | Sequence[int] | Int[ndarray, " levels"], *, n_restarts: int, rng: np.random.Generator,
    init: str = "k-means++", mass: Tensor | None = None, max_iter: int = 300, tol: float = 1e-6,
) -> Quantizer | list[Quantizer]:  # fmt: skip
    """The quantizer with the lowest distortion among `n_restarts` runs of Lloyd's algorithm from different starts.

    Args:
        samples, mass: as in `lloyd`.
        K: one level, or several, which share the cost of the form of the samples; the result at one level does not
            depend on the others.
        init: `k-means++` or `random` samples. On a line the exact optimum replaces all k-means++ starts.
    Returns:
        A Quantizer, or a list with one for each of several levels.
    Raises:
        InputError: as `lloyd`; an unknown `init`, or `n_restarts` < 1.
    """
    if init not in STARTS:
        raise InputError(f"init = {init!r}, but it must be {' or '.join(STARTS)}")
    at_least(1, n_restarts=n_restarts)
    at_least(0, max_iter=max_iter)
    levels = [K] if isinstance(K, Number) else list(K)  # type: ignore[arg-type]
    samples, exponent = scaled(samples, *levels)
    mass = checked_mass(mass, samples)
    form, best = form_of(samples, mass, levels, n_restarts * (SEEDING + ITERATIONS)), {}  # type: ignore[arg-type]
    for start in _starts(form, init, max(levels), n_restarts, rng):  # type: ignore[arg-type]
        for level in dict.fromkeys(levels):
            run = _iterate(form, start(level), max_iter, tol)  # type: ignore[arg-type]
            best[level] = min(best.get(level, run), run, key=lambda run: run.history[-1])
    found = [scaled_back(_finished(form, best[level], samples, mass), exponent) for level in levels]
    return found[0] if isinstance(K, Number) else found


def form_of(samples: Float[Tensor, "n d"], mass: Float[Tensor, " n"], levels: list[int], passes: int) -> Form:
    """The form with the fastest runs, for this many passes over the samples at each of these levels.

    On a line, Line. Otherwise Gram where `gram_pays` and no mass is too light for its float32, and Direct elsewhere.
    """
    n, d = samples.shape
    if d == 1:
        return Line(samples, mass)
    light = mass[mass > 0].min() < 2.0**-64
    return Gram(samples, mass) if gram_pays(n, d, levels, passes) and not light else Direct(samples, mass)


def gram_pays(n: int, d: int, levels: list[int], passes: int) -> bool:
    """Whether the Gram form is faster: n^2 d operations once and n^2 in each pass, each worth ten of a matrix product;
    Direct needs 2 n K d in each pass."""
    return n <= MOST and n * n * (d + 10 * passes * len(levels)) < 2 * n * d * sum(levels) * passes


@dataclass(frozen=True)
class Descent:
    """The state in which one run of the algorithm has converged."""

    codebook: Any
    cells: Any
    history: tuple[float, ...]


def _iterate(form: Form, start: Any, max_iter: int, tol: float, callback: Callable | None = None) -> Descent:
    """Algorithm 2 in the given form."""
    new, history = start, []
    for step in range(max_iter + 1):
        found = form.sweep(new)
        if history and history[-1] <= found.distortion:  # no gain, or rounding: keep the last points
            break
        book, cells_of_book = new, found
        history.append(found.distortion)
        if callback is not None:
            callback(Iterate(step, form.points(book), found.distortion))
        gain = history[-2] - history[-1] if step else math.inf
        if gain <= tol * found.distortion and (found.masses > 0).all():
            break
        new = form.centroids(found, book)
    return Descent(book, cells_of_book, tuple(history))


def _starts(form: Form, init: str, K: int, n_restarts: int, rng: np.random.Generator) -> Iterator[Callable[[int], Any]]:
    """Each start as a function of the level, at most K. A level's codebook is the first part of a higher level's."""
    if isinstance(form, Line) and init == "k-means++":
        yield form.optimum
        return
    for one in rng.spawn(n_restarts):
        rows = STARTS[init](form, K, one)
        yield lambda level, rows=rows: form.choose(rows[:level])


def _finished(form: Form, run: Descent, samples: Float[Tensor, "n d"], mass: Float[Tensor, " n"]) -> Quantizer:
    """The final points with the exact masses, counts and distortion of their cells."""
    return quantizer_of(samples, form.points(run.codebook), form.labels(run.cells), run.history, mass)
