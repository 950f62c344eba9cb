"""Kernel ridge regression against what defines it, and wide kernels against wide networks."""

import itertools
import math

import pytest
import torch

from ddoq_core.methods.shared.ridge import (
    centred_one_hot,
    half_squares,
    ridge_prediction,
    solved_labels,
    wide_kernels,
)
from ddoq_core.randomness import torch_rng

RIDGE = 1e-3


def normal(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


@pytest.mark.parametrize(("n", "d"), [(5, 9), (9, 5)])
def test_the_prediction_is_that_of_ridge_regression_on_features(n, d):
    own, real, labels = normal(n, d, name="own"), normal(7, d, name="real"), normal(n, 3, name="labels")
    found = ridge_prediction(real @ own.mT, own @ own.mT, labels, RIDGE)
    weight = RIDGE * own.square().sum() / n  # of |theta|^2 beside the squared error
    theta = torch.linalg.solve(own.mT @ own + weight * torch.eye(d), own.mT @ labels)
    torch.testing.assert_close(found, real @ theta)


def test_without_a_ridge_the_labels_of_the_set_are_met():
    x, labels = normal(6, 20), normal(6, 3, name="labels")
    torch.testing.assert_close(ridge_prediction(x @ x.mT, x @ x.mT, labels, 1e-12), labels, atol=1e-6, rtol=1e-6)


def test_solved_labels_are_better_than_all_near_them_and_perfect_on_their_own_images():
    own, real, targets = normal(5, 4, name="own"), normal(30, 4, name="real"), normal(30, 3, name="targets")
    K_ss, K_ts = wide_kernels(own, own)[1], wide_kernels(real, own)[1]
    best = solved_labels(K_ts, K_ss, targets, RIDGE)
    error = half_squares(ridge_prediction(K_ts, K_ss, best, RIDGE), targets)
    for i in range(5):
        other = best + 0.01 * normal(5, 3, name=f"move {i}")
        assert half_squares(ridge_prediction(K_ts, K_ss, other, RIDGE), targets) > error
    hard = centred_one_hot(torch.tensor([0, 1, 2, 0, 1]), 3)
    again = solved_labels(K_ss, K_ss, hard, RIDGE)
    torch.testing.assert_close(ridge_prediction(K_ss, K_ss, again, RIDGE), hard)


@pytest.mark.parametrize("hidden", [1, 2])
def test_the_kernels_are_those_of_a_wide_network(hidden):
    """Inner products of gradients, and of outputs over many last layers: at a width of 8,192 within 5 %."""
    x, width = normal(4, 10).float(), 8192
    sizes, rng = [10, *[width] * hidden, 1], torch_rng(1, "network")
    layers = [(torch.randn(b, a, generator=rng), torch.randn(b, generator=rng)) for a, b in itertools.pairwise(sizes)]
    h, forward = x, []
    for i, (w, bias) in enumerate(layers):  # parameters are N(0, 1), scaled where they are used
        pre = h @ w.mT * math.sqrt(2 / w.shape[1]) + 0.1 * bias
        forward.append((h, pre))
        h = pre.relu() if i < hidden else pre
    nngp, ntk = torch.zeros(4, 4), torch.zeros(4, 4)
    back = torch.ones(4, 1)
    for i in reversed(range(len(layers))):
        h, _ = forward[i]
        product = h @ h.mT * 2 / h.shape[1] + 0.01
        nngp = product if i == hidden else nngp
        ntk += (back @ back.mT) * product
        if i:
            back = back @ layers[i][0] * math.sqrt(2 / layers[i][0].shape[1]) * (forward[i - 1][1] > 0)
    a, b = wide_kernels(x.double(), x.double(), hidden)
    for found, wide in ((nngp, a), (ntk, b)):
        assert (found - wide).norm() / wide.norm() < 0.05


def test_the_kernels_are_symmetric_and_positive_and_their_gradient_is_that_of_differences():
    x = normal(6, 5)
    for kernel in wide_kernels(x, x):
        torch.testing.assert_close(kernel, kernel.mT)
        assert torch.linalg.eigvalsh(kernel).min() > 0
    y = normal(3, 5, name="y").requires_grad_()
    assert torch.autograd.gradcheck(lambda y: wide_kernels(x, y)[1], (y,))
