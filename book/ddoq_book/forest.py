"""Forest plots: rows of estimates with their intervals, in groups, each with its number next to it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddoq_core.results.records import Estimate
from ddoq_core.results.table import written

from .paired import TOLD, verdict
from .style import BLUE, INK, MUTED, VERMILION, WIDTH, figure_style, for_text, subplots

LINE, AROUND = 0.19, 0.9  # inches: height of a row, and of the axis with the legend
FAR, TICKS = 5, (-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20)  # an axis that goes beyond FAR is logarithmic, with TICKS


@dataclass(frozen=True)
class ForestRow:
    """One row of a forest plot."""

    group: str
    title: str
    estimate: Estimate | None  # None: not recorded yet
    beside: float | None = None  # a value to compare it with, on the same scale

    @property
    def told(self) -> bool:
        """Whether its interval excludes 0."""
        return self.estimate is not None and verdict(self.estimate) in TOLD


@figure_style()
def forest_figure(rows: Sequence[ForestRow], xlabel: str, beside: str = "") -> Figure:
    """The rows from top to bottom, under the names of their groups. A dot is filled where the interval excludes 0.

    Args:
        beside: meaning of the diamonds, if rows have a value to compare with.
    """
    lines: list[ForestRow | str] = []
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        lines += [group, *members]
    figure, ax = subplots(width=WIDTH, height=AROUND + LINE * len(lines))
    to_the_right, titles = ax.get_yaxis_transform(), {}
    for y, line in enumerate(lines):
        if isinstance(line, str):
            ax.text(
                *(0.01, y, line), transform=to_the_right, va="center", fontsize=8, fontweight="bold", zorder=3,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
            continue
        titles[y] = line.title
        e, text = line.estimate, "not recorded yet"
        if e is not None:
            text, colour = written(e, "+.2f"), BLUE if line.told else MUTED
            ax.plot([e.low, e.high], [y, y], color=colour, linewidth=1.4)
            ax.plot(e.mean, y, "o", color=colour, markerfacecolor=colour if line.told else "white", markersize=5)
        if line.beside is not None:
            ax.plot(line.beside, y, "D", color=VERMILION, markerfacecolor="none", markersize=5)
        muted = for_text(MUTED) if not line.told else INK
        ax.text(1.01, y, text, transform=to_the_right, va="center", fontsize=8, color=muted)
    if any(max(-row.estimate.low, row.estimate.high) > FAR for row in rows if row.estimate):
        ax.set_xscale("symlog", linthresh=1)
        low, high = ax.get_xlim()
        ticks = [x for x in TICKS if low <= x <= high]
        ax.set_xticks(ticks, [written(x, "g") for x in ticks])
        ax.minorticks_off()
        xlabel += " (logarithmic beyond ±1)"
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks([*titles], [*titles.values()], fontsize=8, parse_math=False)
    ax.set(xlabel=xlabel, ylim=(len(lines) - 0.4, -0.8))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    figure.legend(handles=[*_signs(rows, beside)], loc="outside upper left", ncols=3, fontsize=8, handletextpad=0.2)
    return figure


def _signs(rows: Sequence[ForestRow], beside: str) -> list[Line2D]:
    """Legend entries for the signs that occur."""
    signs = [
        (any(row.told for row in rows), "o", BLUE, BLUE, "the interval excludes 0"),
        (any(row.estimate and not row.told for row in rows), "o", MUTED, "white", "it does not"),
        (any(row.beside is not None for row in rows), "D", VERMILION, "none", beside),
    ]
    return [
        Line2D([], [], color=colour, marker=marker, markerfacecolor=face, linestyle="", label=text)
        for there, marker, colour, face, text in signs
        if there
    ]
