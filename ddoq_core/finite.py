"""Numbers that a network has made are finite, or the image that they belong to is named and nothing is kept of them."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import InputError


def finite(numbers: Float[Tensor, "b ..."], name: Callable[[int], str]) -> Float[Tensor, "b ..."]:
    """The same numbers, all of them finite.

    Args:
        name: what a row belongs to.
    Raises:
        InputError: some are not; the line names the first row of them.
    """
    broken = torch.nonzero(~numbers.reshape(len(numbers), -1).isfinite().all(1)).flatten()
    if len(broken):
        raise InputError(
            f"{name(int(broken[0]))}: a network gives numbers that are not finite; half precision may be too little "
            f"(set precision=float32), or it was trained at too large a rate"
        )
    return numbers
