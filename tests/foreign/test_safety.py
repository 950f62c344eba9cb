"""Files from elsewhere are read, never run, and lead nowhere: what is not as it should be is one line."""

import json
import os
import pickle

import pytest
import safetensors.torch
import torch
from PIL import Image

from ddoq_book.ch22.toy_imagenet import tiny_stable_diffusion
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import cluster, load_counts
from ddoq_core.pipeline.distilled import DistilledDataset, image_name, read_pixels
from ddoq_core.pipeline.encode import StoredLatents, encode
from ddoq_core.pipeline.synthesize import generate
from ddoq_core.pipeline.teacher import load_teacher, teacher
from ddoq_core.priors.load import load_prior
from ddoq_core.store.safe_files import read_checkpoint, read_tensors

AGAIN = "remove its folder to make it again"  # the mend of what this package has made


class Evil:
    """What an unpickled file does."""

    def __reduce__(self):
        return (print, ("ran",))


@pytest.fixture
def evil(capsys):
    """`evil(path)` puts a pickle that runs code in the place of a file; at the end, nothing may have run."""

    def put(path):
        assert path.is_file()
        path.write_bytes(pickle.dumps({"weight": Evil()}))

    yield put
    assert "ran" not in capsys.readouterr().out


def one_line(call, *words: str) -> None:
    """The call is an InputError of one line with these words."""
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), str(caught.value)


# a distilled set


@pytest.fixture
def distilled(store, prior, squares, tiny) -> DistilledDataset:
    return generate(store, prior, squares, tiny, ipc=2, distill_seed=0)


def rewritten(distilled, line: str) -> DistilledDataset:
    """The same folder with another second row."""
    path = distilled.artifact.path / "metadata.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    return DistilledDataset(distilled.artifact)


@pytest.mark.parametrize(
    "change",
    [
        {"file_name": "../../../../secret.png"},
        {"file_name": "/etc/passwd"},
        {"file_name": image_name(0, 0)},
        {"file_name": image_name(1, 0)},
        {"file_name": None},
        {"label": 1},
        {"label": 7},
        {"label": -1},
        {"label": False},
        {"label": "0"},
        {"count": -1},
        {"count": 2**70},
        {"count": 1.5},
        {"count": float("nan")},
        {"count": True},
        {"count": "12"},
        {"weight": float("inf")},
        {"weight": 10**400},
        {"weight": []},
        {"prompt": 3},
        {"sha256": "zz"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_row_of_metadata_that_is_not_the_next_images_is_an_error_and_no_action(distilled, change):
    row = distilled.metadata[1] | change
    made = rewritten(distilled, json.dumps(row))
    one_line(lambda: made.metadata, "line 2 of", "metadata.jsonl")
    one_line(lambda: made.pixels(), "line 2 of")


@pytest.mark.parametrize(
    "line", ["", "null", "[1, 2]", "{", "[" * 100_000, "9" * 5000, "{}", "\0"], ids=lambda line: line[:8] or "empty"
)
def test_a_line_of_metadata_that_is_no_row_is_an_error(distilled, line):
    one_line(lambda: rewritten(distilled, line).metadata, "line 2 of", "metadata.jsonl")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ([0, 1, 2, 3, 4, 5, 5], "line 7 of"),
        ([0, 1, 3, 4, 5], "line 3 of"),
        ([0, 1, 4, 5], "line 3 of"),
        ([0, 1, 2, 3], "has 4 rows, of 2 classes, but the set has 3"),
        ([], "has 0 rows, of 0 classes, but the set has 3"),
    ],
    ids=["one twice", "a hole", "no image of a class", "none of the last class", "none"],
)
def test_a_row_too_many_and_a_class_without_a_row_are_errors(distilled, kept, words):
    path = distilled.artifact.path / "metadata.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{lines[i]}\n" for i in kept))
    one_line(lambda: DistilledDataset(distilled.artifact).metadata, words)


def test_a_row_of_a_class_more_is_told_as_such(distilled):
    last = distilled.metadata[-1] | {"file_name": image_name(3, 0), "label": 3}
    path = distilled.artifact.path / "metadata.jsonl"
    path.write_text(path.read_text() + json.dumps(last) + "\n")
    one_line(lambda: DistilledDataset(distilled.artifact).metadata, "has 7 rows, of 4 classes, but the set has 3")


def test_a_class_may_have_fewer_images_than_another(distilled):
    path = distilled.artifact.path / "metadata.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in [*lines[:3], *lines[4:]]))
    found = DistilledDataset(distilled.artifact)
    assert found.labels.tolist() == [0, 0, 1, 2, 2] and found.ipc == 2


def test_an_image_that_is_a_link_out_of_the_folder_is_not_followed(distilled, tmp_path):
    picture = distilled.artifact.path / image_name(0, 1)
    os.replace(picture, tmp_path / "elsewhere.png")
    picture.symlink_to(tmp_path / "elsewhere.png")
    one_line(lambda: DistilledDataset(distilled.artifact).metadata, image_name(0, 1), "of this folder")


def test_a_distilled_picture_that_is_none_or_a_bomb_is_an_error(distilled, monkeypatch, evil):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    one_line(lambda: read_pixels(distilled.artifact.path / image_name(0, 0)), "is too large", image_name(0, 0), AGAIN)
    evil(distilled.artifact.path / image_name(0, 0))
    one_line(lambda: read_pixels(distilled.artifact.path / image_name(0, 0)), "cannot be read", "not an image", AGAIN)


# tensors


def test_a_pickle_in_the_place_of_latents_prototypes_or_a_teacher_is_an_error(store, prior, squares, tiny, evil):
    latents = encode(store, squares, prior, tiny)
    prototypes = cluster(store, StoredLatents(latents), tiny, distill_seed=0)
    network = teacher(store, squares, tiny)
    evil(latents.path / "latents" / "class00001.safetensors")
    evil(prototypes.path / "class00001.safetensors")
    evil(network.path / "model.safetensors")
    one_line(lambda: StoredLatents(latents).of_class(1), "latents/class00001.safetensors")
    one_line(lambda: load_counts(prototypes, 2), "class00001.safetensors")
    one_line(lambda: load_teacher(network), "model.safetensors")


def test_a_safetensors_file_whose_header_promises_too_much_is_an_error(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(4)}, path)
    content = path.read_bytes()
    for forged in (b"\xff" * 8 + content[8:], content.replace(b"[4]", b"[9]"), content[:-3], b""):
        path.write_bytes(forged)
        one_line(lambda: read_tensors(path), "x.safetensors")


def test_a_checkpoint_that_is_a_pickle_or_cut_off_is_not_gone_on_from(tmp_path, evil, capsys):
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3}, path)
    assert read_checkpoint(path) == {"epoch": 3}
    path.write_bytes(path.read_bytes()[:-100])
    assert read_checkpoint(path) is None and "cannot be read" in capsys.readouterr().err
    evil(path)
    assert read_checkpoint(path) is None and read_checkpoint(tmp_path / "none.pt") is None


# a prior


@pytest.fixture
def folder(tmp_path, save_random_prior):
    save_random_prior(tmp_path / "prior")
    return tmp_path / "prior"


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_pickle_in_the_place_of_a_priors_weights_is_an_error(folder, part, evil):
    evil(folder / part / "diffusion_pytorch_model.safetensors")
    one_line(lambda: load_prior(folder), "cannot be loaded", "check prior_path")


def test_weights_of_a_prior_that_are_pickled_are_not_looked_at(folder, evil):
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    os.replace(weights, weights.with_suffix(".bin"))
    evil(weights.with_suffix(".bin"))
    one_line(lambda: load_prior(folder), "no weights in safetensors", "check prior_path")


def test_weights_of_a_text_encoder_that_are_pickled_are_not_looked_at(tmp_path, evil):
    tiny_stable_diffusion(tmp_path / "prior")
    for name in ("renamed", "replaced"):
        weights = tmp_path / "prior" / "text_encoder" / "model.safetensors"
        if name == "renamed":
            content = weights.read_bytes()
            os.replace(weights, weights.with_name("pytorch_model.bin"))
            evil(weights.with_name("pytorch_model.bin"))
        else:
            weights.write_bytes(content)
            evil(weights)
        one_line(lambda: load_prior(tmp_path / "prior"), "cannot be loaded", "check prior_path")


@pytest.mark.parametrize("name", ["DiffusionPipeline", "AutoencoderKL", "utils", "no_such_thing"])
def test_a_priors_scheduler_is_a_scheduler_and_nothing_else_of_diffusers(folder, name):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", name]}))
    one_line(lambda: load_prior(folder), "cannot be loaded")


# a profile


@pytest.mark.parametrize("tag", ["!!python/object/apply:builtins.print [ran]", "!!python/name:os.system", "!own {}"])
def test_a_yaml_profile_with_tags_of_python_is_an_error_and_no_action(tmp_path, tag, capsys):
    (tmp_path / "mine.yaml").write_text(f"epochs: {tag}\n")
    one_line(lambda: Profile.load(str(tmp_path / "mine.yaml"), {}), "mine.yaml cannot be read", "tag")
    assert "ran" not in capsys.readouterr().out
