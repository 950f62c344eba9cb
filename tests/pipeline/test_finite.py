"""What a network gives is finite, or its image and class are named and nothing is kept."""

from pathlib import Path

import pytest
import torch

from ddoq_core.checks.prior_quality import assess
from ddoq_core.errors import InputError
from ddoq_core.finite import finite
from ddoq_core.methods.random_real import random_real
from ddoq_core.pipeline import relabel as relabelling
from ddoq_core.pipeline.cluster import cluster
from ddoq_core.pipeline.encode import PassingLatents, encode
from ddoq_core.pipeline.relabel import relabel
from ddoq_core.pipeline.synthesize import generate
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.priors.latent_diffusion import LatentDiffusion

BROKEN = 16  # a training image: of class 1


def finished(store) -> set[str]:
    """Steps of which something is in the store as a whole."""
    return {p.parent.parent.name for p in Path(store.root).rglob("manifest.json")}


@pytest.fixture
def overflows(monkeypatch):
    """`overflows(name)`: from then on that method of a prior gives infinity in its first row, after `sound` calls."""

    def install(name: str, sound: int = 0) -> None:
        real, calls = getattr(LatentDiffusion, name), []

        def broken(*arguments, **knobs):
            calls.append(1)
            numbers = real(*arguments, **knobs)
            if len(calls) > sound:
                numbers[0] *= float("inf")
            return numbers

        monkeypatch.setattr(LatentDiffusion, name, broken)

    return install


@pytest.fixture
def half_blind(monkeypatch, squares):
    """An encoder that gives no number for one image."""
    real, image = LatentDiffusion.encode, squares.train.images([BROKEN])

    def encoded(self, images, rng=None):
        latents = real(self, images, rng)
        latents[(images == image).flatten(1).all(1)] = float("nan")
        return latents

    monkeypatch.setattr(LatentDiffusion, "encode", encoded)
    return rf"image {squares.train.ids[BROKEN]} of class 1: .* not finite; .*precision=float32"


def test_an_image_that_the_encoder_gives_no_numbers_for_is_named_with_its_class(
    store, squares, prior, tiny, half_blind
):
    with pytest.raises(InputError, match=half_blind):
        encode(store, squares, prior, tiny)
    assert finished(store) == set() and not list(Path(store.root).rglob("class00001*"))


def test_it_is_named_where_latents_are_not_kept(store, squares, prior, tiny, half_blind):
    with pytest.raises(InputError, match=half_blind):
        cluster(store, PassingLatents(squares, prior, tiny), tiny, distill_seed=0, strata=squares.train.parts_of_class)
    assert "cluster" not in finished(store)


@pytest.mark.parametrize("part", ["denoise", "decode"])
def test_a_picture_of_no_numbers_is_named_and_the_set_is_not_finished(store, squares, prior, tiny, overflows, part):
    overflows(part, sound=1)  # batches of four pictures, two of a class
    with pytest.raises(InputError, match=r"image 0 of class 2: .* not finite"):
        generate(store, prior, squares, tiny, ipc=2, distill_seed=0)
    assert finished(store) == set()


def test_a_prior_that_gives_no_numbers_is_not_measured(store, squares, prior, tiny, overflows):
    made = teacher(store, squares, tiny)
    overflows("decode")
    with pytest.raises(InputError, match="not finite"):
        assess(store, squares, prior, made, tiny)
    assert "assess" not in finished(store)


def test_a_soft_label_of_no_numbers_is_named_by_its_image(store, squares, tiny, monkeypatch):
    made, distilled = teacher(store, squares, tiny), random_real(store, squares, tiny, ipc=2, distill_seed=0)
    real = relabelling._epoch_logits

    def overflowing(*arguments):
        logits = real(*arguments)
        logits[3] = 1e6  # more than float16 holds
        return logits

    monkeypatch.setattr(relabelling, "_epoch_logits", overflowing)
    with pytest.raises(InputError, match=rf"soft label of {distilled.metadata[3]['file_name']}: .* not finite"):
        relabel(store, distilled, squares, made, tiny.replace(epochs=1), label_seed=0)
    assert "relabel" not in finished(store)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 1, 2, 2)])
def test_the_first_row_that_is_not_finite_is_named(value, shape):
    numbers = torch.zeros(shape, dtype=torch.float16)
    assert finite(numbers, str) is numbers
    numbers[1:] = value
    with pytest.raises(InputError, match=r"^1: "):
        finite(numbers, str)
