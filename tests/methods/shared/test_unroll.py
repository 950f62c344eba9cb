"""The sweep through an unrolled training against automatic differentiation of the whole graph, in float64."""

import pytest
import torch

from ddoq_core.methods.shared.unroll import distance_to, unrolled
from ddoq_core.randomness import torch_rng

N, P = 4, 6


def normal(*shape: int, name: str) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


def loss(theta, parts, i):
    """Not quadratic in anything, and different in every step."""
    a, b = parts
    return ((a[i % 2] @ theta).tanh() - b.sum() * theta.square().sum().sin() / 7).square() + theta.pow(4).sum() / 50


def whole(momentum: float):
    """Value and gradients from one graph of all steps."""
    parts = [normal(2, P, name="a").requires_grad_(), normal(3, name="b").requires_grad_()]
    rates = torch.tensor([0.1, 0.05, 0.2, 0.07], dtype=torch.float64, requires_grad=True)
    theta, speed = normal(P, name="start").requires_grad_(), torch.zeros(P, dtype=torch.float64)
    for i in range(N):
        speed = momentum * speed + torch.autograd.grad(loss(theta, parts, i), theta, create_graph=True)[0]
        theta = theta - rates[i] * speed
    value = (theta - normal(P, name="goal")).square().sum() / 3
    return value.detach(), torch.autograd.grad(value, (*parts, rates)), theta.detach()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_all_gradients_are_those_of_the_whole_graph(momentum):
    value, (a, b, rates), last = whole(momentum)
    parts = (normal(2, P, name="a"), normal(3, name="b"))
    steps = torch.tensor([0.1, 0.05, 0.2, 0.07], dtype=torch.float64)
    end = distance_to(normal(P, name="goal"), torch.tensor(3.0, dtype=torch.float64))
    found = unrolled(loss, parts, steps, normal(P, name="start"), end, momentum=momentum)
    assert found.value == pytest.approx(float(value), rel=1e-12)
    for mine, true in zip((*found.parts, found.rates, found.end), (a, b, rates, last), strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-11, atol=1e-13)


def test_a_training_without_steps_depends_on_nothing():
    found = unrolled(
        loss, (normal(2, P, name="a"), normal(3, name="b")), torch.zeros(0, dtype=torch.float64),
        normal(P, name="goal"), distance_to(normal(P, name="goal"), torch.tensor(1.0, dtype=torch.float64)),
    )  # fmt: skip
    assert found.value == 0 and all(part.abs().max() == 0 for part in found.parts)
