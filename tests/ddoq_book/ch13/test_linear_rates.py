"""Steps of CLVQ and their linear theory, against what is known by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import expon, laplace, norm, uniform

from ddoq_book.ch13.linear_rates import cell_masses, eq15, linearise, step_laws
from ddoq_core.errors import InputError
from ddoq_core.quantization import clvq, exact_gradient, exact_quantizer


def test_two_points_of_the_normal_law_are_as_worked_out_by_hand():
    two = linearise(norm(), 2)
    assert two.slowest == pytest.approx(1 / 2 - 1 / math.pi, abs=1e-8)  # central differences of step 1e-5
    assert 1 - two.slowest_lloyd == pytest.approx(2 / math.pi, abs=1e-8)


def test_a_single_point_feels_the_whole_law():
    one = linearise(expon(), 1)
    assert one.drift[0, 0] == pytest.approx(1, abs=1e-8)
    assert one.noise[0, 0] == pytest.approx(1, abs=1e-6)  # the variance


@pytest.mark.parametrize("law", [norm(), expon(), uniform(), laplace()], ids=["norm", "expon", "uniform", "laplace"])
def test_the_noise_of_the_points_adds_up_to_the_distortion(law):
    found = linearise(law, 5)
    assert np.trace(found.noise[:5, :5]) == pytest.approx(found.best.distortion, rel=1e-6)


def test_moving_points_moves_mass_but_makes_none():
    drift = linearise(norm(), 5).drift
    assert np.abs(drift[5:, :5].sum(0)).max() < 1e-9
    assert cell_masses(norm(), np.array([-1.0, 0.0, 1.0])).sum() == pytest.approx(1)


def test_the_laplace_law_is_flat_for_an_even_number_of_points():
    with pytest.raises(InputError, match=r"K = 2 points of laplace is flat"):
        linearise(laplace(), 2)


def test_steps_on_the_flat_distortion_leave_an_error_like_one_over_their_sum():
    """Laplace law, K = 2, both points shifted: the drift is of second order, so there is a rate, though a slow one."""
    law, best = laplace(), exact_quantizer(laplace(), 2).points
    for steps in (np.full(40_000, 0.05), 20 / (np.arange(400_000) + 400)):
        x, products = best + 0.3, []
        for k, gamma in enumerate(steps):
            x = x - gamma / 2 * laplace_gradient(x)
            if k in (len(steps) // 4, len(steps) - 1):
                products.append((x - best).mean() * steps[: k + 1].sum())
        assert products[1] == pytest.approx(products[0], rel=0.15)
        assert 0 < (x - best).mean() < 0.05
    at = best + 0.07
    assert laplace_gradient(at) == pytest.approx(exact_gradient(law, at), abs=1e-12)


def laplace_gradient(x):
    """Of two points of the Laplace law by closed forms: -2 int_{C_i} (xi - x_i) p, its boundary right of 0."""
    edge = (x[0] + x[1]) / 2
    tail = math.exp(-edge) / 2
    right = tail * (1 + edge), tail  # first moment and mass of [edge, infinity)
    return -2 * np.array([-right[0] - x[0] * (1 - right[1]), right[0] - x[1] * right[1]])


@pytest.mark.parametrize("K", [2, 3, 5, 10, 20])
def test_the_slowest_rate_of_the_normal_law_is_at_most_the_distortion_over_the_number_of_points(K):
    """Moved together by h, points of N(0, 1) cost 2 G h^2 / 2 more, by Stein's identity: lambda <= G / K."""
    at = linearise(norm(), K)
    together = np.ones(K) @ at.drift[:K, :K] @ np.ones(K)
    assert together == pytest.approx(at.best.distortion, rel=1e-6)  # half the second derivative in h
    assert at.slowest <= at.best.distortion / K * (1 + 1e-6)
    assert at.slowest > 0.99 * at.best.distortion / K  # a bound 10 % smaller is not one
    assert (at.slowest == pytest.approx(at.best.distortion / 2, rel=1e-6)) == (K == 2)


def test_which_sums_are_finite():
    laws = step_laws(5).values()
    assert [law.name for law in laws if not law.satisfies_proposition_7] == ["0.01"]
    assert [law.name for law in laws if not law.satisfies_robbins_monro] == ["(k + 2)^−0.4", "0.01"]


@pytest.mark.parametrize("law", step_laws(5).values(), ids=step_laws(5))
def test_the_stated_exponent_is_that_of_the_steps(law):
    near, far = law.steps(np.array([10**6, 10**7]))
    assert math.log10(near / far) == pytest.approx(law.exponent, abs=1e-3)
    assert 0 < law.steps(np.array([0]))[0] < 1


def test_one_point_by_the_running_mean_errs_like_the_mean():
    # K = 1, gamma = 1 / (k + 2): the error is normal with variance 1 / k, so E|error| = sqrt(2 / (pi k))
    one, law = linearise(norm(), 1), step_laws(1)["1 / (k + 2)"]
    assert one.exponent(law) == 0.5
    of_points, _ = one.levels(law, 10_000)
    assert of_points * 100 == pytest.approx(math.sqrt(2 / math.pi), rel=0.02)  # 20,000 draws: 3 standard errors


def test_companion_weights_of_held_points_tremble_as_said():
    # two cells of mass 1/2: w_1 is normal with variance gamma / 2 times 1/4, and w_2 errs as much
    found, law = linearise(uniform(), 2), step_laws(2)["0.01"]
    held = dataclasses.replace(found, drift=np.block([[found.drift[:2]], [np.zeros((2, 2)), np.eye(2)]]))
    assert held.levels(law, 0)[1] == pytest.approx(math.sqrt(0.01 / 2 / 4 * 2 / math.pi), rel=0.02)
    assert found.levels(law, 0)[1] > held.levels(law, 0)[1]  # points that tremble add to it


def test_steps_too_small_keep_the_start():
    found, laws = linearise(norm(), 5), step_laws(5)
    assert found.levels(laws["1 / (k + 2)"], 0) is None and found.levels(None, 0) is None
    assert found.exponent(laws["1 / (k + 2)"]) == pytest.approx(found.slowest)
    left = [found.start_left(laws["1 / (k + 2)"], n) for n in (1_000, 100_000)]
    assert left[1] / left[0] == pytest.approx(100**-found.slowest, rel=1e-3)
    assert found.start_left(None, 5 * 999) == pytest.approx(1000**-found.slowest_lloyd)


def test_eq_15_as_printed_moves_the_losers_and_as_meant_only_the_winner():
    x = np.array([0.0, 1.0])
    assert eq15(x, 0.8, 0.5, printed=False) == pytest.approx([0, 0.9])
    assert eq15(x, 0.8, 0.5, printed=True) == pytest.approx([0.4, 0.9])  # 0 - 0.5 (0 - 0.8)


def test_eq_15_as_meant_is_algorithm_1():
    X, start, gamma = np.random.default_rng(0).random(50), np.array([0.2, 0.5, 0.9]), 0.3
    x = start
    for sample in X:
        x = eq15(x, sample, gamma, printed=False)
    columns = (torch.from_numpy(v)[:, None] for v in (X, start))
    assert x == pytest.approx(clvq(*columns, steps=lambda k: np.full(len(k), gamma)).points[:, 0].numpy(), abs=1e-12)
