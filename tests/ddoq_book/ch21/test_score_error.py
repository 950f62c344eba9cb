"""The exact score of finite clouds in the place of a transformer, and what noise forgives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddoq_book.ch21 import score_error
from ddoq_book.ch21.class_cloud import ClassCloud
from ddoq_book.ch21.score_error import ExactScore, forgiven, signal_at, signals, wasserstein1
from ddoq_core.config.profile import Profile
from ddoq_core.priors.dit import NULL
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.theory.diffusion import ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import atoms

from ...tiny import SHAPE, D

PROFILE = Profile(n_steps=6, threads=1)


@pytest.fixture(scope="module")
def clouds() -> list[ClassCloud]:
    """Two classes of 12 latents each, about opposite centres; the codebook is the first three with their masses."""
    made = []
    for row, centre in enumerate((-1.0, 1.0)):
        z = centre + torch.from_numpy(numpy_rng(row, "clouds").standard_normal((20, D)))
        masses = torch.bincount(torch.cdist(z[:12], z[:3]).argmin(1), minlength=3) / 12
        made.append(ClassCloud(row, z[:12], z[12:], z[:3], masses.double()))
    return made


@pytest.mark.parametrize("t", [100, 500, 900])
def test_the_predicted_noise_is_the_score_of_the_noised_cloud(prior, clouds, t):
    a = signals(prior)[t].item()
    x = torch.randn(5, *SHAPE, generator=torch_rng(0, "x"))
    law = atoms(clouds[1].latents).noised(ORNSTEIN_UHLENBECK, -np.log(a))
    at, rows = torch.full((5,), t), torch.full((5,), 1)
    noise = ExactScore(prior, clouds)(x, timestep=at, class_labels=rows).sample.flatten(1)
    score = law.score(x.flatten(1).double())
    torch.testing.assert_close(noise.double(), -((1 - a) ** 0.5) * score, rtol=1e-4, atol=1e-4)


def test_without_a_class_the_score_is_that_of_all_clouds(prior, clouds):
    a = signals(prior)[900].item()
    x = torch.randn(3, *SHAPE, generator=torch_rng(0, "x"))
    law = atoms(torch.cat([cloud.latents for cloud in clouds])).noised(ORNSTEIN_UHLENBECK, -np.log(a))
    at, rows = torch.full((3,), 900), torch.full((3,), NULL)
    noise = ExactScore(prior, clouds)(x, timestep=at, class_labels=rows).sample.flatten(1)
    torch.testing.assert_close(
        noise.double(), -((1 - a) ** 0.5) * law.score(x.flatten(1).double()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_the_exact_score_run_to_time_0_returns_latents_of_the_class(prior, clouds, sampler):
    exact = replace(prior, transformer=ExactScore(prior, clouds))
    noise = [torch_rng(0, "noise", i) for i in range(4)]
    labels = torch.tensor([0, 0, 1, 1])
    ends = exact.denoise(None, labels, guidance=1.0, steps=20, noise=noise, sampler=sampler).flatten(1).double()
    for end, row in zip(ends, labels.tolist(), strict=True):
        assert (clouds[row].latents - end).norm(dim=1).min() < 0.01


def test_the_signal_is_that_of_the_first_step_that_denoise_takes(prior):
    assert signal_at(prior, 0.0, 6) == 1.0
    assert signal_at(prior, 1.0, 6) < signal_at(prior, 0.5, 6) < 1
    seen = []

    class Recorder(ExactScore):
        def forward(self, x, timestep, class_labels):
            seen.append(int(timestep[0]))
            return super().forward(x, timestep, class_labels)

    cloud = ClassCloud(0, torch.zeros(2, D).double(), torch.zeros(2, D), torch.zeros(1, D), torch.ones(1))
    spied = replace(prior, transformer=Recorder(prior, [cloud]))
    spied.denoise(
        torch.zeros(1, *SHAPE), torch.tensor([0]), strength=0.5, guidance=1.0, steps=6, noise=[torch_rng(0, "n")]
    )
    assert signals(prior)[seen[0]].item() == pytest.approx(signal_at(prior, 0.5, 6))


def test_noise_forgives_more_the_stronger_it_is_and_never_beyond_the_theorem(prior, clouds):
    weak, strong = forgiven(prior, clouds, [0.2, 0.9], 50, PROFILE.replace(strength=0.9))
    assert (strong.after < weak.after).all()
    for found in (weak, strong):
        assert (found.after < found.bound + found.floor).all()
    assert score_error.forgiven_table([weak, strong]).column("strength") == [0.2, 0.9]


def test_wasserstein_1_of_weightings_is_the_mass_moved_times_its_way():
    cost = np.array([[0.0, 2.0, 5.0], [2.0, 0.0, 4.0], [5.0, 4.0, 0.0]])
    assert wasserstein1(np.array([2, 0, 1]) / 3, cost) == pytest.approx(2 / 3)


def test_no_estimate_beats_the_exact_one_on_training_latents(prior, clouds):
    found = score_error.score_gaps(prior, clouds, [0.1, 0.7], 12, PROFILE)  # all of them
    again = score_error.score_gaps(prior, clouds, [0.1, 0.7], 12, PROFILE)
    assert (found.errors["exact, training"] < found.errors["learned, training"]).all()
    assert all((found.errors[name] == again.errors[name]).all() for name in found.errors)
    assert found.errors["exact, training"][0] == pytest.approx(0, abs=1e-3)  # little noise: it knows which one it was
    assert (found.guided["exact"] >= 0).all() and found.at(0.65) == 1
    score_error.score_figure(found)
