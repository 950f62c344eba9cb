"""The answer of chapter 31 in two figures: a forest plot of the main differences, and accuracies by level.

In: records of the long run, of the studies on weightings and on photographs, and of the run of the page. Out: rows of
the forest plot, and a dot plot of Table 1.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddoq_core.methods import METHODS
from ddoq_core.results.records import Cell, Records

from ..ch23.comparisons import primary_photographs
from ..forest import ForestRow
from ..style import BLUE, CYCLE, INK, MUTED, WIDTH, figure_style, subplots
from .comparisons import PRIMARY, PRIMARY_LEVELS, REAL, primary
from .quoted import QuotedGain
from .table1 import CLAIM, Table1
from .weightings import primary_weights

DATA = {"mnist5k": "digits", "fashion_mnist": "Fashion-MNIST", "photographs": "photographs"}
LLOYD, ONE_PASS, OPTIMISERS, BESIDE_REAL = GROUPS = (
    "eq. 33 − equal weights, Lloyd's codebook",
    "eq. 33 − equal weights, one pass of k-means and the paper's optimiser",
    "the paper's optimiser − D⁴M's, equal weights",
    "D⁴M − as many random real images, Lloyd's codebook",
)
SIDE_BY_SIDE = 4  # panels in a row


def main_comparisons(records: Mapping[str, Records], gains: Sequence[QuotedGain]) -> list[ForestRow]:
    """The declared comparisons with soft labels, and D4M against random real images, by group.

    Args:
        records: records of the long run, by data set.
        gains: gains in the paper; that of its first network, as a share of the headroom, is next to a difference.
    """
    share = {gain.ipc: gain.share for gain in reversed(gains)}
    places = [(name, one, ipc) for name, one in records.items() for ipc in PRIMARY_LEVELS]
    rows = []
    for (name, _, ipc), declared in zip(places, primary([*records.values()]).rows, strict=True):
        found = declared.found
        beside = share[ipc] * found.headroom if found and found.headroom is not None else None
        rows.append(ForestRow(LLOYD, _place(name, ipc), found and found.difference, beside))
    *one_pass, of_lloyd = primary_photographs()
    for c in (*primary_weights(), *one_pass, of_lloyd):
        group = LLOYD if c is of_lloyd else ONE_PASS if c.arm.block == c.baseline.block else OPTIMISERS
        rows.append(ForestRow(group, _place(c.arm.dataset, c.arm.block.ipc), c.estimate))
    for name, one, ipc in places:
        cells = [Cell(method, ipc, one.students[0], PRIMARY[2]) for method in ("d4m", REAL)]
        there = one.cells.keys() >= {*cells}
        rows.append(ForestRow(BESIDE_REAL, _place(name, ipc), one.difference(*cells) if there else None))
    return sorted(rows, key=lambda row: GROUPS.index(row.group))


def missing_text(rows: Sequence[ForestRow]) -> str:
    """How many of the comparisons are not recorded, and of which data and levels."""
    titles = sorted(row.title for row in rows if row.estimate is None)
    return f"{len(titles)} ({'; '.join(dict.fromkeys(titles))})" if titles else "none"


def _place(dataset: str, ipc: int) -> str:
    return f"{DATA.get(dataset, dataset)}, K = {ipc}"


@figure_style()
def claim_figure(found: Table1) -> Figure:
    """Table 1 as dots for the first student with soft labels: a panel per level, and a line for each method.

    The dashed line is the student of all real images. The band is the interval of as many random real images.
    """
    levels = [ipc for ipc in dict.fromkeys(row.ipc for row in found.rows) if ipc is not None]
    accuracies = {(row.ipc, row.method): row.accuracies[0] for row in found.rows if row.accuracies[0]}
    methods = [m for m in CLAIM if any((ipc, m) in accuracies for ipc in levels)]
    lines = -(-len(levels) // SIDE_BY_SIDE) or 1
    shape = {"width": WIDTH, "height": lines * (0.9 + 0.24 * len(methods)), "squeeze": False, "sharey": True}
    figure, axes = subplots(lines, min(len(levels), SIDE_BY_SIDE) or 1, **shape)
    for ax in axes.flat[len(levels) :]:
        ax.set_axis_off()
    for ax, ipc in zip(axes.flat, levels, strict=False):
        of_level = {m: accuracies[ipc, m] for m in methods if (ipc, m) in accuracies}
        _claim_panel(ax, [(methods.index(m), m, e) for m, e in of_level.items()])
        if (whole := accuracies.get((None, "full"))) is not None:
            ax.axvline(whole.mean, color=INK, linestyle="--", linewidth=1)
        ax.set_title(f"{ipc} image{'s' * (ipc > 1)} per class", fontsize=9)
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(methods)), [METHODS[m].title for m in methods], fontsize=8)
        ax.set_ylim(len(methods) - 0.5, -0.5)
    figure.supxlabel("top-1 accuracy, % (dashed: all real images)", fontsize=9)
    return figure


def _claim_panel(ax: Axes, rows: list) -> None:
    for y, method, e in rows:
        if method == REAL:
            ax.axvspan(e.low, e.high, color=MUTED, alpha=0.15, linewidth=0)
        colour = BLUE if method in ("d4m", "ddoq", "ddoq_proportional") else CYCLE[1]
        ax.plot([e.low, e.high], [y, y], color=colour, linewidth=1.4)
        ax.plot(e.mean, y, "o", color=colour, markersize=5)
    ax.grid(axis="y", visible=False)
    ax.locator_params(axis="x", nbins=3)
    ax.tick_params(axis="x", labelsize=8)
