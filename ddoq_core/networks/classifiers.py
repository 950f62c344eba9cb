"""Classifiers by name: the ConvNet of the dataset-distillation field, and the classifiers of torchvision.

`convnet-WIDTH` (three blocks of convolution, instance norm, ReLU, average pool at 32 pixels), `convnet-WIDTH-bn` (batch
norm instead), `lenet5` (images of 32 pixels), any classifier of torchvision (`resnet18`, `resnet50`, `mobilenet_v2`,
`efficientnet_b0`, `swin_t`, ...), and `NAME-small`, a ResNet with a stem for small images.
"""

import difflib
import functools
import itertools
import re

import torch
from torch import nn

from ..errors import InputError
from .fitting import initialised

LENET = "lenet5"
SEVERAL_OUTPUTS = ("googlenet", "inception_v3")  # in training, for which they would need their own loss


@functools.cache
def torchvision_classifiers() -> tuple[str, ...]:
    """Names of torchvision's classifiers."""
    from torchvision import models  # of the extra `pipeline`

    return tuple(name for name in models.list_models(module=models) if name not in SEVERAL_OUTPUTS)


def is_resnet(name: str) -> bool:
    """Whether torchvision has a ResNet of this name."""
    return bool(re.match(r"(wide_)?res(net|next)\d", name)) and name in torchvision_classifiers()


class HalvingPool(nn.Module):
    """nn.AvgPool2d(2) as one matrix product: on a CPU the pool would take a third of a student's training step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Means of 2 x 2 blocks, [b, c, h, w] to [b, c, h // 2, w // 2]; an odd last row or column is left out."""
        b, c, h, w = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
        return x[..., : 2 * h, : 2 * w].reshape(b, c, h, 4 * w) @ _means_of_blocks(w, x.dtype, x.device)


@functools.cache
def _means_of_blocks(w: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The map from two rows of 2 w pixels, one after the other, to the w means of their 2 x 2 blocks."""
    return torch.eye(w, dtype=dtype, device=device).repeat_interleave(2, 0).repeat(2, 1) / 4


class ConvNet(nn.Module):
    """The field's ConvNet (Gidaris & Komodakis 2018): its norm has no batch statistics unless `batch_norm` is set.

    One more block for each doubling of the side beyond 32 pixels, so that about 4 x 4 cells reach the classifier.
    """

    def __init__(self, width: int, n_classes: int, channels: int, image_size: int, batch_norm: bool) -> None:
        super().__init__()
        depth = max(3, (image_size // 4).bit_length() - 1)
        widths = [channels] + [width] * depth
        blocks = []
        for a, b in itertools.pairwise(widths):
            norm = nn.BatchNorm2d(b) if batch_norm else nn.GroupNorm(b, b)
            blocks.append(nn.Sequential(nn.Conv2d(a, b, 3, padding=1), norm, nn.ReLU(inplace=True), HalvingPool()))
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width * (image_size >> depth) ** 2, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [b, n_classes] of normalised images [b, C, H, W]."""
        return self.classifier(self.features(images).flatten(1))


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and maximum pools, for images of 32 pixels."""

    def __init__(self, n_classes: int, channels: int) -> None:
        super().__init__()
        layers = [
            nn.Conv2d(channels, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, n_classes)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [b, n_classes] of normalised images [b, C, 32, 32]."""
        return self.classifier(self.features(images).flatten(1))


def make_network(name: str, n_classes: int, channels: int, image_size: int, rng: torch.Generator) -> nn.Module:
    """A newly initialised network with this name; equal generators (same seed) give equal parameters.

    Raises:
        InputError: no network has this name, or a network for colour images gets grey ones.
    """
    check_network(name)
    bare = name.removesuffix("-small")
    if name == LENET and image_size != 32:
        raise InputError(f"{LENET} takes images of 32 pixels, not {image_size}; set image_size=32 or use a convnet")
    if not (name == LENET or is_resnet(bare) or name.startswith("convnet-") or channels == 3):
        raise InputError(f"{name} takes colour images, but these have {channels} channel; use a resnet or convnet")
    with initialised(rng):
        if name.startswith("convnet-"):
            _, width, *suffix = name.split("-")
            return ConvNet(int(width), n_classes, channels, image_size, bool(suffix))
        if name == LENET:
            return LeNet(n_classes, channels)
        from torchvision import models

        network = models.get_model(bare, weights=None, num_classes=n_classes)
        if not is_resnet(bare):
            return network
        stem = network.conv1
        if name.endswith("-small"):
            network.conv1 = nn.Conv2d(channels, stem.out_channels, 3, stride=1, padding=1, bias=False)
            network.maxpool = nn.Identity()
        elif channels != 3:
            network.conv1 = nn.Conv2d(channels, stem.out_channels, 7, stride=2, padding=3, bias=False)
        if network.conv1 is not stem:
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        return network


def check_network(name: str) -> None:
    """Check that a network has this name.

    Raises:
        InputError: none has; the message suggests the nearest name.
    """
    if name == LENET or re.fullmatch(r"convnet-[1-9]\d*(-bn)?", name):
        return
    names = torchvision_classifiers()
    if name in names or is_resnet(name.removesuffix("-small")):
        return
    known = ["convnet-128", *names, *(f"{n}-small" for n in names if is_resnet(n))]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise InputError(
        f"unknown network '{name}'{hint} Known: convnet-WIDTH, convnet-WIDTH-bn, the classifiers of torchvision "
        "(resnet18, resnet50, mobilenet_v2, efficientnet_b0, swin_t, ...), and the ResNets also as NAME-small"
    )
