"""RDED: the crops that the teacher takes for their class most surely, in the stated order."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.methods import rded as module
from ddoq_core.methods.method import MethodRun, SetSize
from ddoq_core.methods.rded import _scored, best_crops, cut_out, random_squares, rded, teacher_losses, tiled
from ddoq_core.pipeline.distilled import write_image
from ddoq_core.randomness import numpy_rng
from ddoq_core.store.artifacts import Artifact, Store

from ..stand_ins import stand_in

SIZE, SIZES = 8, [12, 9]
PROFILE = Profile.of({"image_size": SIZE, "rded_crops": 3, "rded_images": 12, "threads": 1})
TEACHER = Artifact(Path(), "teacher", "bright", "bright")


class Bright(torch.nn.Module):
    """Class 0 is bright, class 1 is dark: logits (z, -z) of the mean z, so the loss of class 0 is softplus(-2 z)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        z = images.mean((1, 2, 3))
        return torch.stack([z, -z], 1)


@pytest.fixture(autouse=True)
def bright(monkeypatch):
    """The teacher is a network whose losses are known."""
    monkeypatch.setattr(module, "load_teacher", lambda artifact, device: Bright())


def greys(labels: torch.Tensor, part: str) -> Split:
    """Images of one grey each: a crop of one has its colour, and says where it comes from."""
    level = torch.arange(len(labels)) * 10
    pixels = level.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE).contiguous()
    return Split(labels, [f"{part}/{i}" for i in range(len(labels))], pixels, SIZE)


def noise(labels: torch.Tensor, part: str) -> Split:
    """Images of noise: no two crops are equal."""
    rng = numpy_rng(0, "test", part)
    pixels = torch.from_numpy(rng.integers(0, 256, (len(labels), 1, SIZE, SIZE), dtype="uint8"))
    return Split(labels, [f"{part}/{i}" for i in range(len(labels))], pixels, SIZE)


def dataset_of(make) -> Dataset:
    labels = torch.arange(2).repeat_interleave(torch.tensor(SIZES))
    return Dataset(
        "greys", make(labels, "train"), make(labels, "validation"), make(labels, "test"), class_ids=["n01", "n02"],
        class_names=["bright", "dark"], prompts=["a", "b"], image_size=SIZE, channels=1, mean=(0.4,), std=(0.2,),
        key="greys",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store(tmp_path, say=lambda text: None)


def made(store, dataset, ipc=2, seed=0, **knobs):
    return rded(store, dataset, TEACHER, PROFILE.replace(**knobs), ipc=ipc, distill_seed=seed)


def contents(distilled) -> dict[str, bytes]:
    files = sorted(p for p in distilled.artifact.path.rglob("*") if p.is_file() and p.name != "run.json")
    return {str(p.relative_to(distilled.artifact.path)): p.read_bytes() for p in files}


def test_the_crops_of_lowest_loss_are_kept_best_first(store):
    kept = made(store, dataset_of(greys), ipc=3)
    levels = (kept.images()[:, 0, 0, 0] * 255 / 10).round().int().tolist()
    assert levels == [11, 10, 9, 12, 13, 14]  # the brightest of class 0, the darkest of class 1
    assert [row["source"] for row in kept.metadata] == [f"train/{i}" for i in levels]
    assert kept.weights("sqrt").equal(torch.ones(6))


def test_of_every_image_the_best_of_its_crops_competes(store):
    data, profile = dataset_of(noise), PROFILE.replace(rded_factor=2)
    rows = best_crops(store, data, TEACHER, profile, distill_seed=0).jsonl("class00000.jsonl")
    rng = numpy_rng(profile.seed, "rded", 0, 0)
    drawn = rng.permutation(SIZES[0])
    squares = random_squares(rng, len(drawn), profile.rded_crops, SIZE, module.SMALLEST_CROP)
    expected = {}
    for i, of_image in zip(drawn.tolist(), squares, strict=True):
        image = data.train.images([i])
        losses = [float(teacher_losses(Bright(), data, cut_out(image, at[None], SIZE // 2), 0)) for at in of_image]
        expected[f"train/{i}"] = min(losses)
    assert [row["source"] for row in rows] == sorted(expected, key=expected.get)
    assert [row["loss"] for row in rows] == pytest.approx(sorted(expected.values()), abs=1e-5)


def test_a_crop_is_scored_in_the_middle_of_zeros_and_by_its_own_class():
    data = dataset_of(noise)
    crop = torch.full((1, 1, 4, 4), 0.8)
    z = torch.tensor((0.8 - 0.4) / 0.2 / 4)  # a quarter of the picture is not zero
    for label, sign in ((0, -1), (1, 1)):
        loss = F.softplus(sign * 2 * z).item()
        assert teacher_losses(Bright(), data, crop, label).item() == pytest.approx(loss, rel=1e-5)


def test_a_collage_takes_every_kth_crop_row_by_row(store):
    crops = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 2, 2)
    first, second = tiled(crops, 2)
    assert first[0, ::2, ::2].tolist() == [[0, 2], [4, 6]]
    assert second[0, ::2, ::2].tolist() == [[1, 3], [5, 7]]
    kept = made(store, dataset_of(greys), ipc=2, rded_factor=2)
    corners = (kept.images()[:, 0, :: SIZE // 2, :: SIZE // 2] * 255 / 10).round().int().tolist()
    assert corners[0] == [[11, 9], [7, 5]]
    assert corners[1] == [[10, 8], [6, 4]]
    assert corners[2] == [[12, 14], [16, 18]]
    assert "source" not in kept.metadata[0]


def test_squares_lie_in_the_image_and_have_the_asked_for_areas():
    top, left, side = random_squares(numpy_rng(0, "test", "area"), 200, 5, 32, 0.25).flatten(0, 1).unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + side <= 32).all()
    assert (left + side <= 32).all()
    assert side.min() == 16
    assert side.max() == 32


def test_every_crop_comes_from_a_training_image_of_its_class(store):
    data = dataset_of(noise)
    kept, crops = made(store, data, ipc=4), best_crops(store, data, TEACHER, PROFILE, distill_seed=0)
    labels = {name: int(label) for name, label in zip(data.train.ids, data.train.labels, strict=True)}
    assert all(labels[row["source"]] == row["label"] for row in kept.metadata)
    for image, row in zip(kept.images(), kept.metadata, strict=True):
        (crop,) = (r for r in crops.jsonl(f"class{row['label']:05d}.jsonl") if r["source"] == row["source"])
        original = data.train.images([data.train.ids.index(row["source"])])
        square = torch.tensor([[crop["top"], crop["left"], crop["side"]]])
        torch.testing.assert_close(image, cut_out(original, square, SIZE)[0], atol=0.5 / 255 + 1e-5, rtol=0)


def test_a_larger_set_keeps_the_smaller_one_and_a_seed_draws_another(store):
    data = dataset_of(noise)

    def sources(ipc, seed):
        kept = made(store, data, ipc, seed)
        return [[row["source"] for row in kept.metadata if row["label"] == c] for c in range(2)]

    assert [of_class[:2] for of_class in sources(5, 0)] == sources(2, 0)
    assert sources(2, 0) != sources(2, 1)


def test_the_teacher_scores_once_for_all_numbers_of_images(store, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "load_teacher", lambda artifact, device: asked.append(device) or Bright())
    for ipc in (1, 2, 5):
        made(store, dataset_of(noise), ipc)
    assert len(asked) == 1


@pytest.mark.parametrize("factor", [1, 2])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, factor):
    data = dataset_of(noise)
    whole = made(Store(tmp_path / "whole"), data, rded_factor=factor)
    written, scored = [], []

    def interrupted(work, label, item, image):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append((label, item))
        write_image(work, label, item, image)

    def scoring(network, dataset, profile, label, *rest):
        scored.append(label)
        if scored == [0, 1]:
            raise KeyboardInterrupt
        return _scored(network, dataset, profile, label, *rest)

    monkeypatch.setattr(module, "_scored", scoring)
    monkeypatch.setattr(module, "write_image", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            made(Store(tmp_path / "cut"), data, rded_factor=factor)
    monkeypatch.setattr(module, "write_image", write_image)
    assert contents(made(Store(tmp_path / "cut"), data, rded_factor=factor)) == contents(whole)
    assert scored == [0, 1, 1]
    assert written == [(0, 0), (0, 1), (1, 0)]


def test_nothing_depends_on_the_test_or_the_validation_images(tmp_path):
    data = dataset_of(noise)
    wrong = Split(1 - data.test.labels, data.test.ids, 255 - data.test.pixels, SIZE)
    poisoned = dataclasses.replace(data, test=wrong, validation=wrong)
    clean = made(Store(tmp_path / "clean"), data)
    assert contents(made(Store(tmp_path / "poisoned"), poisoned)) == contents(clean)
    (key,) = {path.name for path in tmp_path.glob("*/rded_crops/*")}
    files = [(tmp_path / which / "rded_crops" / key / "manifest.json").read_bytes() for which in ("clean", "poisoned")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("ipc", "knobs", "message"),
    [
        (10, {}, r'ipc = 10, but class 1 \("dark", n02\) has 9 training images; lower ipc or drop the class'),
        (
            3,
            {"rded_factor": 2},
            r'ipc = 3 with rded_factor = 2 takes 12 crops, but class 1 \("dark", n02\) has 9 training images; '
            r"lower ipc or rded_factor or drop the class",
        ),
        (1, {"rded_factor": 3}, r"rded_factor = 3 does not divide images of 8 pixels; change rded_factor"),
        (4, {"rded_images": 3}, r"ipc = 4, but rded_images = 3; raise rded_images or lower ipc"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_mend(store, ipc, knobs, message):
    with pytest.raises(InputError, match=message):
        made(store, dataset_of(greys), ipc, **knobs)


def test_a_run_is_asked_for_nothing_but_its_data_and_teacher(store):
    run = stand_in(MethodRun, profile=PROFILE, store=store, dataset=dataset_of(greys), teacher=TEACHER)
    assert METHODS["rded"].distill(run, 1, 0).ipc == 1


@pytest.mark.parametrize(
    ("ipc", "classes", "batch"),
    [(1, 10, 10), (2, 10, 10), (10, 10, 50), (20, 10, 50), (50, 10, 100), (10, 1000, 100), (50, 100, 200), (1, 5, 5)],
)
def test_the_batch_of_its_own_training_is_the_published_one_for_its_images_per_class(ipc, classes, batch):
    known = SetSize(ipc, classes)
    target, changes = METHODS["rded"].protocol(PROFILE, known)
    assert (target, changes["batch_size"]) == ("soft", batch)
    assert PROFILE.replace(**changes).lr_schedule == "half-cosine" and changes["epochs"] == 3 * PROFILE.epochs <= 300
    assert METHODS["rded"].protocol(PROFILE.replace(rded_factor=2), known)[1]["crop_scale"] == 0.5


@pytest.mark.parametrize("name", ["imagenet", "imagenette", "table"])
def test_its_own_training_has_the_published_300_epochs_in_the_profiles_that_are_meant_for_results(name):
    assert METHODS["rded"].protocol(Profile.load(name), SetSize(10, 10))[1]["epochs"] == 300
