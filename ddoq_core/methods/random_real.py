"""Random real images: K training images of every class, drawn by key. A distilled set should beat this baseline."""

from collections.abc import Iterator

import torch

from ..config.profile import Profile
from ..data.dataset import Dataset, check_class_sizes
from ..pipeline.distilled import DistilledDataset, write_image, write_metadata
from ..randomness import numpy_rng
from ..store.artifacts import Store, Workspace
from .account import SYNTHESIS, Account, Cost
from .method import Method, MethodRun


def random_real(store: Store, dataset: Dataset, profile: Profile, *, ipc: int, distill_seed: int) -> DistilledDataset:
    """K = ipc real images of every class, without replacement; a larger K includes the images of a smaller K.

    Raises:
        InputError: a class has fewer images.
    """
    check_class_sizes(dataset.sized_classes, ipc, f"ipc = {ipc}")

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

    parameters = profile.keyed("seed") | {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    return DistilledDataset(
        store.make(
            "random_real", build, parameters=parameters, inputs=[dataset.key], modules=(__name__,),
            label=f"ipc{ipc:03d}-seed{distill_seed}",
        )
    )  # fmt: skip


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return random_real(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


def _cost(account: Account) -> Iterator[Cost]:
    for ipc in account.levels:
        yield Cost(
            step="random_real", stage=SYNTHESIS, title="draw real images", ipc=ipc, times=account.times(ipc),
            reads=ipc * account.images.n_classes * account.images.bytes, writes=account.pictures(ipc),
        )  # fmt: skip


METHOD = Method(name="random_real", title="Random real images", distill=_distill, cost=_cost)
