"""The rows of Table 1."""

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import MethodRun
from ddoq_core.methods.random_real import random_real
from ddoq_core.store.artifacts import Artifact, Store

from ..stand_ins import stand_in

SIZES = [5, 4, 7]
PROFILE = Profile.of({"image_size": 8})


@pytest.fixture(scope="module")
def dataset():
    """Three classes of unequal size, every image of one grey of its own."""
    labels = torch.arange(3).repeat_interleave(torch.tensor(SIZES))
    pixels = torch.arange(16, dtype=torch.uint8).reshape(16, 1, 1, 1).expand(16, 1, 8, 8)
    split = Split(labels, [f"train/{i}" for i in range(16)], pixels, 8)
    return Dataset(
        "greys", split, split, split, class_ids=["n01", "n02", "n03"], class_names=["tench", "bee eater", "jeep"],
        prompts=["a", "b", "c"], image_size=8, channels=1, mean=(0.5,), std=(0.5,), key="greys",
    )  # fmt: skip


KERNELS = ["kip", "kip_labels", "label_solve", "rfad", "frepo"]
MEDOIDS = ["d4m_medoid", "ddoq_medoid", "ddoq_medoid_permuted"]


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store(tmp_path)


def test_the_rows_stand_in_the_order_of_the_table_under_the_names_of_their_files():
    chosen = ["herding", "k_centre", "craig", "el2n", "grand", "easy"]
    pixels = ["dd", "rtp", "dc", "dsa", "dream", "dm", "mtt", "tesla", "haba", *KERNELS, "robust"]
    large = ["sre2l", "cda", "rded", "wmdd", "wmdd_masses"]
    priors = ["glad", "glad_codebook", "ld3m", "minimax", "mgd3", "ot_guided"]
    ours = ["d4m", "ddoq", "ddoq_proportional", "ddoq_companion", "ddoq_adaptive", "ddoq_permuted"]
    assert list(METHODS) == [
        "random_real",
        "random_generated",
        *chosen,
        *pixels,
        *large,
        *priors,
        *ours,
        *MEDOIDS,
        "full",
    ]
    assert all(method.name == name for name, method in METHODS.items())
    assert set(Profile().methods) <= set(METHODS)


def test_every_row_distils_or_trains_on_everything_and_has_a_title_of_its_own():
    assert all((method.distill is None) != (method.train is None) for method in METHODS.values())
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_d4m_and_ddoq_share_one_distilled_set_and_differ_in_their_weights():
    names = ("d4m", "ddoq", "ddoq_proportional", "ddoq_companion", "ddoq_adaptive", "ddoq_permuted")
    assert [METHODS[name].images for name in names] == ["prototypes"] * 6
    assert [METHODS[name].images for name in MEDOIDS] == ["medoids"] * 3
    weights = {name: METHODS[name].weights_of(Profile()) for name in ("d4m", "ddoq", "ddoq_proportional")}
    assert weights == {"d4m": "uniform", "ddoq": "sqrt", "ddoq_proportional": "proportional"}
    assert METHODS["ddoq"].weights_of(Profile.of({"weights": 0.25})) == 0.25
    of_medoids = {name: METHODS[name].weights_of(Profile()) for name in ("d4m_medoid", "ddoq_medoid")}
    assert of_medoids == {"d4m_medoid": "uniform", "ddoq_medoid": "sqrt"}
    assert {METHODS[name].weights_of(Profile()) for name in (*names[3:], MEDOIDS[2])} == {"own"}


def test_random_real_keeps_different_training_images_of_the_right_class(store, dataset):
    made = random_real(store, dataset, PROFILE, ipc=4, distill_seed=0)
    greys = (made.images()[:, 0, 0, 0] * 255).round().long()
    assert len(set(greys.tolist())) == 12
    assert dataset.train.labels[greys].equal(made.labels)
    assert [row["source"] for row in made.metadata] == [f"train/{g}" for g in greys.tolist()]
    assert made.weights("sqrt").equal(torch.ones(12))


def test_random_real_draws_by_seed_and_a_larger_set_keeps_the_smaller_one(store, dataset):
    def kept(ipc, seed):
        made = random_real(store, dataset, PROFILE, ipc=ipc, distill_seed=seed)
        return [{row["source"] for row in made.metadata if row["label"] == c} for c in range(3)]

    assert all(small <= large for small, large in zip(kept(2, 0), kept(4, 0), strict=True))
    assert kept(2, 0) != kept(2, 1)


def test_more_images_than_a_class_has_are_refused_by_its_name(store, dataset):
    with pytest.raises(InputError, match=r'ipc = 5, but class 1 \("bee eater", n02\) has 4 training images; lower ipc'):
        random_real(store, dataset, PROFILE, ipc=5, distill_seed=0)


def test_random_real_asks_a_run_for_nothing_but_its_data(store, dataset):
    run = stand_in(MethodRun, profile=PROFILE, store=store, dataset=dataset)
    assert METHODS["random_real"].distill(run, 1, 0).ipc == 1


def test_the_whole_data_set_is_torchvisions_weights_where_the_teacher_has_them(store, dataset, monkeypatch):
    from ddoq_core.methods import full as module

    asked, made = [], stand_in(Artifact)
    monkeypatch.setattr(module, "teacher", lambda store, data, profile: asked.append(profile.teacher) or made)
    monkeypatch.setattr(module, "fit_classifier", lambda *arguments: asked.append(arguments[3:]) or made)
    for path in ("pretrained", ""):
        module.full(store, dataset, PROFILE.replace(teacher_path=path), "resnet50", 3)
    assert asked == ["resnet50", ("resnet50", 3)]
