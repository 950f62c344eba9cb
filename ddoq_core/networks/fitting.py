"""One training loop for the teacher, the autoencoder and the diffusion transformer.

AdamW over epochs with a keyed order; the rate has a warm-up and then a cosine decay to 0. An interrupted run resumes
from its checkpoint and ends with the same bytes, because every draw is keyed by its epoch.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..processes import bar
from ..randomness import numpy_rng
from ..store.artifacts import Workspace
from ..store.checkpoints import Checkpoint

BatchLoss = Callable[[Int64[Tensor, " b"]], Float[Tensor, ""]]  # of a batch, given by its rows


@contextlib.contextmanager
def initialised(rng: torch.Generator) -> Iterator[None]:
    """Modules made inside the block draw initial parameters from the seed of `rng`; other draws are unaffected."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng.initial_seed())
        yield


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    batch: int  # rows per step
    rate: float  # AdamW's highest rate
    warm_up: float  # share of the steps in which the rate rises to it
    decay: float  # AdamW's weight decay
    ema: float = 0.0  # decay of the exponential moving average that replaces the weights; 0 turns it off


def train_network(
    work: Workspace, network: nn.Module, loss_of: Callable[[int], BatchLoss], n: int, recipe: Recipe, *, epochs: int,
    name: str, key: tuple,
) -> None:  # fmt: skip
    """Train `network` in place on n rows.

    Args:
        loss_of: for an epoch: the function from rows to their mean loss, with that epoch's draws.
        name: of the checkpoint and of the progress bar.
        key: (seed, step, ...) for the order of the rows.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay, fused=True)
    average = [p.detach().clone() for p in network.parameters()] if recipe.ema else []
    checkpoint = Checkpoint(work, f"{name}.pt", {"network": network, "optimiser": optimiser, "average": average})
    done, steps = checkpoint.resume(0), -(-n // recipe.batch)
    network.train()
    for epoch in bar(range(done, epochs), desc=name, initial=done, total=epochs):
        loss = loss_of(epoch)
        order = torch.from_numpy(numpy_rng(*key, "order", epoch).permutation(n))
        for step, rows in enumerate(order.split(recipe.batch), epoch * steps):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _rate(step / (steps * epochs), recipe.warm_up)
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
            if recipe.ema:
                share = 1 - min(recipe.ema, (1 + step) / (10 + step))
                torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], share)
        checkpoint.keep(epoch + 1)
    for parameter, mean in zip(network.parameters() if recipe.ema else (), average, strict=True):
        parameter.data.copy_(mean)
    network.eval()


def _rate(part: float, warm_up: float) -> float:
    """Share of the highest rate after `part` of the steps."""
    if part < warm_up:
        return part / warm_up
    return (1 + math.cos(math.pi * (part - warm_up) / (1 - warm_up))) / 2
