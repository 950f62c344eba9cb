"""Tables and figures of the chapter on learning a codebook: eq. 15, steps of CLVQ, Proposition 7."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.errors import InputError
from ddoq_core.keys import numpy_rng
from ddoq_core.quantization import ExactQuantizer, exact_distortion, exact_quantizer
from ddoq_core.quantization.exact import LOG_CONCAVE
from ddoq_core.quantization.kernels import learn_clvq, learn_minibatch
from ddoq_core.results.intervals import half_width, interval
from ddoq_core.results.table import NOTHING, Table
from ddoq_core.theory.steps import Linearised, StepLaw, step_laws

from ..style import BLUE, BROWN, GREEN, INK, MUTED, PURPLE, VERMILION, figure_style, label, subplots

LEAST = 2e-3  # least relative excess that is drawn: that of the noise
MACQUEEN = "1 / vᵢ, Algorithm 3"
COLOURS = {"1 / (k + 2)": VERMILION, MACQUEEN: INK, "10 / (k + 20)": BROWN, "100 / (k + 200)": GREEN,
           "(k + 2)^−0.4": BLUE, "0.01": PURPLE}  # fmt: skip


def law_of(name: str) -> Any:
    """A law of `scipy.stats` with a log-concave density, whose stationary grid is unique and so optimal.

    Raises:
        InputError: another name.
    """
    if name not in LOG_CONCAVE:
        raise InputError(f"learning_law = {name!r}, but it is one of {', '.join(sorted(LOG_CONCAVE))}")
    return getattr(scipy.stats, name)()


@dataclass(frozen=True)
class Trace:
    """Errors of one law of steps after `steps` samples."""

    steps: Int[ndarray, " m"]
    points: Float[ndarray, "seeds m"]  # max_i |x_i - x_i*|
    weights: Float[ndarray, "seeds m"]  # max_i |w_i - mu(C_i*)|
    running: Float[ndarray, "seeds m"]  # mean of min_i |X - x_i|^2 over all samples so far


def learn(law: Any, K: int, n: int, seeds: Sequence[int]) -> dict[str, Trace]:
    """CLVQ with each law of steps, and Algorithm 3, on the same samples from the same starts, K samples of the law."""
    best, when = exact_quantizer(law, K), np.unique(np.geomspace(10, n, 40).astype(int))
    found: dict[str, list] = {}
    for seed in seeds:
        X, start = draws(law, K, n, seed)
        for name, steps in step_laws(K).items():
            found.setdefault(name, []).append(_follow(_clvq(X, steps), start, np.full(K, 1 / K), when, best))
        found.setdefault(MACQUEEN, []).append(_follow(_macqueen(X), start, np.ones(K), when, best))
    return {name: Trace(when, *np.swapaxes(runs, 0, 1)) for name, runs in found.items()}


def draws(law: Any, K: int, n: int, seed: int) -> tuple[Float[ndarray, "n 1"], Float[ndarray, " K"]]:
    """n samples of a law, and K more of them, in order, to start from."""
    rng = numpy_rng(seed, "learning")
    start = np.sort(law.rvs(K, random_state=rng))
    return law.rvs(n, random_state=rng)[:, None], start


def _clvq(X: Float[ndarray, "n 1"], law: StepLaw) -> Callable:
    """Step k of Algorithm 1: moves points and weights in place, returns the squared distance to the winner."""
    order = np.arange(len(X))
    gamma = law.steps(order)
    return lambda k, x, w: learn_clvq(X, order[k : k + 1], gamma[k : k + 1], x, w)


def _macqueen(X: Float[ndarray, "n 1"]) -> Callable:
    """The same of Algorithm 3, lines 7-9."""
    order = np.arange(len(X))
    return lambda k, x, v: learn_minibatch(X, order[k : k + 1], x, v)


def _follow(
    step: Callable, start: Float[ndarray, " K"], w: Float[ndarray, " K"], when: Int[ndarray, " m"], best: ExactQuantizer
) -> Float[ndarray, "3 m"]:
    """Errors of points and weights, and the running distortion; points on a line keep their order."""
    x, squared, errors = start[None].copy(), np.empty(when[-1]), []
    for first, last in zip((0, *when[:-1]), when, strict=True):
        for k in range(first, last):
            squared[k] = step(k, x, w)
        errors.append((np.abs(x[0] - best.points).max(), np.abs(w / w.sum() - best.weights).max()))
    return np.array([*np.transpose(errors), np.cumsum(squared)[when - 1] / when])


def steps_table(traces: dict[str, Trace], linear: Linearised) -> Table:
    """Every law of steps: what it satisfies, what the linear theory predicts, and what is measured at the end."""
    laws, some = step_laws(len(linear.best.points)), next(iter(traces.values()))
    blocks, n = [], int(some.steps[-1])
    for name, trace in traces.items():
        law = laws.get(name)
        kept = [law.satisfies_proposition_7, law.satisfies_robbins_monro] if law else []
        p = linear.exponent(law)
        cells = ["yes" if k else "no" for k in kept] or [NOTHING] * 2
        cells += [f"k^−{p:.2g}" if p else "does not", f"{100 * linear.start_left(law, n):.1f} %"]
        cells += [interval(errors[:, -1], 3) for errors in (trace.points, trace.weights)] + [
            interval(trace.running[:, -1], 4)
        ]
        if levels := linear.levels(law, n - 1):
            cells[4:6] = (f"{cell} ({level:.3f})" for cell, level in zip(cells[4:6], levels, strict=True))
        blocks.append((name, (tuple(cells),)))
    errors = "error of points", "error of weights", "running mean of D"
    notes = (
        f"{n:,} samples, n = {len(some.points)} seeds, 95 % intervals. G(x*) = {linear.best.distortion:.5f}.",
        "Errors are max |xᵢ − xᵢ*| and max |wᵢ − μ(Cᵢ*)| over i; D is min |X − xᵢ|².",
        "Linear theory: how errors fall in the end, the share of the start's error that is left along the slowest "
        "direction, and in brackets the level of the noise, once the start is forgotten.",
    )
    columns = ("steps", "Prop. 7", "Σγ² < ∞", "falls like", "start left", *errors)
    return Table("CLVQ: steps, conditions, errors", columns, tuple(blocks), notes)


@figure_style()
def rates_figure(traces: dict[str, Trace], linear: Linearised) -> Figure:
    """Errors of points and of weights against k; dashed: gamma^(1/2) times its constant, or the slope where slower."""
    figure, panels = subplots(2, 1, height=6.6, sharex=True)
    laws = step_laws(len(linear.best.points))
    for i, (axes, kind) in enumerate(zip(panels, ("points", "weights"), strict=True)):
        ends = {}
        for name, colour in COLOURS.items():
            k, errors = traces[name].steps, getattr(traces[name], kind)
            mean, half = errors.mean(0), half_width(errors.T)
            axes.fill_between(k, np.maximum(mean - half, mean / 2), mean + half, color=colour, alpha=0.12, linewidth=0)
            axes.plot(k, mean, color=colour)
            ends[name] = mean[-1]
            law, late = laws.get(name), k[k >= k[-1] / 30]
            theory = mean[-1] * (late / late[-1]) ** -linear.exponent(law)
            if linear.levels(law, 0):
                theory = np.array([linear.levels(law, step)[i] for step in late])
            axes.plot(late, theory, "--", color=colour, linewidth=1.1)
        axes.set(xscale="log", yscale="log")
        for name, at in _apart(ends, math.log(axes.get_ylim()[1] / axes.get_ylim()[0]) / 15, log=True).items():
            label(axes, k[-1], at, name, COLOURS[name])
    panels[0].set(ylabel="max |x − x*|")
    panels[1].set(ylabel="max |w − w*|", xlabel="samples k (mean over seeds, 95 % band; dashed: theory)")
    return figure


@figure_style()
def running_figure(traces: dict[str, Trace], best: ExactQuantizer) -> Figure:
    """How far the running mean of min |X - x|^2 is above G(x*), its limit; dashed: 1 / k, a start that is forgotten."""
    figure, axes = subplots()
    ends, n = {}, next(iter(traces.values())).steps[-1]
    for name, colour in COLOURS.items():
        late = traces[name].steps >= n / 400
        steps, excess = traces[name].steps[late], traces[name].running[:, late] / best.distortion - 1
        mean, half = excess.mean(0), half_width(excess.T)
        axes.fill_between(steps, *np.maximum([mean - half, mean + half], LEAST), color=colour, alpha=0.12, linewidth=0)
        axes.plot(steps, np.maximum(mean, LEAST), color=colour)
        ends[name] = max(mean[-1], LEAST)
    axes.plot([steps[0], n], [0.1, 0.1 * steps[0] / n], "--", color=INK, linewidth=1.2)
    label(axes, steps[0], 0.1, "∝ 1/k", xytext=(8, -22))
    axes.set(xscale="log", yscale="log", ylim=(LEAST, None), xlabel="samples k")
    axes.set_ylabel("running mean of D over $G(x^*)$, less 1")
    for name, at in _apart(ends, math.log(axes.get_ylim()[1] / LEAST) / 18, log=True).items():
        label(axes, n, at, name, COLOURS[name])
    return figure


def constant_level(law: Any, K: int, gamma: float, n: int, seeds: Sequence[int]) -> Float[ndarray, " seeds"]:
    """Mean of G(x^(k)) / G(x*) - 1 over the second half of n constant steps that begin at x*."""
    best, levels = exact_quantizer(law, K), []
    for seed in seeds:
        X, _ = draws(law, K, n, seed)
        x, w, G = best.points[None].copy(), best.weights.copy(), []
        for part in np.array_split(np.arange(n), 400):
            learn_clvq(X, part, np.full(len(part), gamma), x, w)
            G.append(exact_distortion(law, x[0]))
        levels.append(np.mean(G[200:]) / best.distortion - 1)
    return np.array(levels)


@dataclass(frozen=True)
class Drift:
    """Eq. 15 as printed and as meant, on the uniform law on [0, 1] with the same samples, start and steps."""

    steps: Int[ndarray, " m"]
    printed: Float[ndarray, "m K"]
    meant: Float[ndarray, "m K"]
    expected: Float[ndarray, " m"]  # E X times the sum of gamma: how far a point that never wins has moved

    @property
    def distortions(self) -> tuple[float, float]:
        """Exact G at the end, as printed and as meant."""
        return tuple(exact_distortion(scipy.stats.uniform(), np.sort(x[-1])) for x in (self.printed, self.meant))


def eq15(x: Float[ndarray, " K"], X: float, gamma: float, *, printed: bool) -> Float[ndarray, " K"]:
    """One step of eq. 15: as printed, x - gamma (1_{X in C_i} x_i - X); as meant, x - gamma 1_{X in C_i} (x_i - X)."""
    wins = np.arange(len(x)) == np.abs(x - X).argmin()
    return x - gamma * (wins * x - X) if printed else x - gamma * wins * (x - X)


def drift(K: int, n: int, seed: int, steps: str = "10 / (k + 20)") -> Drift:
    """Both forms of eq. 15 side by side for n samples."""
    rng, gamma = numpy_rng(seed, "learning", "eq. 15"), step_laws(K)[steps].steps(np.arange(n))
    start, X = np.sort(rng.random(K)), rng.random(n)
    kept = np.unique(np.geomspace(1, n, 60).astype(int)) - 1
    paths = [_path(start, X, gamma, printed)[kept] for printed in (True, False)]
    return Drift(kept + 1, *paths, np.cumsum(gamma)[kept] / 2)


def _path(x: Float[ndarray, " K"], X: Float[ndarray, " n"], gamma: Float[ndarray, " n"], printed: bool) -> ndarray:
    path = np.empty((len(X), len(x)))
    for k in range(len(X)):
        x = path[k] = eq15(x, X[k], gamma[k], printed=printed)
    return path


def drift_summary(K: int, n: int, seeds: Sequence[int]) -> tuple[list[int], list[float], list[float]]:
    """Points outside [0, 1] under the printed form, and exact G of both forms, for each seed."""
    found = [drift(K, n, seed) for seed in seeds]
    outside = [int(((d.printed[-1] < 0) | (d.printed[-1] > 1)).sum()) for d in found]
    return outside, *(list(G) for G in zip(*(d.distortions for d in found), strict=True))


@figure_style()
def drift_figure(found: Drift) -> Figure:
    """Paths of the points under both forms; dashed: where a loser of the printed form is expected."""
    figure, panels = subplots(1, 2, height=3.2)
    names = ("as printed", "as meant")
    for axes, paths, name, G in zip(panels, (found.printed, found.meant), names, found.distortions, strict=True):
        axes.plot(found.steps, paths, color=BLUE, linewidth=1.2)
        axes.axhspan(0, 1, color=MUTED, alpha=0.15, linewidth=0)
        axes.set(xscale="log", xlabel="samples k", title=f"eq. 15 {name}: G = {G:.5f}")
    panels[0].plot(found.steps, found.expected, "--", color=INK, linewidth=1.2)
    label(panels[0], found.steps[-1], found.expected[-1], "E X Σγ", ha="right", xytext=(-34, 0))
    panels[0].set_ylabel("position of the points")
    return figure


def _apart(ends: dict[str, float], gap: float, *, log: bool = False) -> dict[str, float]:
    """Heights of labels near the ends of their lines, at least `gap` apart (of logarithms, if `log`)."""
    heights = {name: math.log(y) if log else y for name, y in ends.items()}
    below = -math.inf
    for name in sorted(heights, key=heights.get):
        below = heights[name] = max(heights[name], below + gap)
    return {name: math.exp(y) if log else y for name, y in heights.items()}
