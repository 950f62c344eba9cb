"""The distilled set: a folder that other tools read unchanged."""

import json

import datasets
import numpy as np
import pytest
import torch
import torchvision
import yaml

from ddoq_core.pipeline.distilled import DistilledDataset, image_name, write_image, write_metadata
from ddoq_core.randomness import torch_rng
from ddoq_core.store.manifest import sha256_of

COUNTS = torch.tensor([[6, 3], [1, 11], [4, 4]])


@pytest.fixture
def images():
    """Two images of each of three classes."""
    return torch.rand(6, 1, 16, 16, generator=torch_rng(0, "images"))


@pytest.fixture
def distilled(store, squares, images):
    def build(work):
        for i, image in enumerate(images):
            write_image(work, *divmod(i, 2), image)
        write_metadata(work, squares, COUNTS, seed=7)

    return DistilledDataset(store.make("test", build, parameters={"classes": squares.classes}))


def test_a_set_gives_back_its_images_to_the_nearest_of_256_levels(distilled, images):
    assert (distilled.images() - images).abs().max() <= 0.5 / 255 + 1e-6
    assert distilled.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(distilled) == 6 and distilled.ipc == 2


def test_colour_images_come_back_in_colour(store, squares):
    image = torch.rand(3, 16, 16, generator=torch_rng(0, "colour"))

    def build(work):
        for label in range(3):
            write_image(work, label, 0, image)
        write_metadata(work, squares, torch.ones(3, 1, dtype=torch.int64), seed=0)

    made = DistilledDataset(store.make("test", build, parameters={"classes": squares.classes}))
    assert (made.images()[1] - image).abs().max() <= 0.5 / 255 + 1e-6


def test_torchvision_reads_the_folder_in_the_order_of_the_classes(distilled):
    folder = torchvision.datasets.ImageFolder(distilled.artifact.path)
    assert [label for _, label in folder.samples] == distilled.labels.tolist()
    names = [str(distilled.artifact.path / row["file_name"]) for row in distilled.metadata]
    assert [path for path, _ in folder.samples] == names


def test_hugging_faces_datasets_reads_the_folder_with_our_labels_and_weights(distilled, images, tmp_path):
    found = datasets.load_dataset(
        "imagefolder", data_dir=str(distilled.artifact.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found["label"] == distilled.labels.tolist() and found["count"] == distilled.counts.tolist()
    assert found["weight"] == [row["weight"] for row in distilled.metadata]
    read = torch.stack([torch.from_numpy(np.array(picture)) for picture in found["image"]])
    assert read.equal(distilled.pixels()[:, 0])


def test_what_else_a_method_writes_into_the_folder_disturbs_no_reader(store, squares, images, tmp_path):
    def build(work):
        for i, image in enumerate(images):
            write_image(work, *divmod(i, 2), image)
        write_metadata(work, squares, COUNTS, seed=7)
        work.json("blank.json", [])
        work.json("learned.json", {"rate": 0.1})

    made = DistilledDataset(store.make("test", build, parameters={"classes": squares.classes}, label="with more"))
    folder = str(made.artifact.path)
    found = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir=str(tmp_path / "cache"))
    assert list(found) == ["train"] and found["train"]["label"] == made.labels.tolist()
    assert [label for _, label in torchvision.datasets.ImageFolder(folder).samples] == made.labels.tolist()


def test_the_folder_is_ready_for_the_hub_and_is_read_without_the_word_imagefolder(distilled, tmp_path):
    """Of the real `datasets`: the card's YAML says which files belong to the data."""
    found = datasets.load_dataset(str(distilled.artifact.path), cache_dir=str(tmp_path / "cache"))
    assert list(found) == ["train"] and found["train"]["label"] == distilled.labels.tolist()
    assert found["train"]["count"] == distilled.counts.tolist() and found["train"][0]["image"].size == (16, 16)
    card = yaml.safe_load((distilled.artifact.path / "README.md").read_text().split("---")[1])
    assert card["task_categories"] == ["image-classification"] and card["license"] == "unknown"
    assert card["size_categories"] == ["n<1K"] and "6 images" in card["pretty_name"]


def test_sample_weights_hold_a_line_for_each_class_and_a_number_for_each_image(distilled):
    table = np.loadtxt(distilled.artifact.path / "sample_weights.txt")
    assert table.shape == (3, 2)
    np.testing.assert_allclose(table.flatten(), distilled.weights("sqrt"), atol=1e-6)
    assert "sample_weights.txt" in distilled.artifact.manifest["files"]


def test_sorted_file_names_are_in_class_order_beyond_ten_classes_and_images():
    names = [image_name(label, item) for label in (0, 2, 10, 999) for item in (0, 9, 10, 199)]
    assert names == sorted(names)
    assert image_name(3, 14) == "00003/class00003_id00014.png"


def test_the_metadata_name_every_image_with_its_count_weight_prompt_and_checksum(distilled, squares):
    for row in distilled.metadata:
        assert row["sha256"] == sha256_of(distilled.artifact.path / row["file_name"])
        assert row["prompt"] == squares.prompts[row["label"]] and row["seed"] == 7
    assert distilled.counts.tolist() == COUNTS.flatten().tolist()
    stored = torch.tensor([row["weight"] for row in distilled.metadata])
    expected = (2 * COUNTS / COUNTS.sum(1, keepdim=True)).sqrt().flatten()  # eq. 33 with K = 2
    torch.testing.assert_close(stored, expected, atol=1e-6, rtol=0)


def test_weights_are_those_of_each_class_alone(distilled):
    torch.testing.assert_close(distilled.weights("sqrt")[:2] ** 2, torch.tensor([2 * 6 / 9, 2 * 3 / 9]))  # eq. 33
    assert distilled.weights("proportional").reshape(3, 2).mean(1).allclose(torch.ones(3))
    assert distilled.weights("uniform").equal(torch.ones(6))


def test_the_manifest_holds_the_class_table(distilled, squares):
    manifest = json.loads((distilled.artifact.path / "manifest.json").read_text())
    assert manifest["parameters"]["classes"][1] == {"index": 1, "directory": "1", "name": "middle", "prompt": "middle"}
    assert distilled.classes == squares.classes


def test_an_image_that_an_earlier_run_wrote_is_not_written_again(store, squares, images):
    def build(work):
        for label in range(3):
            write_image(work, label, 0, images[0])
            write_image(work, label, 0, images[1])
        write_metadata(work, squares, torch.ones(3, 1, dtype=torch.int64), seed=0)

    made = DistilledDataset(store.make("test", build, parameters={"classes": squares.classes}))
    assert (made.images()[0] - images[0]).abs().max() <= 0.5 / 255 + 1e-6
