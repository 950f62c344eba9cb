"""Tensors of yours as artifacts: what is stored is what was given, and what does not fit is refused."""

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.synthesize import synthesize
from ddoq_core.pipeline.tensors import store_images, store_prototypes
from ddoq_core.randomness import torch_rng

POINTS = torch.randn(3, 2, 4, 8, 8, generator=torch_rng(0, "points"))
COUNTS = torch.tensor([[7, 5], [3, 9], [0, 12]])


def test_prototypes_are_read_as_they_were_given_at_their_level_alone(store):
    made = store_prototypes(store, POINTS, COUNTS)
    points, counts = load_prototypes(made, 2)
    assert points.equal(POINTS) and counts.equal(COUNTS)
    with pytest.raises(InputError, match="no prototypes for ipc = 3"):
        load_prototypes(made, 3)


def test_prototypes_without_counts_stand_for_one_image_each(store):
    assert load_prototypes(store_prototypes(store, POINTS), 2)[1].equal(torch.ones(3, 2, dtype=torch.int64))


def test_the_same_tensors_are_one_artifact_and_others_another(store, squares):
    made = [store_prototypes(store, p, c).path for p, c in ((POINTS, COUNTS), (POINTS + 0, COUNTS), (POINTS, None))]
    assert made[0] == made[1] != made[2]
    images, labels = squares.train.images([0, 1, 2]), torch.arange(3)
    sets = [store_images(store, squares, x, labels).artifact.path for x in (images, images + 0, images / 2)]
    assert sets[0] == sets[1] != sets[2]


@pytest.mark.parametrize(
    ("points", "counts", "says"),
    [
        (POINTS, COUNTS[:2], r"counts \(2, 2\)"),
        (POINTS / 0, COUNTS, "points are not finite"),
        (POINTS, -COUNTS, ""),
        (POINTS[0], None, r"points are \(2, 4, 8, 8\)"),
    ],
    ids=["counts of two classes", "not finite", "negative", "of one class"],
)
def test_prototypes_that_are_none_are_refused(store, points, counts, says):
    with pytest.raises(InputError, match=rf"{says}.*; give finite points \(classes, K, c, h, w\) and a count >= 0"):
        store_prototypes(store, points, counts)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("points", "says"),
    [(POINTS[:2], "has 2 classes, squares has 3"), (POINTS[..., :4], r"prototypes are \(4, 8, 4\), latents of the pr")],
)
def test_prototypes_that_do_not_fit_the_data_set_or_the_prior_are_refused(store, squares, prior, tiny, points, says):
    made = store_prototypes(store, points)
    with pytest.raises(InputError, match=says):
        synthesize(store, made, prior, squares, tiny, ipc=2, distill_seed=0)


def test_images_come_class_by_class_with_their_counts_whatever_their_order(store, squares):
    rows = [5, 0, 2, 4, 3]
    images, labels = squares.train.images(rows), squares.train.labels[rows]  # classes 2, 0, 2, 1, 0
    made = store_images(store, squares, images, labels, torch.tensor([1, 2, 3, 4, 5]))
    assert made.labels.tolist() == [0, 0, 1, 2, 2] and made.counts.tolist() == [2, 5, 4, 1, 3]
    assert made.images().equal(images[[1, 4, 3, 0, 2]]) and made.classes == squares.classes
    assert made.weights("proportional").tolist() == pytest.approx([4 / 7, 10 / 7, 1, 1 / 2, 3 / 2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y, v: (x[..., :8], y, v), r"images are \(1, 16, 8\); give numbers from 0 to 1 of \(1, 16, 16\)"),
        (lambda x, y, v: (x * float("nan"), y, v), "give numbers from 0 to 1"),
        (lambda x, y, v: (x * 255, y, v), "give numbers from 0 to 1"),
        (lambda x, y, v: (x, y[:2], v), "3 images have 2 labels and 3 counts"),
        (lambda x, y, v: (x, y, v[:1]), "3 images have 3 labels and 1 counts"),
        (lambda x, y, v: (x, y.clamp(max=1), v), "an image of every class, 0 to 2"),
        (lambda x, y, v: (x, y + 1, v), "an image of every class, 0 to 2"),
    ],
)
def test_images_that_make_no_set_of_the_data_set_are_refused(store, squares, change, says):
    given = squares.train.images([0, 1, 2]), torch.arange(3), torch.ones(3, dtype=torch.int64)
    with pytest.raises(InputError, match=says):
        store_images(store, squares, *change(*given))
    assert not store.root.exists()
