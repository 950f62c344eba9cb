"""Compiled loops for operations that are slow as matrix products on a CPU.

Each loop works on a run of rows, releases the interpreter's lock, and adds in a fixed order. `in_runs` cuts the rows
the same way for any number of threads, so results do not depend on that number.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from numpy import ndarray

RUN = 2**16  # rows per call
EXACT = 3  # dimensions up to which squared distances are summed directly
CACHED = 2**11  # coordinates of the samples in one block of the search: 8 KiB in float32


def compiled(function: Callable, **options: object) -> Callable:
    """The compiled function, cached between runs in the first writable folder: this one, or the user's cache."""
    compile_it = functools.partial(numba.njit, nogil=True, error_model="numpy", **options)
    function = inspect.unwrap(function)  # tests wrap every function to check its arguments
    try:
        return compile_it(cache=True)(function)
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        _say_that_nothing_is_kept()
        return compile_it()(function)


@functools.cache
def _say_that_nothing_is_kept() -> None:
    print(
        "ddoq: compiled loops cannot be kept, and are compiled in every run (some seconds); "
        "set NUMBA_CACHE_DIR to a folder that can be written",
        file=sys.stderr,
    )


def in_runs(work: Callable[[slice], ndarray | tuple | None], n: int) -> list:
    """Apply `work` to each run of rows, with as many threads as torch uses; results in the order of the rows."""
    runs = [slice(first, min(first + RUN, n)) for first in range(0, n, RUN)]
    if len(runs) == 1 or torch.get_num_threads() == 1:
        return [work(run) for run in runs]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, runs))


@functools.cache
def nearest_in(d: int) -> Callable[[ndarray, ndarray, ndarray], None]:
    """Voronoi cells in R^d; the compiler knows d and unrolls the sum over coordinates.

    Up to d = EXACT it compares |X - x|^2 for the points in reach of a block of samples; these are few if the samples
    are close together. In more dimensions it compares |x|^2 / 2 - X.x for all points: half the work for each pair, but
    it needs samples near the origin.
    """

    block = CACHED // d

    @functools.partial(compiled, fastmath={"contract"})
    def nearest(X, points, labels):
        """X (n, d), points (K, d); writes the index of the nearest point into labels (n,)."""
        half = np.zeros(len(points), X.dtype)
        if d > EXACT:
            for k in range(len(points)):
                half[k] = (points[k] * points[k]).sum() / 2
        Y = np.empty((d, block), X.dtype)
        best, which = np.empty(block, X.dtype), np.empty(block, np.int32)
        rivals, x = np.arange(len(points)).astype(np.int32), points  # names as wide as distances go through as fast
        for first in range(0, len(X), block):
            m = min(block, len(X) - first)
            for t in range(d):
                for i in range(m):
                    Y[t, i] = X[first + i, t]
            if d <= EXACT:
                rivals = _in_reach(X[first : first + m], points)
                x = points[rivals]
            best[:], which[:] = np.inf, 0
            for k in range(len(x)):
                name = rivals[k]
                for i in range(block):
                    if d <= EXACT:
                        away = Y[0, i] - x[k, 0]
                        value = away * away
                        for t in range(1, d):
                            away = Y[t, i] - x[k, t]
                            value += away * away
                    else:
                        value = half[k]
                        for t in range(d):
                            value -= Y[t, i] * x[k, t]
                    nearer = value < best[i]
                    which[i] = name if nearer else which[i]
                    best[i] = value if nearer else best[i]
            labels[first : first + m] = which[:m]

    return nearest


@compiled
def _in_reach(X, points):
    """Indices of the points that can be nearest to a sample in the box around X.

    A point is left out if its distance from the box exceeds another point's distance from the farthest corner, up to
    rounding.
    """
    low, high = X[0].copy(), X[0].copy()
    for i in range(1, len(X)):
        for t in range(X.shape[1]):
            low[t], high[t] = min(low[t], X[i, t]), max(high[t], X[i, t])
    from_box, reach = np.empty(len(points)), np.inf
    for k in range(len(points)):
        near = far = 0.0
        for t in range(X.shape[1]):
            before, behind = low[t] - points[k, t], points[k, t] - high[t]
            near += max(before, behind, 0.0) ** 2
            far += min(before, behind) ** 2
        from_box[k], reach = near, min(reach, far)
    return np.nonzero(from_box <= reach * (1 + 1e-5))[0].astype(np.int32)


@compiled
def argmin_by_products(half, inner, labels):
    """Index k of the least |x_k|^2 / 2 - x_k . X, from half (K,) and the inner products (K, b), into labels (b,)."""
    best = half[0] - inner[0]
    which = np.zeros(len(best), np.int32)
    for k in range(1, len(half)):
        name = np.int32(k)
        for i in range(len(best)):
            value = half[k] - inner[k, i]
            nearer = value < best[i]
            which[i] = name if nearer else which[i]
            best[i] = value if nearer else best[i]
    labels[:] = which


@functools.partial(compiled, fastmath={"reassoc", "contract", "nsz"})  # lets the compiler reorder the sums
def gather(X, points, labels, mass, cost):
    """Mass (K,) and sum (K, d) of the cells given by labels (n,); writes squared distances into cost (n,)."""
    K, d = points.shape
    masses, sums = np.zeros(K), np.zeros((K, d))
    for i in range(len(X)):
        k, m, squared = labels[i], mass[i], 0.0
        masses[k] += m
        for t in range(d):
            x = np.float64(X[i, t])
            sums[k, t] += m * x
            squared += (x - points[k, t]) ** 2
        cost[i] = squared
    return masses, sums


@compiled
def learn_clvq(X, order, gamma, x, w):
    """Algorithm 1, lines 3-7: samples X[order] with steps gamma move the points x (d, K) and the weights w in place.

    Returns the squared distance from the last sample to the point that won.
    """
    squared = np.empty(x.shape[1])
    for s in range(len(order)):
        win = _winner(X[order[s]], x, squared)
        for t in range(len(x)):
            x[t, win] = (1 - gamma[s]) * x[t, win] + gamma[s] * X[order[s], t]
        w *= 1 - gamma[s]
        w[win] += gamma[s]
    return squared[win]


@compiled
def learn_minibatch(X, order, x, v):
    """Algorithm 3, lines 5-9: the point that wins a sample adds one to its count v and moves 1 / v of the way to it.

    Returns the squared distance from the last sample to the point that won.
    """
    squared = np.empty(x.shape[1])
    for s in range(len(order)):
        win = _winner(X[order[s]], x, squared)
        v[win] += 1
        for t in range(len(x)):
            x[t, win] = (1 - 1 / v[win]) * x[t, win] + X[order[s], t] / v[win]
    return squared[win]


@compiled
def _winner(sample, x, squared):
    squared[:] = 0
    for t in range(len(x)):
        for k in range(len(squared)):
            squared[k] += (sample[t] - x[t, k]) ** 2
    return squared.argmin()
