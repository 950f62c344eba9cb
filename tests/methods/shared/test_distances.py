"""Distances of gradients: what they do not see, and how large they can be."""

import pytest
import torch

from ddoq_core.methods.shared.distances import absolute_distance, class_loss, parameter_gradients, row_distance
from ddoq_core.networks.classifiers import make_network
from ddoq_core.randomness import torch_rng


def gradients(seed: int) -> list[torch.Tensor]:
    shapes = [(4, 3, 2, 2), (4,), (5, 6), (5,)]
    return [torch.randn(s, dtype=torch.float64, generator=torch_rng(seed, "g", i)) for i, s in enumerate(shapes)]


def test_equal_gradients_have_no_distance_and_opposite_ones_twice_the_rows():
    g = gradients(0)
    assert float(row_distance(g, g)) == pytest.approx(0, abs=1e-5)
    assert float(row_distance(g, [-x for x in g])) == pytest.approx(2 * (4 + 5), abs=1e-5)
    assert float(absolute_distance(g, g)) == 0


def test_the_length_of_a_row_does_not_count_and_neither_do_biases():
    g, other = gradients(0), gradients(1)
    scaled = [x.clone() for x in g]
    scaled[0][2] *= 1e4
    scaled[1] += 7
    assert float(row_distance(scaled, other)) == pytest.approx(float(row_distance(g, other)), abs=1e-5)


def test_absolute_differences_are_of_kernels_alone():
    g, other = gradients(0), gradients(1)
    assert float(absolute_distance(g, other)) == pytest.approx(float((g[0] - other[0]).abs().sum()))


def test_the_distance_is_differentiable_in_the_images():
    network = make_network("convnet-4", 3, 1, 8, torch_rng(0, "t")).double()
    real, own = (torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch_rng(i, "x")) for i in range(2))
    wanted = parameter_gradients(class_loss(network, real, 1), network)

    def gap(images: torch.Tensor) -> torch.Tensor:
        return row_distance(parameter_gradients(class_loss(network, images, 1), network, graph=True), wanted)

    assert torch.autograd.gradcheck(gap, (own.requires_grad_(),), eps=1e-7, atol=1e-4)
