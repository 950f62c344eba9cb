"""Kernel inducing points, KIP (Nguyen, Chen & Lee, 2021): images from which a kernel predicts the real images' labels.

L(S, Y) = 1/2 |y_t - K_tS (K_SS + lambda)^-1 Y|^2 with the neural tangent kernel of an infinitely wide network with one
hidden layer, which needs no training; t is a batch of real images, the same number from each class. As published (the
authors' notebook): lambda = 1e-6 of the mean diagonal, Adam at 0.04, batches of 5,000, labels one-hot - 1/C, float64,
start from real images, normalised unbounded pixels. Here only the images are learned; in the row `kip_labels` the
labels too. The kernel of a convolutional network needs thousands of GPU hours and is left out. Students are FRePo's;
in the publication they have width 1,024, no norms and the whole set in each step.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import Profile, knob
from ..pipeline.distilled import DistilledDataset
from ..pipeline.train_student import LEARNED_LABELS
from ..store.artifacts import Workspace
from .account import Account, Cost
from .method import Method, MethodRun, SetSize, published_epochs
from .shared.evaluation import train_on_floats
from .shared.learned import Learned, RealBatches, descend, keyed, learned_set, pixels_of, real_start
from .shared.ridge import centred_one_hot, half_squares, ridge_prediction, wide_kernels

RIDGE = 1e-6
DOUBLE = 3 * 2  # forward and backward, multiply and add
REGRESSION = {  # for students of learned labels: FRePo's 1,000 steps
    "optimiser": "adamw", "learning_rate": 3e-4, "lr_schedule": "cosine", "batch_size": 500, "weight_decay": 0.0,
    "cutmix": False,
}  # fmt: skip


class Knobs:
    """The length of the learning."""

    kip_steps: int = knob(300, "steps of Adam (KIP)", low=1, methods=("kip", "kip_labels"), since="0.2")
    kip_rate: float = knob(0.04, "Adam's rate (KIP)", low=0.0, methods=("kip", "kip_labels"), since="0.2")
    kip_batch: int = knob(
        5000, "real images per step (KIP, label solve)", low=1, methods=("kip", "kip_labels", "label_solve"),
        since="0.2",
    )  # fmt: skip


def kernel_loss(
    images: Float[Tensor, "n d"],
    labels: Float[Tensor, "n C"],
    real: Float[Tensor, "m d"],
    targets: Float[Tensor, "m C"],
) -> Float[Tensor, ""]:
    """KIP's objective on flattened images, in float64."""
    K_ss, K_ts = wide_kernels(images, images)[1], wide_kernels(real, images)[1]
    return half_squares(ridge_prediction(K_ts, K_ss, labels, RIDGE), targets)


def kernel_points(
    run: MethodRun, name: str, ipc: int, distill_seed: int, module: str, *, labelled: bool
) -> DistilledDataset:
    """The set of KIP; with `labelled` the labels are learned too."""
    p, C = run.profile, run.dataset.n_classes

    def learn(work: Workspace, key: tuple) -> Learned:
        real, start = RealBatches(run.dataset, p.device), real_start(run, ipc, distill_seed)
        images = start.double().requires_grad_()
        labels = centred_one_hot(torch.arange(C).repeat_interleave(ipc), C).to(p.device).requires_grad_(labelled)
        optimiser = torch.optim.Adam([images, labels] if labelled else [images], lr=p.kip_rate)

        def step(t: int) -> float:
            batch, of_batch = real.mixed(p.kip_batch, keyed(key, t))
            loss = kernel_loss(images.flatten(1), labels, batch.double().flatten(1), centred_one_hot(of_batch, C))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.item()

        parts = {"images": images.data, "labels": labels.data, "optimiser": optimiser}
        losses = descend(work, p.kip_steps, name, step, parts)
        return Learned(pixels_of(run.dataset, images.detach()), losses, {"labels": labels})

    knobs = ("kip_steps", "kip_rate", "kip_batch")
    return learned_set(run, name, ipc, distill_seed, learn, knobs=knobs, module=module)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """Students of the floats by squared error on the labels; `students` selects the network (KIP: width 1,024)."""
    return LEARNED_LABELS, REGRESSION | {"epochs": published_epochs(1000, profile)}


def kernel_cost(account: Account, step: str, title: str, steps: int) -> Iterator[Cost]:
    """Products of real and distilled images, without the linear systems and the functions of angles."""
    for ipc in account.levels:
        n, d = ipc * account.images.n_classes, account.images.channels * account.profile.picture_size**2
        flops = steps * DOUBLE * n * (n + min(account.profile.kip_batch, account.images.n)) * d
        yield account.learned(step, title, ipc, flops, 0, more=n * account.images.n_classes)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return kernel_points(run, "kip", ipc, distill_seed, __name__, labelled=False)


def _cost(account: Account) -> Iterator[Cost]:
    return kernel_cost(account, "kip", "KIP", account.profile.kip_steps)


METHOD = Method(
    name="kip", title="KIP-FC", reference="nguyen2021kip", distill=_distill, protocol=protocol, fit=train_on_floats,
    cost=_cost, uses=("random_real",), small={"kip_steps": 2, "kip_batch": 20},
)  # fmt: skip
