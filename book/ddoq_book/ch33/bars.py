"""Cost as bars: the time of each step of a run, and the hours in the paper, both with estimates from operations.

In: a finished run, the cells of the paper's Table 2, and the devices of the estimates. Out: a figure.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ddoq_core.cost.sizes import Device
from ddoq_core.cost.tables import PaperStep
from ddoq_core.methods.account import BEFORE, STAGES

from ..style import BLUE, INK, VERMILION, WIDTH, figure_style, for_text, subplots
from .measured import MeasuredRun

HEIGHT = 0.36  # height of a bar
MINUTE, HOUR = 60, 3600
NAMES = {BEFORE: "prior, teacher"}  # clearer names of stages; the others lose their numbers


@figure_style()
def cost_figure(took: MeasuredRun, machine: Device, steps: Sequence[PaperStep], gpu: Device) -> Figure:
    """Left: minutes of each step of this run. Right: hours of ImageNet-1K in the paper. Marks: from operations."""
    figure, (left, right) = subplots(1, 2, width=WIDTH, height=2.9, sharey=True)
    for y, stage in enumerate(STAGES):
        parts = [part for part in took.parts if part.cost.stage == stage]
        told = sum(part.timing.n * machine.seconds(part.cost.flops, part.cost.step) for part in parts)
        _bar(left, y, sum(part.timing.total for part in parts) / MINUTE, told / MINUTE, BLUE)
        of_stage = [step for step in steps if step.title == stage]
        for step, at, colour in zip(of_stage, (y - HEIGHT / 2, y + HEIGHT / 2), (VERMILION, BLUE), strict=False):
            told = gpu.seconds(step.flops) / HOUR
            _bar(right, at, step.quoted, told, colour, HEIGHT)
            right.text(max(step.quoted, told), at, f" {step.ipc}", va="center", fontsize=7, color=for_text(colour))
    left.set_yticks(range(len(STAGES)), [NAMES.get(s, s.partition(" ")[2].lower()) for s in STAGES])
    left.set(xlabel="minutes", ylim=(len(STAGES) - 0.5, -0.5))
    left.set_title(f"this run: profile {took.profile.profile}", fontsize=9, parse_math=False)
    right.set_xlabel("hours (quoted), by images per class")
    right.set_title("ImageNet-1K: the paper's Table 2", fontsize=9)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
    signs = [Patch(color=BLUE, label="taken"), Line2D([], [], color=INK, linewidth=2, label="estimated by operations")]
    figure.legend(handles=signs, loc="outside upper right", ncols=2, fontsize=8)
    return figure


def _bar(ax: Axes, y: float, taken: float, told: float, colour: str, height: float = 2 * HEIGHT) -> None:
    ax.barh(y, taken, height=0.9 * height, color=colour)
    ax.plot([told, told], [y - height / 2, y + height / 2], color=INK, linewidth=2)
