"""Compiled loops: what a matrix product cannot do fast on a CPU.

Each works on a run of rows, releases the interpreter's lock, and adds in a fixed order: `in_runs` cuts the rows the
same way whatever the number of threads, so that results do not depend on it.
"""

import functools
import math
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from numpy import ndarray

RUN = 2**16  # rows per call
EXACT = 3  # dimensions up to which squared distances are summed as such
CACHED = 2**11  # coordinates of the samples whose nearest points are sought together: 8 KiB in float32


def compiled(function: Callable, **options) -> Callable:
    """The compiled function, kept between runs where a folder can be written: this one, or the user's cache."""
    compile_it = functools.partial(numba.njit, nogil=True, error_model="numpy", **options)
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
    """`work` on each run of rows, by as many threads as torch uses; results in the order of the rows."""
    runs = [slice(first, min(first + RUN, n)) for first in range(0, n, RUN)]
    if len(runs) == 1 or torch.get_num_threads() == 1:
        return [work(run) for run in runs]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, runs))


@functools.cache
def nearest_in(d: int) -> Callable[[ndarray, ndarray, ndarray], None]:
    """Voronoi cells in R^d; d is known to the compiler, which unrolls the sum over coordinates.

    Up to d = EXACT it compares |X - x|^2 for the points in reach of a block of samples: few, if those lie together.
    Beyond, it compares |x|^2 / 2 - X.x for all, half the work for a pair, which wants samples about the origin.
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

    One that is farther from the whole box than another is from its farthest corner is not, up to rounding.
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


@functools.partial(compiled, fastmath={"reassoc", "contract", "nsz"})  # sums in the order that the machine adds best
def gather(X, points, labels, mass, cost):
    """Mass (K,) and sum (K, d) of the cells that labels (n,) say; writes squared distances into cost (n,)."""
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

    Returns the squared distance of the last sample to the point that won.
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
    """Algorithm 3, lines 5-9: the point that wins a sample counts it in v and moves 1 / v of the way to it.

    Returns the squared distance of the last sample to the point that won.
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


@compiled
def moments_from_middles(x, m):
    """Mass, mean and cost of what lies between a sample and the middle of its block, for blocks of 2, 4, ... samples.

    Two of them make any interval, and all that is added up is positive: no digits are lost, whatever the masses.

    Args:
        x, m: sorted samples (n,) and their masses.
    Returns:
        (levels + 1, n, 4): mass, mean seen from an origin, that origin, and sum of m (x - mean)^2; in the last level,
        of each sample alone.
    """
    n, levels = len(x), 0
    while 2**levels < n:
        levels += 1
    table = np.zeros((levels + 1, n, 4))
    table[levels, :, 0], table[levels, :, 2] = m, x
    for level in range(levels):
        half = 2**level
        for middle in range(half, n, 2 * half):
            for first, last, step in ((middle - 1, middle - half - 1, -1), (middle, min(middle + half, n), 1)):
                mass = mean = origin = cost = 0.0
                for i in range(first, last, step):
                    mass, mean, origin, cost = _merged(mass, mean, origin, cost, m[i], 0.0, x[i], 0.0)
                    table[level, i] = mass, mean, origin, cost
    return table


@compiled
def moments_of_intervals(x, m, edges):
    """Mass, mean seen from an origin, that origin, and cost of each interval between the edges (K + 1,): (4, K)."""
    found = np.zeros((4, len(edges) - 1))
    for k in range(len(edges) - 1):
        mass = mean = origin = cost = 0.0
        for i in range(edges[k], edges[k + 1]):
            mass, mean, origin, cost = _merged(mass, mean, origin, cost, m[i], 0.0, x[i], 0.0)
        found[:, k] = mass, mean, origin, cost
    return found


@compiled
def _merged(mass, mean, origin, cost, mass2, mean2, origin2, cost2):
    """Two sets of samples together (Chan, Golub and LeVeque 1979), seen from the heavier one's origin."""
    away, total = origin2 - origin + (mean2 - mean), mass + mass2
    if mass2 > mass:
        share = mass / total
        return total, mean2 - share * away, origin2, cost + cost2 + mass2 * share * away * away
    share = mass2 / total if total > 0 else 0.0
    return total, mean + share * away, origin, cost + cost2 + mass * share * away * away


@compiled
def cheapest_intervals(masses, sums, table, price, edges):
    """The division of sorted samples into intervals that costs least, at a price for each interval.

    A last interval that starts later wins, once it wins, for all later ends (the quadrangle inequality), so that the
    candidates for its start form a queue, each best from some end on (Hirschberg and Larmore 1987).

    Args:
        masses, sums: prefix sums (n + 1,) of mass and mass times sample.
        table: of `moments_from_middles`, used in place of prefix sums; or None, for which the compiler drops that way.
        edges: (n + 1,); its first entries become the starts of the intervals, in reverse order.
    Returns:
        Number of intervals.
    """
    n = len(masses) - 1
    least, before = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    queue, since = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    queue[0], since[0], first, last = 0, 1, 0, 0
    for end in range(1, n + 1):
        while first < last and since[first + 1] <= end:
            first += 1
        before[end] = queue[first]
        least[end] = _cost(masses, sums, table, least, queue[first], end) + price
        while last > first and since[last] > end and _wins(masses, sums, table, least, queue[last], end, since[last]):
            last -= 1
        low, high = max(since[last], end) + 1, n + 1  # the first end at which the new candidate wins is in [low, high]
        while low < high:
            middle = (low + high) // 2
            if _wins(masses, sums, table, least, queue[last], end, middle):
                high = middle
            else:
                low = middle + 1
        if low <= n:
            last += 1
            queue[last], since[last] = end, low
    count, end = 0, n
    while end > 0:
        end = before[end]
        edges[count] = end
        count += 1
    return count


@compiled
def _wins(masses, sums, table, least, old, new, end):
    """Whether a last interval up to `end` costs no more from `new` than from `old`, an earlier start.

    With a table by what `old` costs more, not as a difference of costs: one heavy sample in both would hide it.
    """
    if table is None:
        return _cost(masses, sums, table, least, new, end) <= _cost(masses, sums, table, least, old, end)
    mass, mean, origin, cost = _interval(table, old, new)
    mass2, mean2, origin2, _ = _interval(table, new, end)
    return least[new] <= least[old] + _merged(mass, mean, origin, cost, mass2, mean2, origin2, 0.0)[3]


@compiled
def _cost(masses, sums, table, least, start, end):
    """Least cost of all up to `end` with a last interval from `start`, but for its price.

    From prefix sums, but for the second moment too.
    """
    if table is not None:
        return least[start] + _interval(table, start, end)[3]
    mass, moment = masses[end] - masses[start], sums[end] - sums[start]
    return least[start] - (moment * moment / mass if mass > 0 else 0.0)


@compiled
def _interval(table, start, end):
    """Mass, mean, origin and cost, as in the table of `moments_from_middles`."""
    if end - start == 1:
        only = table[-1, start]
        return only[0], only[1], only[2], only[3]
    level = math.frexp(float(start ^ (end - 1)))[1] - 1  # its blocks have a middle inside
    left, right = table[level, start], table[level, end - 1]
    return _merged(left[0], left[1], left[2], left[3], right[0], right[1], right[2], right[3])
