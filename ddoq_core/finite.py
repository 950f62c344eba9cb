"""Check that a network's numbers are finite; otherwise name their image and keep nothing."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import InputError


def finite(numbers: Float[Tensor, "b ..."], name: Callable[[int], str]) -> Float[Tensor, "b ..."]:
    """The same numbers, if all of them are finite.

    Args:
        name: of a row, for the message.
    Raises:
        InputError: some are not finite; the message names the first such row.
    """
    broken = torch.nonzero(~numbers.reshape(len(numbers), -1).isfinite().all(1)).flatten()
    if len(broken):
        raise InputError(
            f"{name(int(broken[0]))}: a network gives numbers that are not finite; half precision may be too coarse "
            f"(set precision=float32), or its learning rate was too large"
        )
    return numbers
