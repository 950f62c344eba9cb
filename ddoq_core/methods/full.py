"""The full data set: what there is to lose. The teacher's recipe on all real images, with the student's architecture.

Where the teacher has torchvision's weights, the row has them too: trained on all of ImageNet, and measured here.
"""

from ..pipeline.splits import Dataset
from ..pipeline.teacher import PRETRAINED, fit_classifier, teacher
from ..profile import Profile
from ..store import Artifact, Store
from .method import Method


def full(store: Store, dataset: Dataset, profile: Profile, student: str, seed: int) -> Artifact:
    """A classifier of the student's architecture that has seen all training images; `seed` tells repetitions apart."""
    if profile.teacher_path == PRETRAINED:
        return teacher(store, dataset, profile.but(teacher=student))
    return fit_classifier(store, dataset, profile, student, seed)


METHOD = Method("full", "Full data set", rank=90, train=full, result="metrics.json")
