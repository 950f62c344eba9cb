"""The training loop of a student: weighted loss, gradients over the parts of a batch, optimiser and schedule.

In: a network, its lessons, a loss. Out: the trained network, and the number of parts of a batch. A batch that does not
fit into the memory of a GPU is split further.
"""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError
from ..processes import bar, report_line, world
from ..store.artifacts import Workspace
from ..store.checkpoints import Checkpoint
from .lessons import Lessons

# schedules that drop once, after a share of the epochs to a share of the rate: the paper's Table 3 (a quarter after
# epoch 250 of 300), and trajectory matching's
FALLS = {"step": (5 / 6, 1 / 4), "tenth": (1 / 2, 1 / 10), "constant": (0, 1)}
RATE_KNOBS = ("epochs", "learning_rate", "lr_schedule")  # knobs of a profile that `rate` uses
MOMENTUM = 0.9
CHECKPOINT = "checkpoint.pt"


def weighted_kl(
    logits: Float[Tensor, "b classes"], log_p: Float[Tensor, "b classes"], weights: Float[Tensor, " b"],
    temperature: float, direction: str,
) -> Float[Tensor, ""]:  # fmt: skip
    """Mean of w KL over a batch, at temperature T; with one-hot p, forward and T = 1 it is weighted cross-entropy.

    Args:
        log_p: target log-probabilities, already at temperature T; -inf is a probability of 0 (forward only).
        direction: forward KL(p || student), as in the public code, or reverse KL(student || p), as the paper prints it
            (Section 3.1, step 4). Neither is multiplied by T^2.
    """
    log_q = (logits / temperature).log_softmax(1)
    if direction == "reverse":
        divergence = (log_q.exp() * (log_q - log_p)).sum(1)
    else:
        divergence = F.kl_div(log_q, log_p.exp(), reduction="none").sum(1)
    return (weights * divergence).mean()


def fit(
    work: Workspace, network: nn.Module, lessons: Lessons, loss: Callable[..., Float[Tensor, ""]],
    schedule: Callable[[float], float] | None = None,
) -> int:  # fmt: skip
    """All epochs; an interrupted training resumes from its checkpoint and ends with the same bytes.

    The gradient of a batch is the sum over the processes, and over the `accumulate` parts of each, weighted by their
    share of the images. A norm with batch statistics takes them over one part, and keeps the main process's.

    Returns:
        The number of parts of a batch: `accumulate`, or more if a batch did not fit.
    """
    p, everyone, parts = lessons.profile, world(), lessons.profile.accumulate
    mixed_precision = torch.autocast(p.device, torch.bfloat16, enabled=p.training_precision == "bfloat16")
    groups = _groups(network, p.weight_decay)
    if p.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=p.learning_rate, momentum=MOMENTUM)
    else:
        optimiser = torch.optim.AdamW(groups, lr=p.learning_rate, fused=True)
    checkpoint = Checkpoint(work, CHECKPOINT, {"network": network, "optimiser": optimiser})
    done = checkpoint.resume(0)
    network.train()
    model = network
    if everyone.size > 1:  # the gradient is the mean over the processes
        model = DistributedDataParallel(network, gradient_as_bucket_view=True)

    def weighed(images: Tensor, log_p: Tensor, weights: Tensor, share: float, n: int) -> Float[Tensor, ""]:
        with mixed_precision:
            logits = model(images)
        return loss(logits.float(), log_p, weights) * (everyone.size * share * len(images) / n)

    shared = functools.partial(rate, **p.subset(*RATE_KNOBS))
    for epoch in bar(range(done, p.epochs), desc="student", initial=done, total=p.epochs, leave=False):
        for group in optimiser.param_groups:
            group["lr"] = p.learning_rate * schedule(epoch / p.epochs) if schedule else shared(epoch)
        for (_, share), batch in zip(lessons.shares, lessons.batches(epoch), strict=True):
            part_loss = functools.partial(weighed, share=share, n=len(batch[0]))
            parts = gradient(network, part_loss, batch, parts)
            optimiser.step()
        if everyone.main:
            checkpoint.keep(epoch + 1)
    everyone.follow_main(network.buffers())  # after the last step, each process has its own running averages
    return parts


def gradient(
    network: nn.Module, part_loss: Callable[..., Float[Tensor, ""]], batch: tuple[Tensor, ...], parts: int
) -> int:
    """The gradient of the summed losses of the parts of a batch; the number of parts doubles until they fit.

    Returns:
        The number of parts that fit.
    Raises:
        InputError: a single image does not fit, or several processes train one student and would have to agree.
    """
    while True:
        before = [buffer.clone() for buffer in network.buffers()]  # a norm's averages change before memory runs out
        network.zero_grad()
        if _fits(part_loss, batch, parts):
            return parts
        if world().size > 1 or parts >= len(batch[0]):
            raise InputError(
                f"{len(batch[0]) / parts:.0f} images of a batch do not fit into the memory of the GPU; set accumulate "
                f"to more than {parts}, training_precision=bfloat16, or batch_size to less"
            )
        parts *= 2
        for buffer, value in zip(network.buffers(), before, strict=True):
            buffer.copy_(value)
        torch.cuda.empty_cache()
        kept = "the gradient is the same"
        if has_batch_statistics(network):
            kept = f"batch norm now takes its statistics over {math.ceil(len(batch[0]) / parts)} images, another recipe"
        report_line(f"ddoq: a batch of {len(batch[0])} does not fit into memory, split into {parts} parts; {kept}")


def _fits(part_loss: Callable[..., Float[Tensor, ""]], batch: tuple[Tensor, ...], parts: int) -> bool:
    """Whether the parts fit into memory; the memory that an error holds is free again after the return."""
    try:
        for piece in zip(*(t.chunk(parts) for t in batch), strict=True):
            part_loss(*piece).backward()
    except torch.cuda.OutOfMemoryError:
        return False
    return True


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether the network's output for an image in training depends on the other images of its part."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def rate(epoch: int, *, epochs: int, learning_rate: float, lr_schedule: str) -> float:
    """The learning rate of an epoch: `cosine` falls to 0, `half-cosine` to a half, `step` and `tenth` drop once."""
    part = epoch / epochs
    if lr_schedule in FALLS:
        at, share = FALLS[lr_schedule]
        return learning_rate * (share if part >= at else 1)
    if lr_schedule == "half-cosine":  # as in RDED: the cosine of twice as many epochs
        part /= 2
    return learning_rate * (1 + math.cos(math.pi * part)) / 2


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices and kernels, none for biases and norms (as in D4M)."""
    decayed = [p for name, p in network.named_parameters() if p.ndim >= 2 and name.endswith("weight")]
    others = [p for name, p in network.named_parameters() if p.ndim < 2 or not name.endswith("weight")]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
