"""Fashion-MNIST: 70,000 photographs of clothes, of the same size as MNIST's digits."""

from ...config.profile import Profile
from ...store.artifacts import Store
from ..dataset import Dataset
from ..idx import idx_files

SIZES = (60_000, 10, 1, 784)  # training images, classes, channels, bytes of an image
CLOTHES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
PROMPTS = [f"a photo of a {c}" for c in CLOTHES]


def load(profile: Profile, store: Store | None) -> Dataset:
    return idx_files(profile, "FashionMNIST", CLOTHES, PROMPTS)
