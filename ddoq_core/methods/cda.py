"""CDA (Yin & Shen, 2024): SRe²L with a curriculum of crops, from the whole image to small parts.

The smallest area of a crop decreases from 1 to c along c + (1 - c) (1 + cos(pi t / (m T))) / 2 (after t of T steps),
with milestone m = 1 as published; everything else is as in SRe²L. The published c is 0.08, for photographs. Below 64
pixels c is 0.5 here, since a twelfth of a digit is a stroke that any class may have: on the validation images of
mnist5k (10 images per class, a = 0.1, 250 steps) one student reached 93% with 0.5 and 89% with 0.08.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from ..pipeline.distilled import DistilledDataset
from .account import Account, Cost
from .method import MethodRun
from .sre2l import METHOD as SRE2L
from .sre2l import PHOTOGRAPH, SMALLEST_CROP, Bound, distil, inverting

MILESTONE = 1.0
SMALLEST_CROP_OF_SMALL = 0.5


def curriculum_crop(size: int) -> Bound:
    """Smallest area of a crop, as a share of an image with this side, after this share of the steps."""
    c = SMALLEST_CROP if size >= PHOTOGRAPH else SMALLEST_CROP_OF_SMALL
    return lambda part: c + (1 - c) * (1 + math.cos(math.pi * min(1.0, part / MILESTONE))) / 2


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    return distil(run, ipc, distill_seed, "cda", curriculum_crop(run.dataset.image_size), __name__)


def _cost(account: Account) -> Iterator[Cost]:
    return inverting(account, "cda", "CDA")


METHOD = replace(SRE2L, name="cda", title="CDA", reference="yin2024cda", images="cda", distill=_distill, cost=_cost)
