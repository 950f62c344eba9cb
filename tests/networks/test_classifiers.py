"""Classifiers by name, keyed."""

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.networks.classifiers import HalvingPool, check_network, is_resnet, make_network
from ddoq_core.randomness import torch_rng


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_a_convnet_takes_any_image_size_to_one_logit_per_class(size):
    network = make_network("convnet-4", 5, 2, size, torch_rng(0, "t"))
    assert network(torch.zeros(3, 2, size, size)).shape == (3, 5)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 7, 9), (1, 1, 2, 2)])
def test_the_halving_pool_is_the_average_pool(shape):
    x = torch.randn(shape, generator=torch_rng(0, "pool"))
    torch.testing.assert_close(HalvingPool()(x), torch.nn.functional.avg_pool2d(x, 2))


def test_the_convnet_of_width_128_is_the_one_of_the_field():
    network = make_network("convnet-128", 10, 3, 32, torch_rng(0, "t"))
    assert sum(p.numel() for p in network.parameters()) == 320_010  # as the distillation papers' ConvNet-3


def test_lenet_is_the_one_of_the_digits_and_takes_no_other_size():
    network = make_network("lenet5", 10, 1, 32, torch_rng(0, "t"))
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert sum(p.numel() for p in network.parameters()) == 61_706  # as LeNet-5 with full connections is counted
    with pytest.raises(InputError, match="lenet5 takes images of 32 pixels, not 28"):
        make_network("lenet5", 10, 1, 28, torch_rng(0, "t"))


def test_a_convnet_gives_an_image_the_same_logits_in_any_batch():
    network = make_network("convnet-8", 10, 1, 32, torch_rng(0, "t")).train()
    images = torch.randn(6, 1, 32, 32, generator=torch_rng(0, "images"))
    torch.testing.assert_close(network(images)[2:4], network(images[2:4]))


@pytest.mark.parametrize("name", ["convnet-8", "resnet18-small"])
def test_first_weights_follow_the_key_and_no_other_draw(name):
    before = torch.random.get_rng_state()
    one, same, other = (make_network(name, 3, 1, 32, torch_rng(s, "t")).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_a_small_stem_keeps_the_resolution_of_small_images():
    plain, small = (make_network(name, 3, 1, 32, torch_rng(0, "t")) for name in ("resnet18", "resnet18-small"))
    image = torch.zeros(1, 1, 32, 32)
    assert small.maxpool(small.conv1(image)).shape[-1] == 32
    assert plain.maxpool(plain.conv1(image)).shape[-1] == 8
    assert small(torch.zeros(2, 1, 32, 32)).shape == plain(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_torchvision_has_the_resnets_of_the_paper():
    assert all(map(is_resnet, ("resnet18", "resnet50", "resnet101")))


@pytest.mark.parametrize("name", ["resnet-18", "convnet", "convnet-0", "vgg", "resnet18-big", "swin_t-small"])
def test_an_unknown_name_is_an_error_that_names_it(name):
    with pytest.raises(InputError, match=f"unknown network '{name}'"):
        check_network(name)


def test_the_nearest_name_is_suggested():
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        check_network("resnet-18")


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "swin_t"])
def test_the_classifiers_of_torchvision_are_networks_by_their_names(name):
    network = make_network(name, 7, 3, 32, torch_rng(0, "t")).eval()
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_network_for_colour_says_so_when_images_are_grey():
    with pytest.raises(InputError, match="swin_t takes colour images, but these have 1 channel"):
        make_network("swin_t", 7, 1, 32, torch_rng(0, "t"))
