"""The teacher learns, resumes, is read back, and takes weights that fit and no others."""

import base64
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline import teacher as module
from ddoq_core.pipeline.teacher import (
    accuracy,
    affine_maps,
    fit_classifier,
    load_teacher,
    moved,
    predict,
    published_comparison,
    teacher,
)
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Artifact, Store
from ddoq_core.store.checkpoints import Checkpoint

from ..stand_ins import stand_in

DATA = os.environ.get("DDOQ_DATA")


@pytest.fixture(scope="module")
def taught(tmp_path_factory, squares, tiny):
    return teacher(Store(tmp_path_factory.mktemp("store")), squares, tiny.replace(teacher_epochs=25))


def test_it_learns_what_can_be_learnt(taught):
    metrics = taught.json("metrics.json")
    assert metrics["top1"] == metrics["validation_top1"] == 100
    assert metrics["n_test"] == 18


def test_the_network_read_back_scores_what_the_metrics_say(taught, squares):
    network = load_teacher(taught)
    assert not network.training
    found = accuracy(predict(network, squares, squares.test), squares.test.labels)
    metrics = taught.json("metrics.json")
    assert {k: metrics[k] for k in found} == found


def test_hits_are_a_bit_set_in_image_order():
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2])
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 2, 3, 0, 5, 0, 1, 1]), 6).float()
    found = accuracy(logits, labels)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(found["hits"]), np.uint8))[: found["n_test"]]
    assert bits.tolist() == [1, 0, 1, 1, 0, 1, 1, 1, 0]
    assert found["top1"] == pytest.approx(100 * 6 / 9)


def test_with_fewer_than_five_classes_top5_is_certain():
    assert accuracy(torch.randn(7, 3, generator=torch_rng(0, "t")), torch.zeros(7).long())["top5"] == 100


def test_an_interrupted_teacher_ends_with_the_same_bytes(tmp_path, squares, tiny, contents, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    whole = teacher(Store(tmp_path / "whole"), squares, tiny)
    save = Checkpoint.write

    def save_then_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        teacher(Store(tmp_path / "cut"), squares, tiny)
    monkeypatch.setattr(Checkpoint, "write", save)
    assert contents(teacher(Store(tmp_path / "cut"), squares, tiny)) == contents(whole)


def test_repetitions_differ_and_the_global_generator_is_left_alone(store, squares, tiny):
    before = torch.random.get_rng_state()
    a, b = (fit_classifier(store, squares, tiny, "convnet-4", seed) for seed in (0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    states = [safetensors.torch.load_file(x.path / "model.safetensors") for x in (a, b)]
    assert not torch.equal(states[0]["classifier.weight"], states[1]["classifier.weight"])


def test_without_validation_images_there_is_no_validation_accuracy(store, squares, tiny):
    nothing = squares.validation.subset(torch.tensor([], dtype=torch.int64))
    metrics = teacher(store, replace(squares, validation=nothing), tiny).json("metrics.json")
    assert metrics["validation_top1"] is None and 0 <= metrics["top1"] <= 100


def test_digits_are_mirrored_only_if_the_profile_says_so():
    images = torch.rand(64, 1, 16, 16, generator=torch_rng(0, "images"))
    for flip in (False, True):
        maps = affine_maps(64, flip, numpy_rng(0, "test"))
        assert (maps[:, 0, 0] < 0).any() == flip
        assert moved(images, maps).shape == images.shape
    still = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]).repeat(64, 1, 1)
    torch.testing.assert_close(moved(images, still), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_your_state_dict_is_taken_as_it_is(tmp_path, store, squares, tiny, suffix):
    state = make_network("convnet-8", 3, 1, 16, torch_rng(7, "mine")).state_dict()
    path = tmp_path / f"mine{suffix}"
    safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    mine = load_teacher(teacher(store, squares, tiny.replace(teacher_path=str(path)))).state_dict()
    assert all(torch.equal(mine[k], state[k]) for k in state)


class _Evil:
    """What an unpickled file could run."""

    def __reduce__(self):
        return (print, ("ran",))


def test_a_file_that_would_run_code_is_refused(tmp_path, store, squares, tiny, capsys):
    torch.save({"weight": _Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil.pt is not a state dict"):
        teacher(store, squares, tiny.replace(teacher_path=str(tmp_path / "evil.pt")))
    assert "ran" not in capsys.readouterr().out


def test_weights_that_do_not_fit_or_are_not_there_are_errors(tmp_path, store, squares, tiny):
    with pytest.raises(InputError, match=r"no file .*gone.pt; set teacher_path"):
        teacher(store, squares, tiny.replace(teacher_path=str(tmp_path / "gone.pt")))
    torch.save(make_network("convnet-4", 3, 1, 16, torch_rng(0, "t")).state_dict(), tmp_path / "small.pt")
    with pytest.raises(InputError, match=r"small.pt does not fit convnet-8 with 3 classes"):
        teacher(store, squares, tiny.replace(teacher_path=str(tmp_path / "small.pt")))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list.pt is not a state dict of tensors"):
        teacher(store, squares, tiny.replace(teacher_path=str(tmp_path / "list.pt")))
    with pytest.raises(
        InputError, match=r"pretrained needs a classifier of torchvision .* but class 0 is not one of them"
    ):
        teacher(store, squares, tiny.replace(teacher="resnet18", teacher_path="pretrained"))


def test_pretrained_weights_of_a_part_of_imagenet_keep_its_rows_of_the_last_layer(squares, monkeypatch):
    full = {"layer.weight": torch.randn(5, 3), "fc.weight": torch.randn(1000, 4), "n": torch.tensor(3)}
    asked = []
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(get_state_dict=lambda **how: asked.append(how) or full))
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: weights)
    classes = ["n01440764", "n02102040", "n03888257"]  # tench, English springer, parachute
    data = replace(squares, class_ids=classes, mean=module.IMAGENET_MEAN)
    last = torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 5, bias=False), "fc": torch.nn.Linear(4, 3, bias=False)})
    state = module._rows_of_classes(module._torchvision_weights(data, "resnet18"), last, data)
    assert torch.equal(state["fc.weight"], full["fc.weight"][[0, 217, 701]])
    assert state["layer.weight"] is full["layer.weight"] and state["n"] is full["n"]
    assert asked == [{"check_hash": True, "weights_only": True}]


def photograph_classes(squares, n: int):
    """The squares in colour, three classes known by wnids; and the state dict of a squeezenet of n classes."""
    parts = {
        name: replace(split, pixels=split.pixels.expand(-1, 3, -1, -1).repeat(1, 1, 4, 4), image_size=64)
        for name, split in (("train", squares.train), ("validation", squares.validation), ("test", squares.test))
    }
    classes = ["n01440764", "n02102040", "n03888257"]
    data = replace(squares, **parts, class_ids=classes, channels=3, image_size=64, mean=(0.2,) * 3, std=(0.25,) * 3)
    return data, make_network("squeezenet1_0", n, 3, 64, torch_rng(3, "given")).state_dict()


def test_a_state_dict_of_all_thousand_classes_gives_the_rows_of_some(tmp_path, store, squares, tiny):
    data, state = photograph_classes(squares, 1000)
    safetensors.torch.save_file(state, tmp_path / "all.safetensors")
    profile = tiny.replace(teacher="squeezenet1_0", teacher_path=str(tmp_path / "all.safetensors"))
    found = load_teacher(teacher(store, data, profile)).state_dict()
    for name, tensor in found.items():
        expected = state[name][[0, 217, 701]] if name.startswith("classifier.1.") else state[name]
        assert torch.equal(tensor, expected), name


@torch.no_grad()
def test_a_teacher_of_other_means_sees_what_its_weights_have_seen(tmp_path, store, squares, tiny):
    data, state = photograph_classes(squares, 3)
    safetensors.torch.save_file(state, tmp_path / "three.safetensors")
    profile = tiny.replace(teacher="squeezenet1_0", teacher_path=str(tmp_path / "three.safetensors"))
    bare = load_teacher(teacher(store, data, profile))
    images = data.test.images([0, 7])
    for name, (mean, std) in module.NORMALISATIONS.items():
        own = teacher(store, data, profile.replace(teacher_normalisation=name))
        mean, std = (torch.tensor(v)[:, None, None] for v in (mean, std))
        found = load_teacher(own)(data.normalise(images))
        torch.testing.assert_close(found, bare((images - mean) / std), rtol=0, atol=1e-4)
        assert (found - bare(data.normalise(images))).abs().max() > 1e-3
        logits = predict(load_teacher(own), data, data.test)
        assert own.json("metrics.json")["top1"] == accuracy(logits, data.test.labels)["top1"]


@pytest.mark.skipif(not DATA, reason="DDOQ_DATA names no folder with weights and photographs")
def test_a_teacher_of_imagenet_recognises_validation_photographs_at_128_pixels(squares, tiny):
    """ImageNet's validation images in the test part, which it was not trained on; 90.8 % of all 500 of both parts."""
    root, weights = Path(DATA) / "data" / "imagenette160" / "val", Path(DATA) / "weights"
    classes = sorted(folder.name for folder in root.iterdir())
    files = [file for c in classes for file in sorted((root / c).glob("ILSVRC2012_val_*"))]
    labels = torch.tensor([classes.index(file.parent.name) for file in files])
    split = Split(labels, [file.name for file in files], files, 128)
    data = replace(
        squares, test=split, class_ids=classes, channels=3, image_size=128,
        mean=module.IMAGENET_MEAN, std=module.IMAGENET_STD,
    )  # fmt: skip
    whole, ten = (weights / f"squeezenet1_0_{name}.safetensors" for name in ("imagenet1k", "imagenette"))
    profile = tiny.replace(teacher="squeezenet1_0", teacher_path=str(whole))
    network = module._given_weights(data, profile)
    known = safetensors.torch.load_file(ten)
    assert all(torch.equal(tensor, known[name].to(tensor)) for name, tensor in network.state_dict().items())
    found = accuracy(predict(network, data, split), labels)
    assert found["n_test"] == 134 and abs(found["top1"] - 90.8) < 7.5  # three standard errors of 134 images


def scored(top1: float, n: int = 50_000) -> Artifact:
    """A teacher's artifact of which only the score is known."""
    return stand_in(Artifact, json=lambda name: {"top1": top1, "n_test": n})


IMAGENET = Profile(teacher="resnet18", teacher_path="pretrained", image_size=224, test_crop=0.875)


def test_the_accuracy_that_torchvision_publishes_is_asked_for_and_met_or_not():
    data = stand_in(Dataset, n_classes=1000)
    line = published_comparison(scored(69.76), data, IMAGENET)
    assert line.startswith("top-1 69.76 %, and 69.76 % published by torchvision")
    with pytest.raises(InputError, match=r"top-1 68\.40 %, and 69\.76 %.* differ by more than 0\.1"):
        published_comparison(scored(68.4), data, IMAGENET)


@pytest.mark.parametrize(
    ("change", "n", "words"),
    [
        ({"test_crop": 0.0}, 50_000, "test_crop = 0.0, but torchvision scored"),
        ({"image_size": 160}, 50_000, "image_size = 160, but torchvision scored"),
        ({"teacher": "resnet50"}, 50_000, "test_crop = 0.875, but torchvision scored .* at 0.9655"),
        ({"teacher_path": ""}, 50_000, "set teacher_path=pretrained"),
        ({}, 500, "1000 classes and 500 test images, but torchvision scored its weights on the 50,000"),
    ],
)
def test_an_accuracy_of_other_images_is_not_compared_with_the_published_one(change, n, words):
    with pytest.raises(InputError, match=words):
        published_comparison(scored(69.76, n), stand_in(Dataset, n_classes=1000), IMAGENET.replace(**change))
