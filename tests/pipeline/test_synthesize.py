"""Synthesis: an image depends on its prototype, its class and its own noise, and on nothing else."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch

from ddoq_core.checks.prior_quality import assess
from ddoq_core.errors import InputError
from ddoq_core.pipeline import synthesize as module
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.synthesize import DENOISE_KNOBS, generate, synthesize, synthesize_images
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.priors.load import load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.store.artifacts import Artifact, Store


@pytest.fixture(scope="module")
def prototypes(tmp_path_factory):
    """Three prototypes of each of the three classes."""
    folder = tmp_path_factory.mktemp("prototypes")
    for c in range(3):
        points = torch.randn(3, 4, 8, 8, generator=torch_rng(0, "points", c))
        held = {"points_00003": points, "counts_00003": torch.tensor([7, 4, 1])}
        safetensors.torch.save_file(held, folder / f"class{c:05d}.safetensors")
    return Artifact(folder, "cluster", "prototypes", "prototypes")


def _synthesize(store, prototypes, prior, squares, profile, seed=0):
    return synthesize(store, prototypes, prior, squares, profile, ipc=3, distill_seed=seed)


def test_every_prototype_becomes_an_image_with_its_class_and_count(store, prototypes, prior, squares, tiny):
    made = _synthesize(store, prototypes, prior, squares, tiny)
    assert made.images().shape == (9, 1, 16, 16)
    assert made.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and made.counts.tolist() == [7, 4, 1] * 3
    assert [row["name"] for row in made.classes] == ["left", "middle", "right"]


def test_an_image_is_its_prototype_denoised_and_decoded(store, prototypes, prior, squares, tiny):
    made = _synthesize(store, prototypes, prior, squares, tiny)
    model, points = load_prior(prior.path), load_prototypes(prototypes, 3)[0]
    alone = synthesize_images(
        model, points[1, 2][None], torch.tensor([1]), [torch_rng(tiny.seed, "synthesize", 0, 3, 1, 2)], 16,
        **tiny.subset(*DENOISE_KNOBS),
    )  # fmt: skip
    assert (made.images()[5] - alone[0]).abs().max() <= 0.5 / 255 + 1e-4


def test_another_batch_gives_the_same_draws_and_values_equal_to_rounding(store, prototypes, prior, squares, tiny):
    a, b = (_synthesize(store, prototypes, prior, squares, tiny.replace(synthesis_batch=n)).images() for n in (4, 9))
    assert (a - b).abs().max() <= 1 / 255 + 1e-6


def test_seeds_give_other_images(store, prototypes, prior, squares, tiny):
    a, b = (_synthesize(store, prototypes, prior, squares, tiny, seed).images() for seed in (0, 1))
    assert (a - b).abs().max() > 0.05


def test_an_interrupted_synthesis_ends_with_the_same_bytes(
    tmp_path, prototypes, prior, squares, tiny, contents, monkeypatch
):
    whole = _synthesize(Store(tmp_path / "whole"), prototypes, prior, squares, tiny)
    written, write = [], module.write_image

    def dying(*arguments):
        if len(written) == 6:  # in the middle of the second chunk of four
            raise KeyboardInterrupt
        written.append(arguments[1:3])
        write(*arguments)

    monkeypatch.setattr(module, "write_image", dying)
    with pytest.raises(KeyboardInterrupt):
        _synthesize(Store(tmp_path / "cut"), prototypes, prior, squares, tiny)
    monkeypatch.setattr(module, "write_image", write)
    chunks, make = [], module.synthesize_images
    monkeypatch.setattr(module, "synthesize_images", lambda *a, **k: chunks.append(len(a[2])) or make(*a, **k))
    again = _synthesize(Store(tmp_path / "cut"), prototypes, prior, squares, tiny)
    assert contents(again.artifact) == contents(whole.artifact)
    assert chunks == [4, 1]  # the first chunk was whole


def test_a_chunk_too_large_for_the_device_is_made_in_halves_with_the_same_draws(
    tmp_path, prototypes, prior, squares, tiny, monkeypatch
):
    whole = _synthesize(Store(tmp_path / "whole"), prototypes, prior, squares, tiny)
    assert "halved" not in whole.artifact.run["plan"]
    make = module.synthesize_images

    def small(*arguments, **knobs):
        if len(arguments[2]) > 2:
            raise torch.OutOfMemoryError
        return make(*arguments, **knobs)

    monkeypatch.setattr(module, "synthesize_images", small)
    halved = _synthesize(Store(tmp_path / "halved"), prototypes, prior, squares, tiny)
    assert (whole.images() - halved.images()).abs().max() <= 1 / 255 + 1e-6
    assert halved.artifact.run["plan"]["halved"] == 2  # chunks of 4, 4, 1


def test_an_image_that_does_not_fit_alone_is_one_clear_line(store, prototypes, prior, squares, tiny, monkeypatch):
    def never(*arguments, **knobs):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(module, "synthesize_images", never)
    with pytest.raises(InputError, match="cpu has not enough memory for one image of 16 pixels; set precision=float16"):
        _synthesize(store, prototypes, prior, squares, tiny)


def test_blank_images_are_counted_and_named(store, prototypes, prior, squares, tiny, monkeypatch, capsys):
    make, second = module.synthesize_images, torch.tensor([1.0, 0, 1, 1])[:, None, None, None]
    monkeypatch.setattr(module, "synthesize_images", lambda *a, **k: make(*a, **k) * second[: len(a[2])])
    made = _synthesize(store, prototypes, prior, squares, tiny)
    assert made.artifact.json("blank.json") == ["00000/class00000_id00001.png", "00001/class00001_id00002.png"]
    assert "ddoq: 2 of 9 images are blank: 00000/class00000_id00001.png, " in capsys.readouterr().err


def test_images_come_at_the_size_of_the_data_set_whatever_the_prior_makes(store, prototypes, prior, squares, tiny):
    made = _synthesize(store, prototypes, prior, replace(squares, image_size=24), tiny)
    assert made.images().shape == (9, 1, 24, 24)


def test_images_from_pure_noise_stand_for_one_each_and_need_no_prototypes(store, prior, squares, tiny):
    a, b = (generate(store, prior, squares, tiny, ipc=2, distill_seed=seed) for seed in (0, 1))
    assert a.labels.tolist() == [0, 0, 1, 1, 2, 2] and a.counts.tolist() == [1] * 6
    assert not torch.equal(a.images(), b.images())


def test_the_assessment_reports_what_is_lost_and_what_is_recognised(store, prior, squares, tiny, monkeypatch):
    monkeypatch.setattr("ddoq_core.checks.prior_quality.PER_CLASS", 4)
    judge = teacher(store, squares, tiny)
    metrics = assess(store, squares, prior, judge, tiny).json("metrics.json")
    model, images = load_prior(prior.path), squares.validation.images(range(9))
    error = (2 * model.decode(model.encode(images)) - 2 * images).square().mean()
    assert metrics["reconstruction_mse"] == pytest.approx(error.item(), rel=1e-4)
    assert metrics["n_generated"] == 12 and metrics["n_reconstructed"] == 9
    assert metrics["recognised"] == pytest.approx(sum(metrics["recognised_by_class"]) / 3)
    assert metrics["teacher_top1"] == judge.json("metrics.json")["top1"]
