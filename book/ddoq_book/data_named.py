"""How tables name the data of their rows: the name of a reduced data set always says how many images were kept."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddoq_core.config.profile import Profile


@dataclass(frozen=True)
class DataUsed:
    """The images on which students and networks of some rows could be trained."""

    dataset: str
    images: int | None  # images kept, training and validation together; None: all
    validation_fraction: float

    @property
    def title(self) -> str:
        """The name in captions and columns."""
        return self.dataset if self.images is None else f"{self.dataset} ({self.images:,} of its training images)"

    @property
    def n_training(self) -> int | None:
        """Number of images without those for validation, up to rounding in each class; None: all."""
        return None if self.images is None else round(self.images * (1 - self.validation_fraction))


def data_used(rows: Iterable[dict]) -> dict[str, DataUsed]:
    """The data used, by data set, from the knobs in every row; if rows differ, the largest number of images."""
    found: dict[str, DataUsed] = {}
    for row in rows:
        knobs = row.get("parameters", {})
        fraction = knobs.get("validation_fraction", Profile().validation_fraction)
        here = DataUsed(row["dataset"], knobs.get("train_size") or None, fraction)
        before = found.setdefault(here.dataset, here)
        if before.images is not None and (here.images is None or here.images > before.images):
            found[here.dataset] = here
    return found


def data_title(rows: Iterable[dict]) -> str:
    """The data sets of these rows, each with the number of images that were kept."""
    return ", ".join(used.title for used in data_used(rows).values())
