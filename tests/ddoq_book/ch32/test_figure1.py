"""Figure 1: sorted by weight, each image with its own weight, and the nearest real image is the nearest."""

import types
from dataclasses import dataclass

import pytest
import safetensors.torch
import torch

from ddoq_book.ch32 import figure1 as module
from ddoq_book.ch32.figure1 import (
    WeightedClass,
    figure1,
    nearest_latents,
    one_pass_spreads,
    shuffled_figure,
    weighted_class,
)
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import cluster
from ddoq_core.pipeline.distilled import DistilledDataset, write_image, write_metadata
from ddoq_core.pipeline.encode import StoredLatents
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Store

K, SIZE = 3, 8
OF_CLASS = 20


@dataclass(frozen=True)
class FakeRun:
    """A run whose latents are its images' pixels; distilled image k of a class is grey level k / 10."""

    __class__ = property(lambda self: Run)  # what isinstance asks for

    store: Store
    dataset: Dataset
    profile: Profile
    prior = types.SimpleNamespace(path="prior")

    @property
    def latents(self):
        def build(work):
            for c in range(self.dataset.n_classes):
                latents, index = self.class_latents(c)
                tensors = {"latents": latents, "index": index}
                work.chunk(f"latents/class{c:05d}.safetensors", lambda p, t=tensors: safetensors.torch.save_file(t, p))
            work.json("classes.json", [row | {"n": OF_CLASS} for row in self.dataset.classes])

        return self.store.make("encode", build, parameters={})

    def class_latents(self, label):
        index = self.dataset.train.of_class(label)
        return self.dataset.train.images(index), index

    def prototypes(self, distill_seed=0):
        return cluster(self.store, StoredLatents(self.latents), self.profile, distill_seed=distill_seed)

    def distilled(self, method, ipc, distill_seed=0):
        inputs = [] if method.startswith("random") else [self.prototypes(distill_seed)]

        def build(work):
            for c in range(self.dataset.n_classes):
                for k in range(ipc):
                    write_image(work, c, k, torch.full((1, SIZE, SIZE), (10 * c + k) / 100))
            write_metadata(work, self.dataset, torch.ones(self.dataset.n_classes, ipc, dtype=torch.int64), seed=0)

        classes = {"classes": self.dataset.classes}
        return DistilledDataset(self.store.make("synthesize", build, parameters=classes, inputs=inputs, label=method))


@pytest.fixture
def run(tmp_path) -> FakeRun:
    images = torch.rand(2 * OF_CLASS, 1, SIZE, SIZE, generator=torch_rng(0, "test", "figure1"))
    pixels = (images * 255).byte()
    labels = torch.arange(2).repeat(OF_CLASS)  # the classes alternate, so that an index within a class is no index
    split = Split(labels, [f"image {i}" for i in range(len(labels))], pixels, SIZE)
    dataset = Dataset(
        "fake", split, split, split, ["0", "1"], ["nought", "one"], ["", ""], SIZE, 1, (0.5,), (0.5,), "k"
    )
    profile = Profile.of({"ipc": [K], "hard_ipc": [K], "n_restarts": 2})
    return FakeRun(Store(tmp_path, say=lambda text: None), dataset, profile)


def test_images_are_sorted_by_weight_and_weights_sum_to_one(run):
    shown = weighted_class(run, "one", K)
    assert (shown.masses.diff() <= 0).all()
    assert shown.masses.sum().item() == pytest.approx(1)
    assert shown.spread == pytest.approx(float(shown.masses[0] / shown.masses[-1]))


def test_each_image_keeps_the_weight_of_its_own_cell(run):
    shown = weighted_class(run, "one", K)
    (row,) = [r for r in run.prototypes().jsonl("clusters.jsonl") if r["class"] == 1 and r["ipc"] == K]
    items = [round(100 * float(image.mean())) - 10 for image in shown.images]
    assert sorted(items) == list(range(K))
    assert [row["counts"][k] / OF_CLASS for k in items] == pytest.approx(shown.masses.tolist())


def test_the_nearest_real_image_is_the_nearest_of_its_class(run):
    shown = weighted_class(run, "one", K)
    tensors = safetensors.torch.load_file(run.prototypes().path / "class00001.safetensors")
    points = tensors[f"points_{K:05d}"][torch.argsort(tensors[f"counts_{K:05d}"], descending=True, stable=True)]
    of_class = run.dataset.train.of_class(1)
    apart = torch.stack([(run.dataset.train.images(of_class) - p).flatten(1).norm(dim=1) for p in points])
    assert [f"image {i}" for i in of_class[apart.argmin(1)].tolist()] == shown.real_ids
    torch.testing.assert_close(shown.distances, apart.min(1).values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shown.real, run.dataset.train.images(of_class[apart.argmin(1)]))


class HalvingPrior:
    """A prior of images twice as large, whose latents are means of 2 x 2 pixels."""

    image_size = 2 * SIZE

    def encode(self, images):
        assert images.shape[-1] == self.image_size
        return torch.nn.functional.avg_pool2d(images, 2)


def test_a_row_without_prototypes_is_shown_in_its_order_with_equal_shares(run, monkeypatch):
    monkeypatch.setattr(module, "load_prior", lambda path, **knobs: HalvingPrior())
    monkeypatch.setattr(FakeRun, "prototypes", None)
    shown = weighted_class(run, "one", K, "random_real")
    assert [round(100 * float(image.mean())) - 10 for image in shown.images] == list(range(K))
    assert shown.masses.tolist() == pytest.approx([1 / K] * K)
    assert shown.spread == 1


def test_a_row_without_prototypes_is_compared_by_the_latents_of_its_own_images(run, monkeypatch):
    monkeypatch.setattr(module, "load_prior", lambda path, **knobs: HalvingPrior())
    shown = weighted_class(run, "one", K, "random_real")
    latents, of_class = run.class_latents(1)
    apart = torch.stack([(latents - image).flatten(1).norm(dim=1) for image in shown.images])
    assert [f"image {i}" for i in of_class[apart.argmin(1)].tolist()] == shown.real_ids
    torch.testing.assert_close(shown.distances, apart.min(1).values, rtol=1e-3, atol=1e-3)


def test_a_latent_is_nearest_to_itself():
    latents = torch.randn(30, 2, 3, 3, generator=torch_rng(0, "test", "nearest"))
    nearest, distances = nearest_latents(latents[[4, 17, 4]], latents)
    assert nearest.tolist() == [4, 17, 4]
    assert distances.max().item() < 1e-2


def test_a_class_is_found_by_its_name_or_its_directory(run):
    assert weighted_class(run, "1", K).class_name == weighted_class(run, "one", K).class_name == "one"


def test_without_a_name_the_class_is_the_first(run):
    assert weighted_class(run, "", K).class_name == "nought"


@pytest.mark.parametrize(
    ("class_name", "ipc", "method", "message"),
    [
        ("two", K, "ddoq", "no such class"),
        ("one", K + 1, "ddoq", "figure_ipc = 4"),
        ("one", K, "tesla", r"figure_ipc = 3, but the run has tesla at images per class \[\]"),
        ("one", K, "dddoq", "did you mean 'ddoq'"),
        ("one", K, "full", "unknown parameter"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(run, class_name, ipc, method, message):
    with pytest.raises(InputError, match=message):
        weighted_class(run, class_name, ipc, method)


def test_the_weights_are_printed_above_the_images_in_order(run):
    shown = weighted_class(run, "one", K)
    titles = [ax.get_title() for ax in figure1(shown).axes if ax.get_title()]
    assert titles == [f"{mass:.3f}" for mass in shown.masses.tolist()]


def test_in_no_order_every_image_is_there_once_and_no_weight_is_told(run):
    shown = weighted_class(run, "one", K)
    axes = [ax for ax in shuffled_figure(shown, 0).axes if ax.images]
    levels = sorted(round(float(ax.images[0].get_array().mean()), 3) for ax in axes)
    assert levels == sorted(round(float(image.mean()), 3) for image in shown.images)
    assert not any(ax.get_title() for ax in axes)


def test_more_than_ten_images_go_on_in_a_second_line():
    many = 13
    images = torch.zeros(many, 3, SIZE, SIZE)
    masses = torch.linspace(0.1, 0.05, many)
    figure = figure1(WeightedClass("x", images, masses, images, [""] * many, masses))
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 2 * many
    assert sum(bool(ax.get_title()) for ax in drawn) == many


def test_one_pass_of_the_class_is_repeated_from_keyed_starts(run):
    found = one_pass_spreads(run, "one", K, n_starts=3)
    assert len(found) == 3 and all(spread >= 1 for spread in found)
    assert found == one_pass_spreads(run, "one", K, n_starts=3)
