"""MNIST: 70,000 handwritten digits."""

from ...config.profile import Profile
from ...store.artifacts import Store
from ..dataset import Dataset
from ..idx import idx_files

SIZES = (60_000, 10, 1, 784)  # training images, classes, channels, bytes of an image
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PROMPTS = [f"a handwritten digit {d}" for d in DIGITS]


def load(profile: Profile, store: Store | None) -> Dataset:
    return idx_files(profile, "MNIST", DIGITS, PROMPTS)
