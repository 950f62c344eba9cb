"""Tables and figures of the chapter on learning a codebook: eq. 15, steps of CLVQ, Proposition 7."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ddoq_core.quantization import ExactQuantizer, exact_centroids, exact_quantizer, power_steps
from ddoq_core.quantization.kernels import learn_clvq
from ddoq_core.results.intervals import Mean, half_width
from ddoq_core.results.table import Column, Table

from ..style import BLUE, BROWN, GREEN, INK, MUTED, PURPLE, VERMILION, end_labels, figure_style, label, subplots
from .learning import MACQUEEN, Eq15Paths, LearningErrors, draws
from .linear_rates import Linearised, step_laws

ITERATIONS = 40  # iterations of Lloyd's algorithm in the figure
LEAST_EXCESS = 2e-3  # least relative excess in the figure: the level of the noise
STEP_COLOURS = {"1 / (k + 2)": VERMILION, MACQUEEN: INK, "10 / (k + 20)": BROWN, "100 / (k + 200)": GREEN,
           "(k + 2)^−0.4": BLUE, "0.01": PURPLE}  # fmt: skip


@dataclass(frozen=True)
class ErrorWithLevel:
    """A measured error, and its noise level by the linear theory once the start is forgotten."""

    mean: Mean
    level: float | None


@dataclass(frozen=True)
class StepsOutcome:
    """A step law: the conditions it satisfies, the prediction of the linear theory, and the measured errors."""

    name: str
    proposition_7: bool | None  # None: its steps depend on the wins
    robbins_monro: bool | None
    exponent: float  # p, where errors fall like k^-p; 0: they do not
    start_left: float
    points: ErrorWithLevel
    weights: ErrorWithLevel
    running: Mean


def steps_outcomes(found: dict[str, LearningErrors], linear: Linearised) -> tuple[StepsOutcome, ...]:
    """The outcome of every step law."""
    return tuple(_outcome(name, errors, linear) for name, errors in found.items())


def _outcome(name: str, errors: LearningErrors, linear: Linearised) -> StepsOutcome:
    law, n = step_laws(len(linear.best.points)).get(name), int(errors.steps[-1])
    points, weights, running = (Mean.of(e[:, -1]) for e in (errors.points, errors.weights, errors.running))
    levels = linear.levels(law, n - 1) or (None, None)
    return StepsOutcome(
        name,
        law and law.satisfies_proposition_7,
        law and law.satisfies_robbins_monro,
        linear.exponent(law),
        linear.start_left(law, n),
        ErrorWithLevel(points, levels[0]),
        ErrorWithLevel(weights, levels[1]),
        running,
    )


def step_laws_table(found: Sequence[StepsOutcome], n: int, best: ExactQuantizer) -> Table:
    """Every step law after n samples."""
    rows = [
        (o.name, o.proposition_7, o.robbins_monro, o.exponent, o.start_left, o.points, o.weights, o.running)
        for o in found
    ]
    notes = (
        f"{n:,} samples, n = {found[0].running.n} seeds, 95 % intervals. G(x*) = {best.distortion:.5f}.",
        "Errors are max |xᵢ − xᵢ*| and max |wᵢ − μ(Cᵢ*)| over i; the distance is that to the winner.",
        "Linear theory: the final rate of the errors, the share of the start's error that is left along the slowest "
        "direction, and in brackets the level of the noise once the start is forgotten.",
    )
    columns = (
        "steps",
        Column("Prop. 7", _yes),
        Column("Σγ² < ∞", _yes),
        Column("falls like", lambda p: f"k^−{p:.2g}" if p else "does not"),
        Column("start left", lambda share: f"{100 * share:.1f} %"),
        Column("error of points", _with_level),
        Column("error of weights", _with_level),
        Column("running mean of the squared distance", ".4f"),
    )
    return Table.of_rows("CLVQ: steps, conditions, errors", columns, rows, notes)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _with_level(error: ErrorWithLevel) -> str:
    return f"{error.mean:.3f}" if error.level is None else f"{error.mean:.3f} ({error.level:.3f})"


@figure_style()
def two_ways_figure(law: Any, K: int, n: int, seed: int) -> Figure:
    """Points of CLVQ over n samples and of Lloyd's algorithm on the law, from the same start; dashed: the optimum."""
    X, start = draws(law, K, n, seed)
    when, gamma = np.unique(np.geomspace(1, n, 80).astype(int)), power_steps(K)(np.arange(n))
    x, w, learned, moved = start[None].copy(), np.full(K, 1 / K), [start], [start]
    for part in np.split(np.arange(when[-1]), when[:-1]):
        learn_clvq(X, part, gamma[part], x, w)
        learned.append(x[0].copy())
    for _ in range(ITERATIONS):
        moved.append(exact_centroids(law, moved[-1]))
    figure, panels = subplots(1, 2, height=3.2, sharey=True, width_ratios=[3, 2])
    for axes, at, path in zip(panels, ([0.5, *when], range(ITERATIONS + 1)), (learned, moved), strict=True):
        axes.plot(at, path, color=BLUE, linewidth=1.2)
        axes.hlines(exact_quantizer(law, K).points, at[0], at[-1], linestyles="--", color=INK, linewidth=1)
    panels[0].set(xscale="log", xlabel="samples (the start is drawn at 0.5)", ylabel="points", title="CLVQ")
    panels[1].set(xlabel="iterations", title="Lloyd's algorithm")
    return figure


@figure_style()
def learning_figure(traces: dict[str, LearningErrors], linear: Linearised) -> Figure:
    """Errors of points and of weights against k; dashed: gamma^(1/2) times its constant, or the slope where slower."""
    figure, panels = subplots(2, 1, height=6.6, sharex=True)
    laws = step_laws(len(linear.best.points))
    for i, (axes, kind) in enumerate(zip(panels, ("points", "weights"), strict=True)):
        ends = {}
        for name, colour in STEP_COLOURS.items():
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
        end_labels(axes, k[-1], ends, STEP_COLOURS, gap=0.07)
    panels[0].set(ylabel="max |x − x*|")
    panels[1].set(ylabel="max |w − w*|", xlabel="samples k (mean over seeds, 95 % band; dashed: theory)")
    return figure


@figure_style()
def running_figure(traces: dict[str, LearningErrors], best: ExactQuantizer) -> Figure:
    """Running mean of min |X - x|^2 above its limit G(x*); dashed: 1 / k, the rate once the start is forgotten."""
    figure, axes = subplots()
    ends, n = {}, next(iter(traces.values())).steps[-1]
    for name, colour in STEP_COLOURS.items():
        late = traces[name].steps >= n / 400
        steps, excess = traces[name].steps[late], traces[name].running[:, late] / best.distortion - 1
        mean, half = excess.mean(0), half_width(excess.T)
        axes.fill_between(
            steps, *np.maximum([mean - half, mean + half], LEAST_EXCESS), color=colour, alpha=0.12, linewidth=0
        )
        axes.plot(steps, np.maximum(mean, LEAST_EXCESS), color=colour)
        ends[name] = max(mean[-1], LEAST_EXCESS)
    axes.plot([steps[0], n], [0.1, 0.1 * steps[0] / n], "--", color=INK, linewidth=1.2)
    label(axes, steps[0], 0.1, "∝ 1/k", xytext=(8, -22))
    axes.set(xscale="log", yscale="log", ylim=(LEAST_EXCESS, None), xlabel="samples k")
    axes.set_ylabel("running mean over $G(x^*)$, minus 1")
    end_labels(axes, n, ends, STEP_COLOURS, gap=0.07)
    return figure


@figure_style()
def drift_figure(found: Eq15Paths) -> Figure:
    """Paths of the points under both forms; dashed: expected path of a point that never wins, in the printed form."""
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
