"""The learned score beside the exact one: what their errors mean, and the file of a small run."""

import json

import numpy as np
import pytest
import torch

from ddoq_book.studies import learned as module
from ddoq_book.studies.latents import latent_clouds, of_kind
from ddoq_book.studies.learned import FILE, STRIP, keep_learned, learned_study, noise_errors
from ddoq_book.studies.strips import strip_pictures
from ddoq_core.config.profile import Profile
from ddoq_core.runs.run import Run

from .test_latents import run  # noqa: F401 - a fixture

SMALL = {"prior": "pretrain", "diffusion_epochs": 1, "diffusion_width": 32, "diffusion_layers": 1}


@pytest.fixture
def small(monkeypatch, squares):
    monkeypatch.setattr(Run, "dataset", squares)
    monkeypatch.setitem(module.PICTURES, "learned", SMALL)
    monkeypatch.setattr(module, "LEVEL", 2)


def test_the_global_score_knows_the_noise_of_its_own_latents(run, small):  # noqa: F811
    """It is the best guess for its own latents, and a worse one for others. A score that predicts 0 has error 1."""
    clouds = latent_clouds(run)
    (row,) = noise_errors(of_kind(run, "global", 0.7), "global", clouds, [0.02], 12)
    assert row.keys() == {"kind", "share", "training", "held_out"} and len(row["training"]) == 3
    assert max(row["training"]) < min(row["held_out"]) < 0.02  # the latents of a network without training are close
    untrained = Run(run.profile.replace(**SMALL))
    found = [*noise_errors(untrained, "learned", clouds, [0.5], 12)]
    assert np.allclose(found[0]["training"], 1, atol=0.35)


def test_the_file_compares_three_scores_and_is_not_made_twice(run, small, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(module, "STRENGTHS", (0.0, 0.7))
    monkeypatch.setattr(module, "NOISED", (0.3,))
    monkeypatch.setattr(module, "newness_of", lambda run, distilled: torch.tensor([[1.0, 1.0], [0.1, 0.1], [1.0, 1.0]]))
    keep_learned(run, tmp_path)
    found = json.loads((tmp_path / FILE).read_text())
    assert found["fit"] == {"diffusion_width": 32, "diffusion_layers": 1, "diffusion_epochs": 1}
    assert [row["kind"] for row in found["errors"]] == ["local", "global", "learned"]
    assert [(row["kind"], row["strength"]) for row in found["pictures"]] == [("learned", 0.7)]
    assert len(strip_pictures(tmp_path / STRIP)) == 2  # the class whose pictures are nearly photographs is left out
    before = (tmp_path / FILE).read_bytes()
    keep_learned(run, tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_the_study_is_one_file_without_students():
    (part,) = learned_study(Profile.load("imagenette_cpu"))
    assert part.file == "photographs-learned.json" and part.tasks == []
    assert (part.run.profile.quantizer, part.run.profile.start) == ("minibatch", "samples")
