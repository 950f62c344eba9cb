"""Data sets by name. Each is a file of `sets` that defines `load` and, for the cost of a run, its `SIZES`.

In: a profile. Out: a Dataset with train, validation and test parts, class names and prompts, and a key for its content
and the code that reads it.
"""

import hashlib
import importlib
import json
from dataclasses import replace

from ..config.profile import Profile
from ..errors import InputError
from ..store.artifacts import Store
from ..store.source import source_key
from .dataset import Dataset
from .imbalance import merged


def load_dataset(profile: Profile, store: Store | None = None) -> Dataset:
    """The data set that a profile names.

    Args:
        store: keeps the check of an image folder, so that each file is decoded for it only once.
    Raises:
        InputError: missing data root or train/ or val/, an empty class, an unreadable image; a teacher that would see
            smaller pictures than students do.
    """
    if 0 < profile.teacher_size < profile.image_size:
        raise InputError(
            f"teacher_size = {profile.teacher_size}, but students see pictures of {profile.image_size} pixels; set it "
            f"to image_size or more, or to 0"
        )
    name = f"{__package__}.sets.{profile.dataset}"
    dataset = merged(importlib.import_module(name).load(profile, store), profile.superclasses)
    made = json.dumps([dataset.content, source_key((name,))])
    return replace(dataset, key=hashlib.sha256(made.encode()).hexdigest()[:16])
