"""CIFAR-100: 60,000 small photographs of 100 classes."""

from ...config.profile import Profile
from ...store.artifacts import Store
from ..cifar import cifar
from ..dataset import Dataset

SIZES = (50_000, 100, 3, 3_072)  # training images, classes, channels, bytes of an image


def load(profile: Profile, store: Store | None) -> Dataset:
    return cifar(profile, "CIFAR100")
