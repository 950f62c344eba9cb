"""Random generated images: what the prior makes of pure noise. It tells the prototypes' part from the prior's part."""

from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import generate
from .method import Method, Run


def _distill(run: Run, ipc: int, distill_seed: int) -> DistilledDataset:
    return generate(run.store, run.prior, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


METHOD = Method("random_generated", "Random generated images", rank=20, distill=_distill)
