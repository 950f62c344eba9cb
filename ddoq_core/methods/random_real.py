"""Random real images: K training images of every class, drawn by key. The baseline that a distilled set must beat."""

import torch

from ..errors import InputError
from ..keys import numpy_rng
from ..pipeline.distilled import DistilledDataset, write_image, write_metadata
from ..pipeline.splits import Dataset
from ..profile import Profile
from ..store import Store, Workspace
from .method import Method, Run


def random_real(store: Store, dataset: Dataset, profile: Profile, *, ipc: int, distill_seed: int) -> DistilledDataset:
    """K = ipc real images of every class, without replacement; a larger K keeps those of a smaller one.

    Raises:
        InputError: a class has fewer images.
    """
    for row in dataset.classes:
        n = len(dataset.train.of_class(row["index"]))
        if n < ipc:
            raise InputError(
                f'ipc = {ipc}, but class {row["index"]} ("{row["name"]}", {row["directory"]}) has {n} training images; '
                f"lower ipc or drop the class"
            )

    def build(work: Workspace) -> None:
        sources = []
        for label in range(dataset.n_classes):
            members = dataset.train.of_class(label)
            rng = numpy_rng(profile.seed, "random_real", distill_seed, label)
            kept = members[rng.permutation(len(members))[:ipc]]
            for item, image in enumerate(dataset.train.images(kept)):
                write_image(work, label, item, image)
            sources += [dataset.train.ids[i] for i in kept.tolist()]
        counts = torch.ones(dataset.n_classes, ipc, dtype=torch.int64)
        write_metadata(work, dataset, counts, seed=distill_seed, sources=sources)

    parameters = profile.pick("seed") | {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    return DistilledDataset(
        store.make(
            "random_real", build, parameters=parameters, inputs=[dataset.key], modules=(__name__,),
            label=f"ipc{ipc:03d}-seed{distill_seed}",
        )
    )  # fmt: skip


def _distill(run: Run, ipc: int, distill_seed: int) -> DistilledDataset:
    return random_real(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


METHOD = Method("random_real", "Random real images", rank=10, distill=_distill)
