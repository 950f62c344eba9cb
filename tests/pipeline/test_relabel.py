"""Soft labels: the teacher's logits of keyed views, tied to images by their checksums."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from ddoq_core.errors import InputError
from ddoq_core.methods.random_real import random_real
from ddoq_core.pipeline import relabel as module
from ddoq_core.pipeline.label_forms import label_bytes
from ddoq_core.pipeline.relabel import check_labels, relabel, stored_logits
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.pipeline.teacher import teacher as make_teacher
from ddoq_core.pipeline.views import VIEW_KNOBS, draw_views, views_of
from ddoq_core.store.artifacts import Store


@pytest.fixture(scope="module")
def profile(tiny):
    """Five epochs of mirrored, mixed views."""
    return dataclasses.replace(tiny, epochs=5, flip=True, batch_size=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory, squares, profile):
    """Nine real images, and a teacher that has hardly learnt."""
    store = Store(tmp_path_factory.mktemp("store"))
    return random_real(store, squares, profile, ipc=3, distill_seed=0), make_teacher(store, squares, profile)


def logits_of(labels, epoch):
    return stored_logits(labels, 9, 3, epoch)(torch.arange(9))


def test_a_label_is_the_teachers_logits_of_that_epochs_view(store, squares, profile, made):
    distilled, teacher = made
    labels = relabel(store, distilled, squares, teacher, profile, label_seed=1)
    network = load_teacher(teacher, "cpu")
    for epoch in range(5):
        drawn = draw_views(9, 16, 1, epoch, **profile.subset(*VIEW_KNOBS))
        view = views_of(distilled.pixels(), drawn, torch.arange(9))
        with torch.no_grad():
            expected = network(squares.normalise(view))
        torch.testing.assert_close(logits_of(labels, epoch).float(), expected, atol=2e-3, rtol=2e-3)


def test_fewer_labelled_epochs_are_the_first_ones(tmp_path, squares, profile, made):
    whole = relabel(Store(tmp_path), made[0], squares, made[1], profile, label_seed=0)
    few = profile.replace(label_epochs=2)
    labels = relabel(Store(tmp_path), made[0], squares, made[1], few, label_seed=0)
    assert labels.manifest["parameters"]["epochs"] == 2
    assert all(logits_of(labels, epoch).equal(logits_of(whole, epoch)) for epoch in range(2))
    check_labels(labels, made[0], few, 0)
    with pytest.raises(InputError, match="end after 2 epochs of 5"):
        check_labels(labels, made[0], profile, 0)


def test_labels_do_not_depend_on_the_students_batch_size(tmp_path, squares, profile, made, contents):
    a, b = (
        relabel(Store(tmp_path / str(n)), made[0], squares, made[1], profile.replace(batch_size=n), label_seed=0)
        for n in (2, 9)
    )
    assert contents(a) == contents(b)


def test_labels_do_not_depend_on_the_number_of_threads(tmp_path, squares, profile, made, contents, monkeypatch):
    monkeypatch.setattr(module, "FILE_EPOCHS", 1)
    a, b = (
        relabel(Store(tmp_path / str(n)), made[0], squares, made[1], profile.replace(threads=n), label_seed=0)
        for n in (1, 3)
    )
    assert contents(a) == contents(b)


def test_another_piece_gives_the_same_draws_and_values_equal_to_rounding(tmp_path, squares, profile, made, monkeypatch):
    a = relabel(Store(tmp_path / "a"), made[0], squares, made[1], profile, label_seed=0)
    monkeypatch.setattr(module, "PIECE", 4)
    b = relabel(Store(tmp_path / "b"), made[0], squares, made[1], profile, label_seed=0)
    torch.testing.assert_close(logits_of(a, 3).float(), logits_of(b, 3).float(), atol=2e-3, rtol=2e-3)


def test_label_seeds_and_epochs_have_their_own_views(store, squares, profile, made):
    a, b = (relabel(store, made[0], squares, made[1], profile, label_seed=seed) for seed in (0, 1))
    assert not logits_of(a, 0).equal(logits_of(b, 0)) and not logits_of(a, 0).equal(logits_of(a, 1))


def test_an_interrupted_relabelling_ends_with_the_same_bytes(tmp_path, squares, profile, made, contents, monkeypatch):
    monkeypatch.setattr(module, "FILE_EPOCHS", 2)
    whole = relabel(Store(tmp_path / "whole"), made[0], squares, made[1], profile, label_seed=0)

    def killed(*arguments, seen=[], whole=module._epoch_logits):  # noqa: B006
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    store = Store(tmp_path / "broken")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_epoch_logits", killed)
        relabel(store, made[0], squares, made[1], profile, label_seed=0)
    assert contents(relabel(store, made[0], squares, made[1], profile, label_seed=0)) == contents(whole)


@pytest.mark.parametrize(("room", "epochs"), [(2 * 54 + 53, [2, 2, 1]), (1, [1, 1, 1, 1, 1])])
def test_a_file_holds_the_epochs_that_fit_in_it_and_one_at_least(
    tmp_path, store, squares, profile, made, monkeypatch, room, epochs
):
    whole = relabel(store, made[0], squares, made[1], profile, label_seed=0)
    expected = [logits_of(whole, epoch) for epoch in range(5)]
    monkeypatch.setattr(module, "FILE_BYTES", room)  # an epoch of 9 images and 3 classes takes 54 bytes in float16
    labels = relabel(Store(tmp_path / "small"), made[0], squares, made[1], profile, label_seed=0)
    files = sorted(labels.path.glob("epochs*.safetensors"))
    assert [len(load_file(file)["logits"]) for file in files] == epochs
    assert all(logits_of(labels, epoch).equal(expected[epoch]) for epoch in range(5))


def test_labels_of_other_images_or_other_views_are_refused(store, squares, profile, made):
    labels = relabel(store, made[0], squares, made[1], profile, label_seed=0)
    check_labels(labels, made[0], profile, 0)
    check_labels(labels, made[0], profile.replace(epochs=2, batch_size=7), 0)
    with pytest.raises(InputError, match="end after 5 epochs of 6"):
        check_labels(labels, made[0], profile.replace(epochs=6), 0)
    with pytest.raises(InputError, match=r"crop_scale = 0\.5, not 0\.9"):
        check_labels(labels, made[0], profile.replace(crop_scale=0.9), 0)
    with pytest.raises(InputError, match="label_seed"):
        check_labels(labels, made[0], profile, 1)
    other = random_real(store, squares, profile, ipc=3, distill_seed=1)
    with pytest.raises(InputError, match="other images"):
        check_labels(labels, other, profile, 0)


def test_the_papers_labels_take_6_30_60_and_120_gigabytes():
    sizes = [label_bytes(1000 * ipc, 1000, 300) / 1e9 for ipc in (10, 50, 100, 200)]
    assert sizes == [6, 30, 60, 120]


def test_labels_that_will_not_fit_are_refused_before_one_is_written(store, squares, profile, made, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(InputError, match=r"the disk of .* has 0.0 GB left; set soft_labels=online"):
        relabel(store, *made[:1], squares, made[1], profile, label_seed=3)
    assert not list(store.root.rglob("epochs*.safetensors"))


def test_many_labels_are_announced(store, squares, profile, made, monkeypatch, capsys):
    monkeypatch.setattr(module, "MUCH", 100)
    relabel(store, made[0], squares, made[1], profile, label_seed=4)
    assert "ddoq: soft labels: 0.0 GB to write to " in capsys.readouterr().err
