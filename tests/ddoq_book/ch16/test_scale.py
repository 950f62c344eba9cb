"""The scale of Stable Diffusion: one noise, told by two clocks."""

import pytest

from ddoq_book.ch16.scale import stable_diffusion
from ddoq_core.theory import bounds
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK


def test_both_clocks_tell_the_signal_to_noise_of_the_schedule():
    at = stable_diffusion()
    assert at.signal == pytest.approx(0.0047, abs=5e-5) and (at.d, at.R) == (16384, 128)
    for process in (BROWNIAN, ORNSTEIN_UHLENBECK):
        ratio = process.signal_to_noise(at.clock(process))
        assert ratio == pytest.approx(at.signal / (1 - at.signal), rel=1e-9)


def test_the_clock_of_one_process_is_not_that_of_the_other():
    """5.4 is a time of the Ornstein-Uhlenbeck process; of Brownian motion it would be 40 times too short."""
    at = stable_diffusion()
    T = at.clock(ORNSTEIN_UHLENBECK)
    assert pytest.approx(5.37, abs=0.01) == T and at.clock(BROWNIAN) == pytest.approx(213.6, abs=0.1)
    right, wrong = (bounds.law_constant(BROWNIAN, at.R, 0.0, t) for t in (at.clock(BROWNIAN), T))
    assert (right, wrong) == pytest.approx((76.7, 3052), rel=1e-3)
    assert bounds.law_constant(ORNSTEIN_UHLENBECK, at.R, 0.0, T) == pytest.approx(1123.7, abs=0.1)
