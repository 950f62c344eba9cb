"""The gallery: one row of pictures per method, so that one look tells what each of them shows a student.

In: a run. Out: a figure of the first, or heaviest, picture of every class of each distilled set. Of a long run these
pictures are kept beside the records, a strip for each set, so that the figure needs no artifacts.
"""

import textwrap
from pathlib import Path

import torch
from matplotlib.figure import Figure

from ..errors import InputError
from ..methods import METHODS
from ..pipeline.distilled import DistilledDataset, read_pixels, write_picture
from ..pipeline.run import ANOTHER_SCALE, Run
from ..store import Workspace
from .book_records import RESULTS
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
    sharing = _sharing([name for name in run.profile.methods if METHODS[name].runs_at(run.profile, ipc)])
    if not sharing:
        raise InputError(f"no method of this run has pictures at ipc = {ipc}; add one to methods, for example ddoq")
    if run.dataset.n_classes > ANOTHER_SCALE:
        run.results()  # read, never made: says what to do when the run is not finished
    rows = []
    for names in sharing:
        distilled = run.distilled(names[0], ipc, distill_seed)
        shown = heaviest(distilled)[:n_images]
        rows.append((_joint_title(names), distilled_images(distilled, shown)))
    figure, axes = image_rows(rows)
    for ax, name in zip(axes[0], run.dataset.class_names, strict=False):
        ax.set_title(name if len(name) <= CLASS else name[: CLASS - 1] + "…", loc="center", fontsize=8)
    return figure


def keep_strips(run: Run, methods: list[str], ipc: int, folder: Path) -> None:
    """The gallery's row of each distilled set, side by side in one PNG named by data, level and method.

    Of a row that is there nothing is made again, as of the records beside it.
    """
    for first, *_ in _sharing(methods):
        name = _strip(run.profile.dataset, ipc, first)
        if not (folder / name).exists():
            distilled = run.distilled(first, ipc)
            row = torch.cat(list(distilled_images(distilled, heaviest(distilled))), dim=-1)
            write_picture(Workspace(folder), name, row)


@figure_style()
def recorded_gallery(dataset: str, ipc: int, folder: Path | None = None) -> Figure:
    """The gallery of a long run, from its strips.

    Args:
        folder: of its records; None is the book's.
    Raises:
        InputError: there are none.
    """
    folder, rows = folder or RESULTS / "table", []
    for names in _sharing(list(METHODS)):
        path = folder / _strip(dataset, ipc, names[0])
        if path.exists():
            strip = read_pixels(path).float() / 255
            rows.append((_joint_title(names), torch.stack(strip.split(strip.shape[1], dim=-1))))
    if not rows:
        raise InputError(f"no pictures of {dataset} at ipc = {ipc} in {folder}; run `ddoq record table`")
    return image_rows(rows)[0]


def _sharing(methods: list[str]) -> list[list[str]]:
    """Methods that have distilled sets, those that share one together, in the order of the table."""
    found: dict = {}
    for name, method in METHODS.items():
        if name in methods and method.distill:
            found.setdefault(method.distill, []).append(name)
    return list(found.values())


def _strip(dataset: str, ipc: int, method: str) -> str:
    return f"{dataset}-ipc{ipc:03d}-{method}.png"


def heaviest(distilled: DistilledDataset) -> list[int]:
    """The image of every class that stands for most real ones; the first of equals."""
    order = distilled.counts.reshape(-1, distilled.ipc).argsort(dim=1, descending=True, stable=True)
    return (order[:, 0] + distilled.ipc * torch.arange(len(order))).tolist()


def _joint_title(names: list[str]) -> str:
    """Titles of methods, without those that only add to another one's (`DDOQ, w ∝ v` to `DDOQ`)."""
    titles = [METHODS[name].title for name in names]
    kept = [title for title in titles if not any(title.startswith(f"{other},") for other in titles)]
    return textwrap.fill(", ".join(kept), NAME)
