"""Students: the weighted loss, the schedules, and a run that always ends with the same bytes."""

import base64
import dataclasses
import itertools

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ddoq_core.data.image_files import resized
from ddoq_core.errors import InputError
from ddoq_core.methods.random_real import random_real
from ddoq_core.networks.classifiers import make_network
from ddoq_core.networks.fitting import initialised
from ddoq_core.pipeline import fit_student
from ddoq_core.pipeline import lessons as lesson_module
from ddoq_core.pipeline import train_student as module
from ddoq_core.pipeline.fit_student import rate, weighted_kl
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.pipeline.relabel import relabel
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.pipeline.teacher import teacher as make_teacher
from ddoq_core.pipeline.train_student import train
from ddoq_core.pipeline.views import VIEW_KNOBS, draw_views, mixed, views_of
from ddoq_core.randomness import torch_rng
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Store


def distributions(name, n=6, classes=5):
    return torch.randn(n, classes, generator=torch_rng(0, name)).log_softmax(1)


# ---- the loss


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_loss_is_the_weighted_mean_of_the_divergence_in_its_direction(direction):
    logits, log_p, w = (
        3 * distributions("student"),
        distributions("teacher"),
        torch.rand(6, generator=torch_rng(0, "w")),
    )
    p, q = torch.distributions.Categorical(logits=log_p), torch.distributions.Categorical(logits=logits / 4)
    expected = torch.distributions.kl_divergence(*((p, q) if direction == "forward" else (q, p)))
    torch.testing.assert_close(weighted_kl(logits, log_p, w, 4.0, direction), (w * expected).mean())


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_loss_is_zero_with_zero_gradient_when_the_student_is_the_teacher(direction):
    logits = (20 * distributions("teacher")).requires_grad_()
    loss = weighted_kl(logits, (logits.detach() / 20).log_softmax(1), torch.ones(6), 20.0, direction)
    loss.backward()
    assert abs(loss.item()) < 1e-6 and logits.grad.abs().max() < 1e-7


def test_on_classes_the_loss_is_weighted_cross_entropy():
    logits, labels = distributions("student"), torch.tensor([0, 4, 2, 2, 1, 3])
    w = torch.rand(6, generator=torch_rng(0, "w"))
    expected = (w * F.cross_entropy(logits, labels, reduction="none")).mean()
    torch.testing.assert_close(weighted_kl(logits, F.one_hot(labels, 5).float().log(), w, 1.0, "forward"), expected)


@given(count=st.integers(1, 9))
@settings(deadline=None, derandomize=True)
def test_an_image_of_weight_n_counts_like_n_images_of_weight_one(count):
    logits, log_p = distributions("student", 1), distributions("teacher", 1)
    once = weighted_kl(logits, log_p, torch.tensor([float(count)]), 2.0, "forward")
    often = weighted_kl(logits.expand(count, -1), log_p.expand(count, -1), torch.ones(count), 2.0, "forward") * count
    torch.testing.assert_close(once, often)


# ---- the schedules


def test_the_step_schedule_is_the_papers_table_3():
    knobs = {"epochs": 300, "learning_rate": 2e-3, "lr_schedule": "step"}
    assert [rate(epoch, **knobs) for epoch in (0, 249, 250, 299)] == [2e-3, 2e-3, 5e-4, 5e-4]


def test_the_cosine_schedule_falls_from_the_rate_towards_zero():
    rates = [rate(epoch, epochs=100, learning_rate=1.0, lr_schedule="cosine") for epoch in range(100)]
    assert rates[0] == 1 and rates[50] == pytest.approx(0.5) and rates[-1] < 1e-3
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_half_a_cosine_ends_at_half_the_rate_and_a_tenth_is_left_after_half_of_the_epochs():
    half, tenth = (
        [rate(epoch, epochs=100, learning_rate=1.0, lr_schedule=name) for epoch in (0, 49, 50, 99)]
        for name in ("half-cosine", "tenth")
    )
    assert [half[0], half[2]] == pytest.approx([1, (1 + 0.5**0.5) / 2]) and half[3] == pytest.approx(0.5, abs=0.01)
    assert tenth == pytest.approx([1, 1, 0.1, 0.1])


# ---- what a student is shown


def lessons(squares, profile, weights=None):
    pixels = squares.train.images(range(9)).mul(255).to(torch.uint8)
    classes = F.one_hot(squares.train.labels[:9], 3).float()
    targets = lambda epoch, views: lambda rows, images: mixed(classes, views, rows).log()  # noqa: E731
    w = torch.ones(9) if weights is None else weights
    return Lessons(pixels, w, squares, profile, 0, targets, profile.labelled_epochs)


def test_every_image_is_shown_once_in_an_epoch_whatever_the_batch_size(squares, tiny):
    w = torch.arange(9.0)
    plain = dataclasses.replace(tiny, cutmix=False)
    shown = [list(lessons(squares, plain.replace(batch_size=b), w).batches(3)) for b in (2, 4, 9, 50)]
    whole = shown[-1][0]
    assert whole[2].sort().values.equal(w)
    for batches in shown:
        for column, expected in zip(zip(*batches, strict=True), whole, strict=True):
            assert torch.cat(column).equal(expected)


def test_labelled_epochs_are_shown_in_turn(squares, tiny):
    few = lessons(squares, tiny.replace(epochs=7, label_epochs=3))
    shown = [torch.cat([images for images, _, _ in few.batches(epoch)]) for epoch in range(7)]
    assert [shown[e].equal(shown[e % 3]) for e in range(7)] == [True] * 7
    assert not shown[0].equal(shown[1]) and not shown[1].equal(shown[2])
    every = lessons(squares, tiny.replace(epochs=7))
    assert not torch.cat([images for images, _, _ in every.batches(3)]).equal(shown[3])


def test_epochs_that_are_shown_again_are_made_once_if_they_are_small(squares, tiny, monkeypatch):
    made, draw = [], lesson_module.draw_views
    monkeypatch.setattr(lesson_module, "draw_views", lambda *key, **knobs: made.append(key[-1]) or draw(*key, **knobs))
    profile, shown = tiny.replace(epochs=7, label_epochs=3), []
    for most in (lesson_module.KEPT_BYTES, 0):
        monkeypatch.setattr(lesson_module, "KEPT_BYTES", most)
        few = lessons(squares, profile, torch.arange(9.0))
        shown.append([batch for epoch in range(7) for batch in few.batches(epoch)])
    assert made == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]  # once each, then every time
    for kept, again in zip(*shown, strict=True):
        assert all(a.equal(b) for a, b in zip(kept, again, strict=True))


def test_only_soft_labelled_students_are_shown_fewer_views(tiny):
    few = tiny.replace(epochs=7, label_epochs=3)
    assert module._knobs(few, "soft", "sqrt")["label_epochs"] == 3 and "label_epochs" not in module._knobs(
        few, "hard", 1.0
    )
    assert module._knobs(tiny, "soft", "sqrt") == module._knobs(tiny.replace(label_epochs=0), "soft", "sqrt")


def test_cutmix_mixes_the_weights_of_both_images_or_takes_that_of_the_first(squares, tiny):
    w = torch.tensor([1.0, 0, 0, 1, 0, 0, 1, 0, 0])
    for rule in ("base", "mixture"):
        ((_, _, shown),) = lessons(squares, dataclasses.replace(tiny, cutmix_weight=rule), w).batches(0)
        assert set(shown.tolist()) <= {0.0, 1.0} if rule == "base" else ((shown > 0) & (shown < 1)).any()
    ((_, _, shown),) = lessons(squares, tiny, torch.ones(9)).batches(0)
    assert shown.equal(torch.ones(9))


def test_hard_targets_of_a_mixed_image_are_probabilities_in_proportion_to_the_areas(squares, tiny):
    ((_, log_p, _),) = lessons(squares, tiny).batches(0)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(9))
    assert ((log_p.exp() > 0).sum(1) == 2).any()


# ---- whole students


@pytest.fixture(scope="module")
def profile(tiny):
    """Six epochs at a rate that learns."""
    return dataclasses.replace(tiny, epochs=6, batch_size=4, learning_rate=3e-3)


@pytest.fixture(scope="module")
def made(tmp_path_factory, squares, profile):
    """Nine real images, and a teacher."""
    store = Store(tmp_path_factory.mktemp("store"))
    return random_real(store, squares, profile, ipc=3, distill_seed=0), make_teacher(
        store, squares, profile.replace(teacher_epochs=20)
    )


def student(store, made, squares, profile, *, labels=None, target="soft", student="convnet-4", seed=0, weights="sqrt"):
    return train(
        store, made[0], squares, made[1] if target == "soft" else None, labels, profile,
        student=student, target=target, weights=weights, student_seed=seed, label_seed=0,
    )  # fmt: skip


def parameters(artifact):
    return (artifact.path / "student.safetensors").read_bytes()


@pytest.mark.parametrize("loss", ["forward", "reverse"])
def test_stored_and_online_labels_give_the_identical_student(store, made, squares, profile, loss):
    profile = profile.replace(loss=loss)
    stored = relabel(store, made[0], squares, made[1], profile, label_seed=0)
    assert parameters(student(store, made, squares, profile, labels=stored)) == parameters(
        student(store, made, squares, profile)
    )


def with_batch_statistics(name, n_classes, channels, size, rng):
    """A network whose buffers move while it trains."""
    with initialised(rng):
        layers = [nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(36, n_classes))


@pytest.mark.parametrize("target", ["soft", "hard"])
def test_a_killed_student_ends_with_the_same_bytes(tmp_path, made, squares, profile, target, contents, monkeypatch):
    monkeypatch.setattr(module, "make_network", with_batch_statistics)
    whole = student(Store(tmp_path / "whole"), made, squares, profile, target=target)
    store = Store(tmp_path / "broken")

    def killed(self, epoch, batches=Lessons.batches):
        if epoch == 4:
            raise KeyboardInterrupt
        return batches(self, epoch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "EVERY", 0)
        patch.setattr(Lessons, "batches", killed)
        student(store, made, squares, profile, target=target)
    assert list(tmp_path.glob("broken/train/*.partial/checkpoint.pt"))
    epochs = []
    monkeypatch.setattr(Lessons, "batches", lambda self, e, b=Lessons.batches: epochs.append(e) or b(self, e))
    assert contents(student(store, made, squares, profile, target=target)) == contents(whole)
    assert epochs == [4, 5]


def test_seeds_start_students_differently_and_the_same_seed_equally(tmp_path, made, squares, profile):
    a, b, c = (student(Store(tmp_path / str(i)), made, squares, profile, seed=s) for i, s in enumerate((0, 0, 1)))
    assert parameters(a) == parameters(b) != parameters(c)


def test_the_result_counts_the_test_images_that_the_student_hits(store, made, squares, profile):
    result = student(store, made, squares, profile).json("result.json")
    hits = np.unpackbits(np.frombuffer(base64.b64decode(result["hits"]), np.uint8))[: result["n_test"]]
    assert result["n_test"] == len(squares.test) and result["top1"] == pytest.approx(100 * hits.mean())
    assert result["top1"] <= result["top5"] and result["epochs"] == 6 and result["learning_rate"] == 3e-3


def test_the_test_images_influence_nothing_but_the_score(tmp_path, made, squares, profile):
    other = dataclasses.replace(squares, test=squares.validation, key="other")
    assert parameters(student(Store(tmp_path / "a"), made, squares, profile)) == parameters(
        student(Store(tmp_path / "b"), made, other, profile)
    )


def test_a_student_learns_the_squares_from_labels_of_either_kind(store, made, squares, profile):
    profile = profile.replace(epochs=60)
    for target in ("soft", "hard"):
        result = student(store, made, squares, profile, target=target, student="convnet-8").json("result.json")
        assert result["top1"] > 80, target


def test_weights_that_are_all_equal_leave_the_student_as_it_is(store, made, squares, profile):
    a, b = (student(store, made, squares, profile, weights=scheme) for scheme in ("uniform", "sqrt"))
    assert parameters(a) == parameters(b)


def test_knobs_that_do_not_shape_a_student_leave_its_key_alone(store, made, squares, profile):
    hard = student(store, made, squares, profile, target="hard", weights="uniform")
    other = profile.replace(temperature=3, loss="reverse", cutmix_weight="base", guidance_scale=5, threads=2)
    assert student(store, made, squares, other, target="hard", weights="uniform").key == hard.key
    assert student(store, made, squares, other).key != student(store, made, squares, profile).key


def test_an_unknown_student_is_refused_with_the_nearest_name(store, made, squares, profile):
    with pytest.raises(InputError, match="resnet18"):
        student(store, made, squares, profile, student="resnet-18")


def test_matrices_and_kernels_decay_and_biases_and_norms_do_not():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(2, 2), nn.Linear(2, 2))
    decayed, others = fit_student._groups(network, 0.01)
    assert [p.shape for p in decayed["params"]] == [network[0].weight.shape, network[2].weight.shape]
    assert len(others["params"]) == 4 and others["weight_decay"] == 0


def test_a_batch_in_parts_takes_the_steps_of_the_whole_batch(tmp_path, made, squares, profile):
    """On a network without batch statistics; parts of unequal size weigh by their images."""
    profile = profile.replace(batch_size=7)
    whole, parts = (
        student(Store(tmp_path / str(n)), made, squares, profile.replace(accumulate=n), target="hard") for n in (1, 3)
    )
    assert whole.key != parts.key
    torch.testing.assert_close(logits_of(parts, squares), logits_of(whole, squares), rtol=0, atol=5e-3)


def logits_of(artifact, squares):
    """A student's logits of the test images. (A bias before a norm has no gradient but noise, which Adam blows up.)"""
    network = make_network("convnet-4", 3, 1, 16, torch_rng(0, "replaced"))
    network.load_state_dict(safetensors.torch.load_file(artifact.path / "student.safetensors"))
    with torch.no_grad():
        return network.eval()(squares.normalise(squares.test.images(range(18))))


def test_a_student_in_mixed_precision_learns_what_one_in_full_precision_learns(store, made, squares, profile):
    full, mixed = (
        student(store, made, squares, profile.replace(training_precision=p)) for p in ("float32", "bfloat16")
    )
    held = safetensors.torch.load_file(mixed.path / "student.safetensors")
    assert all(value.dtype == torch.float32 for value in held.values())
    assert parameters(full) != parameters(mixed)
    torch.testing.assert_close(logits_of(mixed, squares), logits_of(full, squares), rtol=0, atol=0.1)


@pytest.mark.parametrize("soft_labels", ["stored", "online"])
def test_a_student_sees_the_teachers_view_at_its_own_size(store, made, squares, profile, soft_labels, monkeypatch):
    """Students of 8 pixels, a teacher of 16: the batch is the shrunk view whose label is the teacher's of the whole."""
    small, shown, labelled = profile.replace(image_size=8, teacher_size=16), [], []

    def noted(self, epoch, batches=Lessons.batches):
        for batch in batches(self, epoch):
            shown.append(batch)
            yield batch

    monkeypatch.setattr(Lessons, "batches", noted)
    labels = relabel(store, made[0], squares, made[1], small, label_seed=0) if soft_labels == "stored" else None
    found = student(store, made, squares, small, labels=labels)
    weights = safetensors.torch.load_file(found.path / "student.safetensors")
    assert weights["classifier.weight"].shape[1] == 4  # 4 channels of one pixel: three halvings of 8
    drawn = draw_views(len(made[0]), 16, 0, 0, **small.subset(*VIEW_KNOBS))
    whole = views_of(made[0].pixels(), drawn, drawn.order)
    torch.testing.assert_close(shown[0][0], squares.normalise(resized(whole, 8))[: len(shown[0][0])])
    with torch.no_grad():
        labelled = (load_teacher(made[1])(squares.normalise(whole)).half().float() / small.temperature).log_softmax(1)
    torch.testing.assert_close(shown[0][1], labelled[: len(shown[0][1])], rtol=0, atol=1e-3)
