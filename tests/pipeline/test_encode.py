"""Encoding: every image of a class, in its own file, whatever the batch and however often interrupted."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch

from ddoq_core.errors import InputError
from ddoq_core.pipeline import encode as module
from ddoq_core.pipeline.encode import ENCODE_KNOBS, encode, encode_images
from ddoq_core.priors.load import GenerativePrior, load_prior
from ddoq_core.store.artifacts import Artifact, Store

from ..stand_ins import stand_in


def test_every_training_image_is_encoded_once_under_its_class(store, squares, prior, tiny):
    made = encode(store, squares, prior, tiny)
    files = [safetensors.torch.load_file(made.path / f"latents/class{c:05d}.safetensors") for c in range(3)]
    for c, held in enumerate(files):
        assert held["index"].tolist() == squares.train.of_class(c).tolist()
        assert held["latents"].dtype == torch.float32 and held["latents"].shape == (12, 4, 8, 8)
    assert torch.cat([f["index"] for f in files]).sort().values.tolist() == list(range(36))
    assert [(row["index"], row["name"], row["n"]) for row in made.json("classes.json")] == [
        (0, "left", 12), (1, "middle", 12), (2, "right", 12),
    ]  # fmt: skip


def test_latents_are_the_posteriors_mean_in_scaled_units(store, squares, prior, tiny):
    made = encode(store, squares, prior, tiny)
    held = safetensors.torch.load_file(made.path / "latents/class00001.safetensors")
    images = squares.train.images(held["index"])
    torch.testing.assert_close(held["latents"], load_prior(prior.path).encode(images))


@pytest.mark.parametrize("sample", [False, True])
def test_another_batch_size_gives_the_same_draws_and_values_equal_to_rounding(squares, prior, tiny, sample):
    model, knobs = load_prior(prior.path), tiny.replace(encode_sample=sample).subset(*ENCODE_KNOBS)
    a, b = (encode_images(model, squares.train, torch.arange(36), **knobs, batch=batch) for batch in (36, 5))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


class Little:
    """The encoder of a prior on a device that holds a few images at once."""

    def __init__(self, whole, room: int) -> None:
        self.whole, self.room, self.asked = whole, room, []

    def encode(self, images, rng=None):
        self.asked.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError
        return self.whole.encode(images, rng)


@pytest.mark.parametrize("sample", [False, True])
def test_a_batch_too_large_for_the_device_is_encoded_in_halves_with_the_same_draws(squares, prior, tiny, sample):
    whole, knobs = load_prior(prior.path), tiny.replace(encode_sample=sample).subset(*ENCODE_KNOBS)
    device = Little(whole, 3)
    little = stand_in(GenerativePrior, image_size=16, encode=device.encode)
    found = encode_images(little, squares.train, torch.arange(7), **knobs)
    assert device.asked == [7, 3, 4, 2, 2]
    torch.testing.assert_close(found, encode_images(whole, squares.train, torch.arange(7), **knobs), rtol=0, atol=1e-5)
    none = stand_in(GenerativePrior, image_size=16, encode=Little(whole, 0).encode)
    with pytest.raises(InputError, match="not enough memory to encode one image of 16 pixels; set precision=float16"):
        encode_images(none, squares.train, torch.arange(7), **knobs)


def test_drawn_latents_follow_the_seed(store, squares, prior, tiny):
    made = [
        encode(store, squares, prior, tiny.replace(encode_sample=s, seed=i)).key for s in (False, True) for i in (0, 1)
    ]
    assert made[0] == made[1] != made[2] != made[3]


def test_an_interrupted_encoding_does_only_what_is_missing_with_the_same_bytes(
    tmp_path, squares, prior, tiny, contents, monkeypatch
):
    whole = encode(Store(tmp_path / "whole"), squares, prior, tiny)
    calls, real = [], module.encode_images

    def dying(*arguments, **knobs):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **knobs)

    monkeypatch.setattr(module, "encode_images", dying)
    with pytest.raises(KeyboardInterrupt):
        encode(Store(tmp_path / "cut"), squares, prior, tiny)
    assert contents(encode(Store(tmp_path / "cut"), squares, prior, tiny)) == contents(whole)
    assert len(calls) == 4  # one whole, one cut off, then the two that were missing


def test_a_prior_for_other_images_is_an_error(tmp_path, store, squares, prior, tiny, save_random_prior):
    save_random_prior(tmp_path / "colour", channels=3)
    with pytest.raises(InputError, match="the prior has 3 image channels, but squares has 1"):
        encode(store, squares, Artifact(tmp_path / "colour", "prior", "colour", "colour"), tiny)


def test_images_are_read_at_the_size_of_the_prior(store, squares, prior, tiny):
    larger = replace(
        squares,
        train=replace(
            squares.train, pixels=squares.train.pixels.repeat_interleave(2, 2).repeat_interleave(2, 3), image_size=32
        ),
        image_size=32,
    )
    a, b = (
        safetensors.torch.load_file(encode(store, data, prior, tiny).path / "latents/class00000.safetensors")["latents"]
        for data in (squares, replace(larger, key="larger"))
    )
    assert a.shape == b.shape and (a - b).abs().mean() < 0.2 * a.std()
