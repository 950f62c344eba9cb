"""The measured error of a learned score in section 8's bound: its integrals, its draws, and when it is void."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddoq_book.ch21 import score_bound
from ddoq_book.ch21.class_cloud import ClassCloud
from ddoq_book.ch21.score_error import ExactScore, signals
from ddoq_core.config.profile import Profile
from ddoq_core.randomness import numpy_rng

from ...tiny import D

PROFILE, SHARES = Profile(n_steps=20, threads=1), [0.2, 0.9]


@pytest.fixture(scope="module")
def clouds() -> list[ClassCloud]:
    """Two classes of 12 latents each, with the stationary codebook of halves."""
    made = []
    for row in (0, 1):
        z = torch.from_numpy(numpy_rng(row, "clouds").standard_normal((20, D))) / 4
        halves = torch.stack([z[:6].mean(0), z[6:12].mean(0)])
        made.append(ClassCloud(row, z[:12], z[12:], halves, torch.tensor([0.5, 0.5]).double()))
    return made


class WrongBy(ExactScore):
    """The exact prediction of the noise, wrong by a constant in every coordinate; what it is asked is kept."""

    def __init__(self, prior, clouds, by):
        super().__init__(prior, clouds)
        self.by, self.seen = by, []

    def forward(self, x, timestep, class_labels):
        self.seen.append((int(timestep[0]), x))
        answer = super().forward(x, timestep, class_labels)
        answer.sample = answer.sample + self.by
        return answer


def test_a_constant_error_of_the_noise_is_integrated_over_the_clock(prior, clouds):
    wrong = replace(prior, transformer=WrongBy(prior, clouds, 0.1))
    found = score_bound.score_bounds(wrong, clouds, SHARES, 40, 5, PROFILE)
    alphas = signals(prior)
    last = max(t for t, _ in wrong.transformer.seen)
    for share, at in zip(SHARES, found, strict=True):
        t = -alphas[round(share * last) : last + 1].log().numpy()
        exact = D * 0.01 * np.trapezoid(1 / -np.expm1(-t), t)
        for mean in at.squared.values():
            assert mean.value == pytest.approx(exact, rel=2e-3)
            assert mean.half == pytest.approx(0, abs=1e-6) and mean.n == 10
        assert at.pinsker.value == pytest.approx(exact**0.5 / 2, rel=1e-3)
        assert at.bound >= at.quantization + at.pinsker.value - 1e-6


def test_draws_of_the_start_come_to_training_latents_and_those_of_the_data_are_noised_ones(prior, clouds):
    spied = replace(prior, transformer=WrongBy(prior, clouds, 0.0))
    found = score_bound.score_bounds(spied, clouds, [0.0], 3, 8, PROFILE)[0]
    assert found.squared["start"].value == pytest.approx(0, abs=1e-6) and found.bound >= found.quantization
    assert found.below_one == pytest.approx(1, abs=1e-3)  # KL = 0: no distance at all
    step, x = spied.transformer.seen[0]
    assert step == 0  # hardly any noise is left
    for draws in x.flatten(1).double().split(8):
        assert torch.cdist(draws, clouds[0].latents).amin(1).max() < 6 * (D * (1 - signals(prior)[0].item())) ** 0.5


def test_shorter_processes_meet_less_error_and_the_table_has_a_row_each(prior, clouds):
    found = score_bound.score_bounds(prior, clouds, SHARES, 4, 6, PROFILE)
    long, short = found
    assert long.squared["data"].value > short.squared["data"].value and long.met > short.met
    assert long.level < short.level
    assert score_bound.score_bounds_table(found).column("largest error") == [long.largest, short.largest]


def test_without_noise_there_is_nothing_to_integrate(prior, clouds):
    found = score_bound.score_bounds(prior, clouds, SHARES, 4, 6, PROFILE.replace(strength=0.0))
    assert all(at.squared["data"].value == 0 and at.met == 0 for at in found)
    score_bound.score_bounds_table(found)
