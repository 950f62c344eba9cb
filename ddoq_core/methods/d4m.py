"""D4M (Su et al., 2024): k-means prototypes in latent space, each decoded by the prior; every image weighs the same."""

from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import synthesize
from .method import Method, Run


def distill(run: Run, ipc: int, distill_seed: int) -> DistilledDataset:
    """The distilled set of D4M and DDOQ: one set, which keeps the counts; the rows differ in their weights only."""
    prototypes = run.prototypes(distill_seed)
    return synthesize(run.store, prototypes, run.prior, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


METHOD = Method("d4m", "D⁴M", rank=30, reference="su2024d4m", distill=distill)
