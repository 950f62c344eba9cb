"""Compiled loops on sorted samples: moments of intervals, and the cheapest division into intervals."""

import math

import numpy as np

from .kernels import compiled


@compiled
def moments_from_middles(x, m):
    """Mass, mean and cost of the samples from each sample to the middle of its block, for blocks of 2, 4, ... samples.

    Any interval is the union of two of these, and only positive numbers are added: no digits are lost at any masses.

    Args:
        x, m: sorted samples (n,) and their masses.
    Returns:
        (levels + 1, n, 4): mass, mean relative to an origin, that origin, and sum of m (x - mean)^2; the last level is
        for each sample alone.
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
    """Mass, mean relative to an origin, that origin, and cost of each interval between the edges (K + 1,): (4, K)."""
    found = np.zeros((4, len(edges) - 1))
    for k in range(len(edges) - 1):
        mass = mean = origin = cost = 0.0
        for i in range(edges[k], edges[k + 1]):
            mass, mean, origin, cost = _merged(mass, mean, origin, cost, m[i], 0.0, x[i], 0.0)
        found[:, k] = mass, mean, origin, cost
    return found


@compiled
def _merged(mass, mean, origin, cost, mass2, mean2, origin2, cost2):
    """Merge two sets of samples (Chan, Golub and LeVeque 1979), relative to the origin of the heavier set."""
    away, total = origin2 - origin + (mean2 - mean), mass + mass2
    if mass2 > mass:
        share = mass / total
        return total, mean2 - share * away, origin2, cost + cost2 + mass2 * share * away * away
    share = mass2 / total if total > 0 else 0.0
    return total, mean + share * away, origin, cost + cost2 + mass * share * away * away


@compiled
def cheapest_intervals(masses, sums, table, price, edges):
    """The cheapest division of sorted samples into intervals, at a price for each interval.

    Once a last interval that starts later wins, it wins for all later ends (the quadrangle inequality). So the
    candidates for its start form a queue, and each is best from some end on (Hirschberg and Larmore 1987).

    Args:
        masses, sums: prefix sums (n + 1,) of mass and mass times sample.
        table: from `moments_from_middles`, used instead of prefix sums; with None the compiler drops that branch.
        edges: (n + 1,); its first entries receive the starts of the intervals, in reverse order.
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
    """Whether a last interval up to `end` costs no more from `new` than from the earlier start `old`.

    With a table, by the excess cost of `old` and not by a difference of costs, in which one heavy sample in both would
    hide it.
    """
    if table is None:
        return _cost(masses, sums, table, least, new, end) <= _cost(masses, sums, table, least, old, end)
    mass, mean, origin, cost = _interval(table, old, new)
    mass2, mean2, origin2, _ = _interval(table, new, end)
    return least[new] <= least[old] + _merged(mass, mean, origin, cost, mass2, mean2, origin2, 0.0)[3]


@compiled
def _cost(masses, sums, table, least, start, end):
    """Least cost up to `end` with a last interval from `start`, without its price.

    From prefix sums, and without the second moment.
    """
    if table is not None:
        return least[start] + _interval(table, start, end)[3]
    mass, moment = masses[end] - masses[start], sums[end] - sums[start]
    return least[start] - (moment * moment / mass if mass > 0 else 0.0)


@compiled
def _interval(table, start, end):
    """Mass, mean, origin and cost, in the layout of `moments_from_middles`."""
    if end - start == 1:
        only = table[-1, start]
        return only[0], only[1], only[2], only[3]
    level = math.frexp(float(start ^ (end - 1)))[1] - 1  # the middle of its blocks is inside the interval
    left, right = table[level, start], table[level, end - 1]
    return _merged(left[0], left[1], left[2], left[3], right[0], right[1], right[2], right[3])
