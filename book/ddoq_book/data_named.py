"""How tables name the data of their rows: a data set that was cut is never named without saying so."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddoq_core.config.profile import Profile


@dataclass(frozen=True)
class DataUsed:
    """The images that students and networks of some rows could be trained on."""

    dataset: str
    images: int | None  # kept of the data set, training and validation together; None: all
    validation_fraction: float

    @property
    def title(self) -> str:
        """As captions and columns name it."""
        return self.dataset if self.images is None else f"{self.dataset} ({self.images:,} of its training images)"

    @property
    def n_training(self) -> int | None:
        """Images without those for validation, up to the rounding in each class; None: all."""
        return None if self.images is None else round(self.images * (1 - self.validation_fraction))


def data_used(rows: Iterable[dict]) -> dict[str, DataUsed]:
    """By data set, from the knobs that every row carries; the largest number of images, if rows differ."""
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
    """The data sets of these rows, each with what was kept of it."""
    return ", ".join(used.title for used in data_used(rows).values())
