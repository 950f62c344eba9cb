"""Classifier-free guidance: how far paths part (attained), and the end, which is not the tilted law."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ddoq_book.ch15.guidance import guided, guided_ends, normal_ends
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import flow_slope, log_pathwise_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK, probability_flow
from ddoq_core.theory.measures import atoms

BOTH = pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)
DELTA, T = 0.3, 1.0


@BOTH
@pytest.mark.parametrize("d", [1, 3])
def test_two_atoms_and_one_between_them_attain_the_guided_slope_and_nearly_so_a_mixture_of_both(process, d):
    w, e = 2.0, torch.ones(1, d, dtype=torch.float64) / d**0.5
    h, S = 1e-6, flow_slope(process, math.sqrt(w), DELTA, T)
    two, between = atoms(torch.cat([-e, e])), atoms(torch.zeros(1, d))
    mixture = atoms(torch.cat([-e, e, 0 * e]), torch.tensor([5e-5, 5e-5, 1 - 1e-4], dtype=torch.float64))
    for everything, close in ((between, 0.98), (mixture, 0.97)):
        ends = guided(
            two, everything, process, torch.cat([h * e, -h * e]), w, DELTA, T, n_steps=600,
            rng=numpy_rng(0, "unused"), step=probability_flow,
        )  # fmt: skip
        slope = ((ends[0] - ends[1]).norm() / (2 * h)).item()
        assert close * S < slope < 1.01 * S  # a constant 10 % smaller is exceeded
        assert slope > 1.5 * flow_slope(process, 1, DELTA, T)  # and so is the one without guidance


class Small(np.random.Generator):
    """Noise that is as small as it may be with positive probability."""

    def standard_normal(self, size):
        return 1e-3 * super().standard_normal(size)


@BOTH
def test_where_the_noise_is_small_paths_of_the_sde_part_by_nearly_the_guided_constant(process):
    """So no smaller constant holds almost surely, with guidance (2) and without (1)."""
    h, two, between = 1e-6, atoms(torch.tensor([[-1.0], [1.0]])), atoms(torch.zeros(1, 1))
    for w in (1.0, 2.0):
        start = torch.tensor([[[h]], [[-h]]])
        ends = guided(two, between, process, start, w, DELTA, T, n_steps=600, rng=Small(np.random.PCG64(0)))
        C = math.exp(log_pathwise_constant(process, math.sqrt(w), DELTA, T))
        slope = (ends[0] - ends[1]).item() / (2 * h)
        assert 0.97 * C < slope < 1.01 * C  # a constant 10 % smaller is exceeded


@BOTH
def test_no_two_guided_paths_part_by_more_than_the_constant_of_one_class(process):
    rng, largest = numpy_rng(0, "test", "guidance"), 0.0
    for trial in range(15):
        d, w = int(rng.integers(1, 4)), float(rng.uniform(1, 4))
        cloud = torch.from_numpy(rng.standard_normal((8, d)) * 1.5)
        one = cloud[: int(rng.integers(2, 4))]
        x = process.decay(T) * one.mean(0) + torch.from_numpy(rng.standard_normal((30, d))) / 2
        y = x + 1e-4 * torch.from_numpy(rng.standard_normal((30, d)))
        half = torch.pdist(one).max().item() / 2
        for step, log_bound in (("sde", 1.0), ("ode", 0.5)):
            kind = {"step": probability_flow} if step == "ode" else {}
            start = torch.stack([x, y])
            ends = guided(atoms(one), atoms(cloud), process, start, w, DELTA, T, n_steps=100, rng=rng, **kind)
            ratio = ((ends[0] - ends[1]).norm(dim=1) / (x - y).norm(dim=1)).max().item()
            log_C = log_pathwise_constant(process, math.sqrt(w) * half, DELTA, T)
            log_C += process.rate * (T - DELTA) if step == "ode" else 0
            assert math.log(ratio) <= log_bound * log_C + 0.02, trial
            largest = max(largest, math.log(ratio) - log_bound * log_C)
    assert largest > -1  # some come within a factor of e


@BOTH
def test_the_hessian_of_the_guided_field_is_below_that_of_the_theorem_whatever_everything_is(process):
    rng, shares = numpy_rng(0, "test", "guided hessian"), []
    for trial in range(200):
        d, w, t = int(rng.integers(1, 5)), float(rng.uniform(1, 8)), float(rng.uniform(0.1, 2))
        cloud = torch.from_numpy(rng.standard_normal((9, d)))
        one = cloud[:2] if trial % 2 else cloud[:5]
        x = process.decay(t) * one.mean(0) + torch.from_numpy(rng.standard_normal(d)) * (trial % 3) / 4
        H = w * atoms(one).score_jacobian(process, x, t) - (w - 1) * atoms(cloud).score_jacobian(process, x, t)
        a, v, D = process.decay(t), process.variance(t), torch.pdist(one).max().item()
        shares.append((torch.linalg.eigvalsh(H)[-1].item() + 1 / v) / (w * (a * D / (2 * v)) ** 2))
    assert 0.5 < max(shares) <= 1 + 1e-9


@pytest.mark.parametrize(("share", "w"), [(0.9, 2.0), (0.5, 3.0), (0.2, 1.5), (0.34, 7.5)])
def test_the_closed_ends_solve_the_equations_of_mean_and_variance(share, w):
    """Brownian motion from N(0, T), T = 10^6; class N(1, share), everything N(0, 1)."""
    far, ends = 1e6, normal_ends(share, w)

    def drift(log_t, y, half, noise):
        t = math.exp(log_t)
        slope = w / (share + t) - (w - 1) / (1 + t)
        return t * half * (slope * y[0] - w / (share + t)), t * (2 * half * slope * y[1] - noise)

    for name, half, noise in (("SDE", 1.0, 1.0), ("ODE", 0.5, 0.0)):
        span = math.log(far), math.log(1e-9)
        mean, variance = solve_ivp(drift, span, (0.0, far), args=(half, noise), rtol=1e-9, atol=1e-9).y[:, -1]
        assert mean == pytest.approx(ends[name].mean, rel=3e-3)
        assert variance == pytest.approx(share * ends[name].variance, rel=1e-4)


def test_ends_are_narrower_than_the_tilted_law_and_the_sde_goes_farther_out():
    for share in np.linspace(0.05, 0.95, 10):
        for w in (1.2, 2.0, 4.0, 7.5):
            sde, ode, tilted = (normal_ends(share, w)[name] for name in ("SDE", "ODE", "tilted"))
            assert ode.variance < sde.variance < tilted.variance
            assert sde.mean > tilted.mean
    alone, alike = normal_ends(0.4, 1.0), normal_ends(1 - 1e-6, 3.0)
    for name in alone:
        assert (alone[name].mean, alone[name].variance) == pytest.approx((1, 1))  # no guidance: the class
        assert (alike[name].mean, alike[name].variance) == pytest.approx((3, 1), rel=1e-4)  # equal widths: tilted


def test_simulated_ends_are_those_of_the_closed_form_and_not_the_tilted_ones():
    found = guided_ends(2.0, 4000, 600, 0)
    normal = {row[0]: row[1:] for row in found["class and everything normal"].rows()}
    for name in ("SDE", "ODE"):
        mean, variance, exact_mean, exact_variance = normal[name]
        assert mean == pytest.approx(exact_mean, rel=0.02)
        assert variance == pytest.approx(exact_variance, rel=0.08)
        assert variance < 0.85 * normal["tilted"][1]
    assert normal["tilted"][:2] == pytest.approx(normal["tilted"][2:], rel=1e-3)
    assert all(row[3] is None for row in found["two normal classes"].rows())
