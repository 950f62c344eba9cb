"""An unrolled training: its last parameters, and the gradient of a loss there with respect to the learned parts.

With given theta_0, momentum m and rates a_i, v_(i+1) = m v_i + g_i and theta_(i+1) = theta_i - a_i v_(i+1), where g_i
is the gradient of the i-th step's loss at theta_i, which depends on the learned parts x. For a function L of theta_N
the cotangents lambda_i = dL/dtheta_i and mu_i = dL/dv_i go backwards: mu_(i+1) = m mu_(i+2) - a_i lambda_(i+1),
lambda_i = lambda_(i+1) + d<g_i, mu_(i+1)>/dtheta. Then dL/dx = sum_i d<g_i, mu_(i+1)>/dx and dL/da_i = -<v_(i+1),
lambda_(i+1)>. For every step the sweep keeps theta_i (and v_i, if m > 0), vectors without a graph.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# function of the parameters, the learned parts and the number of the step
PartsLoss = Callable[[Float[Tensor, " P"], tuple[Tensor, ...], int], Float[Tensor, ""]]
# function of the last parameters that returns L and its gradient
End = Callable[[Float[Tensor, " P"]], tuple[float, Float[Tensor, " P"]]]


@dataclass(frozen=True)
class Unrolled:
    """L at the end of a training, its gradients, and the last parameters."""

    value: float
    parts: tuple[Tensor, ...]  # gradient with respect to each learned part
    rates: Float[Tensor, " N"]  # with respect to the rate of each step
    end: Float[Tensor, " P"]


def unrolled(
    loss: PartsLoss, parts: Sequence[Tensor], rates: Float[Tensor, " N"], start: Float[Tensor, " P"], end: End, *,
    momentum: float = 0.0, exact: bool = True,
) -> Unrolled:  # fmt: skip
    """Train from `start` for N steps, and sweep back.

    Args:
        parts: the learned parts, for example images.
        rates: the rate of every step.
        end: function that returns L and its gradient at the last parameters.
        exact: False treats the parameters of every step as constant, as published for TESLA (momentum 0).
    """
    rates, fixed = rates.detach(), tuple(part.detach() for part in parts)
    passed, speeds, speed = [start], [], torch.zeros_like(start)
    for i, rate in enumerate(rates):
        theta = passed[-1].detach().requires_grad_()
        speed = momentum * speed + torch.autograd.grad(loss(theta, fixed, i), theta)[0]
        passed.append(theta.detach() - rate * speed)
        speeds += [speed] if momentum else []
    last = passed.pop()
    value, adjoint = end(last)
    of_speed, d_rates = torch.zeros_like(start), torch.zeros_like(rates)
    d_parts = [torch.zeros_like(part) for part in fixed]
    for i in reversed(range(len(rates))):
        theta = passed.pop().detach().requires_grad_()
        learned = tuple(part.clone().requires_grad_() for part in fixed)
        (g,) = torch.autograd.grad(loss(theta, learned, i), theta, create_graph=True)
        d_rates[i] = -((speeds.pop() if momentum else g.detach()) @ adjoint)
        of_speed = momentum * of_speed - rates[i] * adjoint
        d_theta, *d_learned = torch.autograd.grad(g @ of_speed, (theta, *learned), materialize_grads=True)
        for total, one in zip(d_parts, d_learned, strict=True):
            total += one
        if exact:
            adjoint = adjoint + d_theta
    return Unrolled(value, tuple(d_parts), d_rates, last)


def distance_to(goal: Float[Tensor, " P"], way: Float[Tensor, ""]) -> End:
    """Squared distance of the end from a goal, as a share of `way` (eq. 4 of trajectory matching)."""

    def end(theta: Float[Tensor, " P"]) -> tuple[float, Float[Tensor, " P"]]:
        gap = theta - goal
        return float(gap.square().sum() / way), 2 * gap / way

    return end
