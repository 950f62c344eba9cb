"""The gallery: one row of pictures per method, so that one look tells what each of them shows a student.

In: a run. Out: a figure of the first, or heaviest, picture of every class of each distilled set.
"""

import textwrap

import torch
from matplotlib.figure import Figure

from ..errors import InputError
from ..methods import METHODS
from ..pipeline.distilled import DistilledDataset
from ..pipeline.run import ANOTHER_SCALE, Run
from .images import distilled_images, image_rows
from .style import figure_style

NAME, CLASS = 18, 10  # letters of a line of a row's name, and of a column's


@figure_style()
def gallery(run: Run, ipc: int, distill_seed: int = 0, n_images: int = 10) -> Figure:
    """One row per distilled set of the run's methods, named by all that are trained on it; one column per class.

    Args:
        n_images: classes shown, at most: the first ones.
    Raises:
        InputError: no method of the run distils at this many images per class; a run at ImageNet's scale that is not
            finished.
    """
    sharing: dict = {}  # methods by their way to distil
    for name, method in METHODS.items():
        if name in run.profile.methods and method.distill and method.runs_at(run.profile, ipc):
            sharing.setdefault(method.distill, []).append(name)
    if not sharing:
        raise InputError(f"no method of this run has pictures at ipc = {ipc}; add one to methods, for example ddoq")
    if run.dataset.n_classes > ANOTHER_SCALE:
        run.results()  # read, never made: says what to do when the run is not finished
    rows = []
    for names in sharing.values():
        distilled = run.distilled(names[0], ipc, distill_seed)
        shown = heaviest(distilled)[:n_images]
        rows.append((_joint_title(names), distilled_images(distilled, shown)))
    figure, axes = image_rows(rows)
    for ax, name in zip(axes[0], run.dataset.class_names, strict=False):
        ax.set_title(name if len(name) <= CLASS else name[: CLASS - 1] + "…", loc="center", fontsize=8)
    return figure


def heaviest(distilled: DistilledDataset) -> list[int]:
    """The image of every class that stands for most real ones; the first of equals."""
    order = distilled.counts.reshape(-1, distilled.ipc).argsort(dim=1, descending=True, stable=True)
    return (order[:, 0] + distilled.ipc * torch.arange(len(order))).tolist()


def _joint_title(names: list[str]) -> str:
    """Titles of methods, without those that only add to another one's (`DDOQ, w ∝ v` to `DDOQ`)."""
    titles = [METHODS[name].title for name in names]
    kept = [title for title in titles if not any(title.startswith(f"{other},") for other in titles)]
    return textwrap.fill(", ".join(kept), NAME)
