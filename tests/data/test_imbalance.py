"""The law that is distilled: how many images of each class are kept, and which classes are merged."""

import numpy as np
import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.data.imbalance import masses, merged, population
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError

ZIPF = Profile(superclasses=2, train_size=1000, zipf=2.0)


@pytest.fixture(scope="module")
def digits():
    return load_dataset(Profile())


def test_masses_are_powers_of_the_rank_and_sum_to_1_within_each_super_class():
    found = masses(10, 2, 1.5, seed=0)
    wanted = np.arange(1, 6) ** -1.5
    for group in (found[::2], found[1::2]):
        np.testing.assert_allclose(np.sort(group)[::-1], wanted / wanted.sum(), rtol=1e-12)


def test_exponent_0_gives_equal_masses_and_no_super_class_gives_every_class_its_own():
    np.testing.assert_allclose(masses(10, 2, 0.0, seed=0), 0.2)
    np.testing.assert_allclose(masses(10, 0, 2.0, seed=0), 1.0)


def test_the_order_of_the_masses_is_drawn_by_the_seed():
    assert not np.array_equal(masses(10, 2, 1.0, seed=0), masses(10, 2, 1.0, seed=1))


def test_kept_images_are_in_proportion_to_the_masses():
    labels = torch.arange(10).repeat_interleave(400)
    kept = population(labels, ZIPF)
    shares = torch.bincount(labels[kept]).numpy() / 1000
    np.testing.assert_allclose(shares, masses(10, 2, 2.0, seed=0) / 2, atol=1e-3)
    assert kept.equal(kept.unique())


def test_train_size_alone_keeps_every_class_in_proportion():
    labels = torch.tensor([0] * 300 + [1] * 100)
    assert torch.bincount(labels[population(labels, Profile(train_size=40))]).tolist() == [30, 10]


def test_without_train_size_all_images_are_kept():
    assert population(torch.arange(7), Profile()).tolist() == list(range(7))


def test_a_class_that_has_too_few_images_is_named():
    with pytest.raises(InputError, match=r"train_size = 1000 needs 342 images of class \d, which has 300; lower"):
        population(torch.arange(10).repeat_interleave(300), ZIPF)


def test_zipf_without_a_number_of_images_is_refused():
    with pytest.raises(InputError, match="set train_size"):
        population(torch.arange(10), Profile(superclasses=2, zipf=1.0))


def test_super_classes_merge_labels_names_and_prompts_and_keep_every_image(digits):
    even_odd = merged(digits, 2)
    assert even_odd.class_names == ["zero two four six eight", "one three five seven nine"]
    assert even_odd.test.labels.equal(digits.test.labels % 2)
    assert even_odd.test.ids == digits.test.ids
    assert even_odd.train.parts.equal(digits.train.labels)
    odd = even_odd.train.of_class(1)
    assert even_odd.train.subset(odd).parts_of_class(1).equal(digits.train.labels[odd])
    assert digits.train.parts_of_class(1) is None
    assert even_odd.key != digits.key
    with pytest.raises(InputError, match="superclasses = 10, but mnist5k has 10 classes"):
        merged(digits, 10)


def test_the_test_images_are_those_of_the_whole_data_set_whatever_is_kept(digits):
    assert load_dataset(ZIPF).test.ids == digits.test.ids


def test_the_key_of_a_data_set_names_its_population(digits):
    keys = {load_dataset(ZIPF.replace(zipf=s)).key for s in (0.0, 1.0)} | {load_dataset(Profile(superclasses=2)).key}
    assert len(keys | {digits.key}) == 4
