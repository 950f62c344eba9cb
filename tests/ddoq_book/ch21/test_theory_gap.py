"""What samplers make of centroids, beside real latents: shapes, keys, and the rows that must agree."""

from dataclasses import dataclass, replace

import pytest
import torch

from ddoq_book.ch21 import theory_gap
from ddoq_book.ch21.class_cloud import ClassCloud
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Store

from ...tiny import D, noise_images, random_prior

K, R = 2, 2


@dataclass(frozen=True)
class FakeRun(Run):
    """What the gaps ask of a run."""

    dataset: object
    teacher: object


@pytest.fixture
def found(tmp_path) -> theory_gap.GapSetting:
    """Two classes of random latents under a prior of random weights."""
    clouds, data = [], noise_images()
    profile = Profile(image_size=16, teacher="convnet-8", teacher_epochs=1, n_steps=3, threads=1)
    for row in range(2):
        z = torch.randn(20, D, generator=torch_rng(row, "z")).double()
        masses = torch.bincount(torch.cdist(z[:12], z[:K]).argmin(1), minlength=K).double() / 12
        clouds.append(ClassCloud(row, z[:12], z[12:], z[:K], masses))
    run = FakeRun(profile, data, teacher(Store(tmp_path), data, profile))
    return theory_gap.GapSetting(run, random_prior(), clouds)


def test_every_sampler_is_compared_and_the_checkpoints_own_is_not_run_twice(found):
    draws = theory_gap.all_draws(found, R)
    g = f"{found.run.profile.guidance_scale:g}"
    samplers = {
        f"{score}/{name}/{scale}" for score in ("learned", "exact") for name in ("ddim", "ddpm") for scale in ("1", g)
    }
    assert set(draws) == samplers | {f"noise/ddim/{scale}" for scale in ("1", g)} | {"codebook", "real", "shrunk"}
    own = theory_gap.denoised(found, found.prior, "checkpoint", 1.0, R)
    assert torch.equal(own, draws["learned/ddim/1"].latents)
    assert own.shape == (2, K, R, D) and draws["real"].latents.shape == (2, K, R, D)
    ends = draws["exact/ddim/1"].latents[0].flatten(0, 1)
    assert torch.cdist(ends, found.clouds[0].latents).min(1).values.max() < 0.1


def test_measured_rows_and_tables_hold_what_their_captions_say(found):
    draws = theory_gap.all_draws(found, R)
    measured = theory_gap.measure(found, draws)
    assert (
        theory_gap.key_as_run(found) in measured
        and theory_gap.key_as_run(found, "exact", guidance=1.0) == "exact/ddim/1"
    )
    assert measured["codebook"].values["W2"] == pytest.approx([1, 1])
    assert "within" not in measured["real"].values and "within" in measured["learned/ddpm/1"].values
    zero = measured["real"].minus(measured["real"])
    assert (zero.mean("W2").value, zero.mean("W2").half) == (0, 0)
    assert 0 < measured["codebook"].uniform_minus_masses("W2").value < 1
    assert theory_gap.in_prose("W2", zero.mean("W2")) == "0.00 ± 0.00"
    assert theory_gap.same_ends(draws["real"], draws["real"]) == pytest.approx([100, 100])
    for table in (theory_gap.distances_table(measured), theory_gap.moments_table(measured)):
        assert len(table.rows) == len(measured) and "n = 2 classes" in table.notes[-1]
    assert theory_gap.moments_table(measured).column("within a centroid")[-1] is None
    theory_gap.samplers_figure(found, draws, 7)


def test_a_draw_keeps_its_noise_whatever_the_number_of_draws(found):
    few, more = (theory_gap.denoised(found, found.prior, "ddpm", 1.0, n) for n in (1, 3))
    torch.testing.assert_close(few[:, :, 0], more[:, :, 0], rtol=1e-4, atol=1e-4)


def test_without_noise_every_sampler_returns_the_codebook(found):
    still = replace(found, run=replace(found.run, profile=found.run.profile.replace(strength=0.0)))
    latents = theory_gap.denoised(still, still.prior, "ddpm", 2.0, 1)
    torch.testing.assert_close(latents[0, :, 0], still.clouds[0].points, rtol=1e-6, atol=1e-6)


def test_the_yardstick_is_as_large_as_the_validation_images_allow(found):
    assert theory_gap.n_places(found.clouds, 2) == K
    assert theory_gap.n_places(found.clouds, 5) == 1
    with pytest.raises(InputError, match="set gap_draws=7"):
        theory_gap.n_places(found.clouds, 8)
