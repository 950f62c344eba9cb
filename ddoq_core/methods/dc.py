"""Gradient matching, DC (Zhao, Mopuri & Bilen, 2021): as DSA, without augmentation and from noise.

As published, images start from N(0, 1) in normalised space. Students are trained for 300 epochs (three times the
profile's 100); digits are augmented by crops, scales and rotations, other data are not.
"""

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import Profile
from ..pipeline.distilled import DistilledDataset
from ..pipeline.train_student import LEARNED_LABELS
from ..randomness import torch_rng
from .account import Account, Cost
from .dsa import match_gradients, matching_cost
from .method import Method, MethodRun, SetSize, published_epochs
from .shared.evaluation import DC_EVALUATION, train_on_floats
from .shared.siamese import OF_DC


def _noise(run: MethodRun, ipc: int, distill_seed: int) -> Float[Tensor, "n C H W"]:
    data = run.dataset
    shape = (data.n_classes * ipc, data.channels, data.image_size, data.image_size)
    return torch.randn(shape, generator=torch_rng(run.profile.seed, "dc", ipc, distill_seed)).to(run.profile.device)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return match_gradients(run, "dc", ipc, distill_seed, __name__, siamese=False, start=_noise)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """DC's evaluation: 300 epochs, and 1,000 on digits, which have no mirror images."""
    return LEARNED_LABELS, DC_EVALUATION | {"epochs": published_epochs(300 if profile.flip else 1000, profile)}


def _families(flip: bool) -> tuple[str, ...]:
    return () if flip else OF_DC


def _cost(account: Account) -> Iterator[Cost]:
    return matching_cost(account, "dc", "DC")


METHOD = Method(
    name="dc", title="DC", reference="zhao2021dc", distill=_distill, protocol=protocol,
    fit=partial(train_on_floats, families=_families), cost=_cost,
)  # fmt: skip
