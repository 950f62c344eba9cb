"""A control for DDOQ: the weights of eq. 33, assigned to the images of each class at random.

The sum and the spread of the weights are those of DDOQ, and so are the mean loss and the effective number of images.
Only the distribution of the weights over the images differs, so DDOQ's gain over this row comes from that distribution.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..pipeline.distilled import DistilledDataset
from ..randomness import numpy_rng
from .d4m import METHOD as D4M
from .method import MethodRun


def permuted(run: MethodRun, distilled: DistilledDataset, distill_seed: int) -> Float[Tensor, " n"]:
    """The weights sqrt(K v / sum v) in another order within each class, drawn by key."""
    dealt = []
    for label, weights in enumerate(distilled.by_class(distilled.weights("sqrt"))):
        rng = numpy_rng(run.profile.seed, "ddoq_permuted", distill_seed, distilled.ipc, label)
        dealt.append(weights[torch.from_numpy(rng.permutation(len(weights)))])
    return torch.cat(dealt)


METHOD = replace(D4M, name="ddoq_permuted", title="DDOQ, weights permuted", weights=permuted)
