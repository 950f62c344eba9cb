"""The full data set: the upper reference. A student trained on all real images by the teacher's recipe.

If the teacher has torchvision's weights, so has this student: it was trained on all of ImageNet, and is measured here.
"""

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..pipeline.teacher import PRETRAINED, fit_classifier, teacher
from ..store.artifacts import Artifact, Store
from .account import Account
from .method import Method


def full(store: Store, dataset: Dataset, profile: Profile, student: str, seed: int) -> Artifact:
    """A classifier with the student's architecture, trained on all images; `seed` distinguishes repetitions."""
    dataset = dataset.for_students(profile)
    if profile.teacher_path == PRETRAINED:
        return teacher(store, dataset, profile.replace(teacher=student))
    return fit_classifier(store, dataset, profile, student, seed)


def _fits(account: Account) -> set[tuple[str, int]]:
    """If the teacher has torchvision's weights, these students have them too and are not trained."""
    return set() if account.profile.teacher_path == PRETRAINED else set(account.students)


METHOD = Method(
    name="full", title="Full data set", train=full, result="metrics.json", fits=_fits, cost=lambda account: ()
)
