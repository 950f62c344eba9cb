"""What is measured of latents: each measure on a cloud for which the answer is known, and the file of a small run."""

import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from ddoq_book.studies import latents as module
from ddoq_book.studies.latents import curve, dimension, keep_measures, latents_study, variances
from ddoq_core.config.profile import Profile
from ddoq_core.networks.fitting import initialised
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run


def normal(*shape) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_rng(0, "latents", *shape), dtype=torch.float64)


@pytest.mark.parametrize("d", [2, 5])
def test_the_dimension_of_a_flat_cloud_is_found_whatever_the_space_about_it(d):
    flat = normal(1500, d) @ torch.linalg.qr(normal(40, d)).Q.T
    assert dimension(flat) == pytest.approx(d, rel=0.15)
    assert dimension(flat) < 0.7 * dimension(normal(1500, 40))


def test_a_distortion_curve_falls_and_is_lower_where_the_codebook_was_made():
    found = curve(normal(400, 30), normal(400, 30) + 0.01, 0)
    assert found["K"] == [1, 2, 5, 10, 20, 50, 100]
    assert np.all(np.diff(found["training"]) < 0) and found["training"][0] == pytest.approx(30, rel=0.05)
    assert np.all(np.array(found["held_out"][1:]) > found["training"][1:])


def test_the_variance_between_cells_is_freed_of_the_noise_of_their_means():
    """Ten cells of 200 values: within a cell variance 9, the means of variance 1; and cells that differ by noise."""
    cell, between = torch.arange(10).repeat_interleave(20), []
    means = torch.tensor([-1.0, 1.0] * 5, dtype=torch.float64)
    for repetition in range(200):
        noise = 3 * torch.randn(200, 1, generator=torch_rng(1, "latents", repetition), dtype=torch.float64)
        alike, apart = (variances(m[cell][:, None] + noise, cell, 10) for m in (0 * means, means))
        between.append((alike["between"], apart["between"], apart["within"]))
    found = np.array(between)
    half = 3 * found.std(0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - [0, 1, 9]) < half)
    assert half[0] < 0.45 * 9 / 20  # the noise that is taken off, 9 / 20, would be seen


@pytest.fixture
def run(tiny, squares, tmp_path):
    with initialised(torch_rng(0, "latents", "autoencoder")):
        AutoencoderTiny(in_channels=1, out_channels=1, latent_channels=4).save_pretrained(tmp_path / "vae")
    profile = tiny.replace(
        prior="exact", autoencoder_path=str(tmp_path / "vae"), guidance_scale=1.0, ipc=[2, 3],
        artifacts=str(tmp_path / "store"),
    )  # fmt: skip
    found = Run(profile)
    found.__dict__["dataset"] = squares
    return found


def test_the_file_has_every_measure_and_is_not_made_twice(run, tmp_path, monkeypatch, squares):
    monkeypatch.setattr(module, "LEVEL", 2)
    monkeypatch.setattr(module, "WEIGHED", (2, 3))
    monkeypatch.setattr(module, "STRENGTHS", (0.0, 0.7))
    monkeypatch.setattr(module, "FRESH", range(1))
    monkeypatch.setattr(Run, "dataset", squares)
    path = tmp_path / "squares-measured.json"
    keep_measures(run, path)
    found = json.loads(path.read_text())
    assert found["n"] == [12] * 3 and found["held_out"] == [3] * 3 and len(found["dimension"]) == 3
    assert [p["kind"] + f"{p['strength']:g}" for p in found["pictures"]] == [
        "local0",
        "local0.7",
        "global0",
        "global0.7",
    ]
    for row in found["codebooks"]["3"]:
        by_counts, equal = row["training"]
        assert by_counts <= equal + 1e-6 and sum(row["counts"]) == 12  # Proposition 2
    ends = next(p for p in found["pictures"] if (p["kind"], p["strength"]) == ("global", 0.7))
    assert all(0 <= share <= 1 for share in ends["recognised"]) and len(ends["w2"]) == 3
    before = path.read_bytes()
    keep_measures(run, path)
    assert path.read_bytes() == before


def test_the_study_is_one_file_without_students():
    (part,) = latents_study(Profile.load("imagenette_cpu"))
    assert part.file == "imagenette_cpu-measured.json" and part.tasks == []
    assert (part.run.profile.quantizer, part.run.profile.n_passes, part.run.profile.start) == (
        "minibatch",
        1,
        "samples",
    )
