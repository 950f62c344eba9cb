"""DDOQ with the masses that the quantizer estimated along the way, instead of the exact cell counts.

With quantizer = d4m they are scikit-learn's own counts, most likely those of the paper. A quantizer that sees all
samples at once (lloyd) only has the exact counts.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from ..pipeline.cluster import load_companion
from ..pipeline.distilled import DistilledDataset
from .d4m import METHOD as D4M
from .method import MethodRun


def root_of_companion(run: MethodRun, distilled: DistilledDataset, distill_seed: int) -> Float[Tensor, " n"]:
    """Eq. 33 with the companion masses m: sqrt(K m)."""
    mass = load_companion(run.prototypes(distill_seed), distilled.ipc)
    return (distilled.ipc * mass).sqrt().flatten()


METHOD = replace(
    D4M, name="ddoq_companion", title="DDOQ, own counts", reference="tan2025ddoq", weights=root_of_companion
)
