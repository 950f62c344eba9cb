"""Table and figure of eq. 9 by enumeration."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddoq_core.results.table import Column, Table
from ddoq_core.theory.enumeration import Enumeration

from ..style import BLUE, GREEN, INK, MUTED, VERMILION, figure_style, label, subplots, theory_line


def enumeration_table(trials: dict[str, Enumeration]) -> Table:
    """The numbers that eq. 9 says are equal to the least, or not below it, one column per cloud."""
    names = {
        "least variance within, all divisions": lambda t: t.costs.min(),
        "least distortion of all runs of Lloyd": lambda t: t.descents.min(),
        "W₂² of the best division's measure": lambda t: t.program,
        "least W₂² of the other divisions' measures": lambda t: t.programs,
        "least W₂² of random measures": lambda t: t.random.min(),
    }
    rows = [(name, *map(value, trials.values())) for name, value in names.items()]
    return Table.of_rows("Both sides of eq. 9", ("what", *(Column(name, ".10f") for name in trials)), rows)


@figure_style()
def enumeration_figure(trial: Enumeration) -> Figure:
    """The best division of the cloud, and the within-part variance of every division in increasing order."""
    figure, (left, right) = subplots(1, 2, height=3.2, width_ratios=[2, 3])
    _draw_division(left, trial)
    order = trial.costs.argsort()
    rank, costs, fixed = np.arange(1, len(order) + 1), trial.costs[order], trial.fixed[order]
    right.plot(rank[~fixed], costs[~fixed], ".", color=MUTED)
    right.plot(rank[fixed], costs[fixed], "D", color=VERMILION, markersize=6)
    theory_line(right, np.array([1, len(order)]), np.full(2, trial.program), "")
    label(right, len(order), trial.program, "$W_2^2$ of the best measure (linear program)", xytext=(0, -9), ha="right")
    text = "diamond: each mean is\nnearest to its own part"
    label(right, rank[fixed][-1], costs[fixed][-1], text, VERMILION, xytext=(10, -4), va="top")
    right.set(xlabel="division, in increasing order", ylabel="variance within the parts")
    right.set_ylim(bottom=costs[0] - 0.15 * np.ptp(costs))
    return figure


def _draw_division(axes: Axes, trial: Enumeration) -> None:
    atoms, masses = trial.cloud.atoms, trial.cloud.masses
    colours = np.array([BLUE, GREEN, INK, MUTED])
    for part, mean in enumerate(trial.means):
        inside, colour = trial.labels == part, colours[part % len(colours)]
        axes.plot(*np.stack([atoms[inside], np.broadcast_to(mean, atoms[inside].shape)], 1).T, color=colour, lw=0.8)
        axes.scatter(*atoms[inside].T, s=60 * masses[inside] / masses.mean(), color=colour, zorder=3)
        axes.plot(*mean, "D", color=VERMILION, markersize=9, markerfacecolor="none", markeredgewidth=1.6, zorder=4)
    axes.set(aspect="equal", xticks=[], yticks=[], title="the best division and its means")
    axes.margins(0.12)
    axes.grid(False)
    axes.spines[:].set_visible(False)
