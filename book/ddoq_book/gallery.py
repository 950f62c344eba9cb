"""The gallery: one row of pictures per method. It shows at a glance what a student sees from each method.

In: a run. Out: a figure with the first, or heaviest, picture of every class of each distilled set. For a long run these
pictures are stored next to the records, as one strip for each set, and the figure needs no artifacts.
"""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.runs.run import ANOTHER_SCALE, Run

from .image_rows import image_rows
from .recorded import RESULTS
from .studies.families import FAMILIES
from .studies.strips import distilled_images, heaviest, sharing, strip_name, strip_pictures
from .style import figure_style

NAME, CLASS = 18, 10  # letters in a line of a row's name, and of a column's name


@figure_style()
def gallery(run: Run, ipc: int, distill_seed: int = 0, n_images: int = 10) -> Figure:
    """One row per distilled set, named by all methods whose students are trained on it; one column per class.

    Args:
        n_images: largest number of classes shown, from the first one on.
    Raises:
        InputError: no method of the run distils at this many images per class, or the run is at ImageNet's scale and
            is not finished.
    """
    shown_together = sharing([name for name in run.profile.methods if METHODS[name].runs_at(run.profile, ipc)])
    if not shown_together:
        raise InputError(f"no method of this run has pictures at ipc = {ipc}; add one to methods, for example ddoq")
    if run.dataset.n_classes > ANOTHER_SCALE:
        run.results()  # only read: the error says what to do if the run is not finished
    rows = []
    for names in shown_together:
        distilled = run.distilled(names[0], ipc, distill_seed)
        shown = heaviest(distilled)[:n_images]
        rows.append((_joint_title(names), distilled_images(distilled, shown)))
    figure, axes = image_rows(rows)
    for ax, name in zip(axes[0], run.dataset.class_names, strict=False):
        short = name if len(name) <= CLASS else name[: CLASS - 1] + "…"
        ax.set_title(short, loc="center", fontsize=8, parse_math=False)
    return figure


@figure_style()
def recorded_gallery(dataset: str, ipc: int, folder: Path | None = None) -> Figure:
    """The gallery of a long run, from its strips.

    Args:
        folder: folder of the records; None for the book's own, including the study of all families.
    Raises:
        InputError: there are no strips.
    """
    folders, rows = [folder] if folder else [RESULTS / "table", RESULTS / FAMILIES], []
    for names in sharing(list(METHODS)):
        kept = [path for place in folders if (path := place / strip_name(dataset, ipc, names[0])).exists()]
        if kept:
            rows.append((_joint_title(names), strip_pictures(kept[0])))
    if not rows:
        raise InputError(f"no pictures of {dataset} at ipc = {ipc} in {folders[0]}; run `ddoq record table`")
    return image_rows(rows)[0]


def _joint_title(names: list[str]) -> str:
    """Titles of methods, without those that only extend another title (`DDOQ, w ∝ v` extends `DDOQ`)."""
    titles = [METHODS[name].title for name in names]
    kept = [title for title in titles if not any(title.startswith(f"{other},") for other in titles)]
    return textwrap.fill(", ".join(kept), NAME)
