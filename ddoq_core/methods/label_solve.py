"""Label solve (Nguyen, Chen & Lee, 2021): random real images with the best labels for kernel regression.

The pixels are those of random real images. The labels minimise the squared error on a batch of other real images with
KIP's kernel: one linear system, without descent. See the row `kip` for the kernel.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..pipeline.distilled import DistilledDataset
from ..store.artifacts import Workspace
from .account import Account, Cost
from .kip import METHOD as KIP
from .kip import RIDGE, kernel_cost
from .method import MethodRun
from .shared.learned import Learned, RealBatches, keyed, learned_set, pixels_of, real_start
from .shared.ridge import centred_one_hot, half_squares, ridge_prediction, solved_labels, wide_kernels


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, C = run.profile, run.dataset.n_classes

    def learn(work: Workspace, key: tuple) -> Learned:
        images, start = real_start(run, ipc, distill_seed), torch.arange(C).repeat_interleave(ipc)
        batch, of_batch = RealBatches(run.dataset, p.device).mixed(p.kip_batch, keyed(key))
        flat, targets = images.double().flatten(1), centred_one_hot(of_batch, C)
        K_ss, K_ts = wide_kernels(flat, flat)[1], wide_kernels(batch.double().flatten(1), flat)[1]
        labels = solved_labels(K_ts, K_ss, targets, RIDGE)
        ends = (ridge_prediction(K_ts, K_ss, y, RIDGE) for y in (centred_one_hot(start, C).to(labels), labels))
        losses = [half_squares(predicted, targets).item() for predicted in ends]
        return Learned(pixels_of(run.dataset, images), losses, {"labels": labels})

    return learned_set(run, "label_solve", ipc, distill_seed, learn, knobs=("kip_batch",), module=__name__)


def _cost(account: Account) -> Iterator[Cost]:
    return kernel_cost(account, "label_solve", "label solve", 1)


METHOD = replace(
    KIP, name="label_solve", title="Label solve", images="label_solve", distill=_distill, cost=_cost, small={}
)
