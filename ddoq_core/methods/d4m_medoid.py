"""D4M with real pictures: each decoded centroid is replaced by the nearest real image in its cell.

The pictures do not depend on a decoder or on diffusion, so rows with these images show the effect of prototypes and
weights alone. Cells are disjoint, so no image is taken twice; an empty cell has no image.
"""

from collections.abc import Iterator

import torch

from ..pipeline.cluster import load_prototypes
from ..pipeline.distilled import DistilledDataset, write_image, write_metadata
from ..quantization.voronoi import assign
from ..store.artifacts import Workspace
from .account import SYNTHESIS, Account, Cost
from .method import Method, MethodRun

MEDOIDS = "medoids"  # the images that the medoid rows share


def distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    """The medoid of every cell of the prototypes in latent space, with the count of its cell."""
    prototypes, dataset = run.prototypes(distill_seed), run.dataset

    def build(work: Workspace) -> None:
        kept, sizes = [], []
        for label, points in enumerate(load_prototypes(prototypes, ipc)[0].flatten(2)):
            latents, index = run.class_latents(label)
            latents = latents.flatten(1).float()
            cell = assign(latents, points)
            members = [torch.nonzero(cell == k).flatten() for k in range(ipc)]
            filled = [(m, points[k]) for k, m in enumerate(members) if len(m)]
            nearest = torch.stack([m[(latents[m] - point).square().sum(1).argmin()] for m, point in filled])
            for item, image in enumerate(dataset.train.images(index[nearest])):
                write_image(work, label, item, image)
            kept += index[nearest].tolist()
            sizes.append(torch.tensor([len(m) for m, _ in filled]))
        write_metadata(work, dataset, sizes, seed=distill_seed, sources=[dataset.train.ids[i] for i in kept])

    parameters = {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    return DistilledDataset(
        run.store.make(
            "medoid", build, parameters=parameters, inputs=[prototypes, dataset.key], modules=(__name__,),
            label=f"ipc{ipc:03d}-seed{distill_seed}",
        )
    )  # fmt: skip


def cost(account: Account) -> Iterator[Cost]:
    """The copied real images."""
    for ipc in account.levels:
        yield Cost(
            step="medoid", stage=SYNTHESIS, title="copy medoids", ipc=ipc, times=account.times(ipc),
            reads=ipc * account.images.n_classes * account.images.bytes, writes=account.pictures(ipc),
        )  # fmt: skip


METHOD = Method(
    name="d4m_medoid", title="D⁴M, medoids", reference="su2024d4m", distill=distill, images=MEDOIDS, cost=cost,
    uses=("prior", "encode", "cluster"),
)  # fmt: skip
