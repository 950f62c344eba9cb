"""The prior fitted on the spot is a DiTPipeline, and an interruption leaves no trace in its bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiTPipeline

from ddoq_core.checks.prior_quality import assess
from ddoq_core.config.profile import Profile
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.priors import pretrain as module
from ddoq_core.priors.dit import NULL
from ddoq_core.priors.load import load_prior
from ddoq_core.priors.pretrain import pretrain
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Store
from ddoq_core.store.checkpoints import Checkpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, squares, tiny):
    return pretrain(Store(tmp_path_factory.mktemp("store")), squares, tiny)


def test_diffusers_loads_the_folder_and_runs_it_with_guidance(fitted):
    pipeline = DiTPipeline.from_pretrained(fitted.path)
    pipeline.set_progress_bar_config(disable=True)
    ids = pipeline.get_label_ids(["right", "left"])
    assert ids == [2, 0]
    images = pipeline(ids, guidance_scale=2.0, num_inference_steps=3, output_type="np").images
    assert images.shape == (2, 16, 16, 1) and np.isfinite(images).all()


def test_scaled_latents_have_unit_deviation(fitted, squares):
    model = load_prior(fitted.path)
    latents = model.encode(squares.train.images(range(len(squares.train))))
    assert abs(latents.std() - 1) < 1e-3


def test_the_label_table_is_that_of_the_pipeline_with_the_null_id_at_its_end(fitted):
    model = load_prior(fitted.path)
    tables = [b.norm1.emb.class_embedder.embedding_table.weight for b in model.transformer.transformer_blocks]
    assert all(len(t) == NULL + 1 for t in tables)
    assert model.class_names == ("left", "middle", "right")


def test_a_refit_gives_the_same_bytes_and_nothing_draws_from_the_global_generator(
    tmp_path, squares, tiny, fitted, contents
):
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = pretrain(Store(tmp_path), squares, tiny)
    assert torch.equal(before, torch.random.get_rng_state())
    assert contents(again) == contents(fitted)


def test_the_null_id_and_the_classes_are_learnt_and_no_other_row_of_the_table(store, squares, tiny):
    def table(transformer):
        return transformer.transformer_blocks[0].norm1.emb.class_embedder.embedding_table.weight.detach()

    profile = tiny.replace(diffusion_epochs=40)
    learnt = table(load_prior(pretrain(store, squares, profile).path).transformer)
    moved = (learnt - table(module.make_transformer((4, 4, 4), profile))).norm(dim=1)
    others = moved[3:NULL].max()
    assert moved[:3].min() > 3 * others and moved[NULL] > 3 * others


@pytest.mark.parametrize("stage", ["autoencoder", "transformer"])
def test_an_interrupted_fit_goes_on_from_its_checkpoint_with_the_same_bytes(
    tmp_path, squares, tiny, contents, monkeypatch, stage
):
    profile = tiny.replace(vae_epochs=2)
    whole = pretrain(Store(tmp_path / "whole"), squares, profile)
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    save, began = Checkpoint.write, []

    def save_then_die(self, done):
        save(self, done)
        if self.name == f"{stage}.pt":
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        pretrain(Store(tmp_path / "cut"), squares, profile)
    monkeypatch.setattr(Checkpoint, "write", save)
    resume = Checkpoint.resume
    monkeypatch.setattr(Checkpoint, "resume", lambda *a: began.append(resume(*a)) or began[-1])
    assert contents(pretrain(Store(tmp_path / "cut"), squares, profile)) == contents(whole)
    assert began == ([1, 0] if stage == "autoencoder" else [1])


def test_an_image_size_that_the_transformer_cannot_cut_in_patches_is_an_error(store, squares, tiny):
    with pytest.raises(InputError, match="image_size = 20, but prior = pretrain needs a multiple of 8"):
        pretrain(store, replace(squares, image_size=20), tiny)


@pytest.mark.slow
def test_the_teacher_recognises_nine_in_ten_digits_that_the_laptop_prior_makes_of_noise(store):
    """That of the book if it has been made, else one fitted here."""
    profile = Profile()
    if (ROOT / profile.artifacts / "prior").exists():
        store = Store(ROOT / profile.artifacts)
    digits = load_dataset(profile)
    judge = teacher(store, digits, profile)
    metrics = assess(store, digits, pretrain(store, digits, profile), judge, profile).json("metrics.json")
    assert metrics["n_generated"] == 500 and metrics["recognised"] >= 90
    assert metrics["teacher_top1"] >= 98 and metrics["reconstruction_mse"] <= 0.015
