"""Clean codebooks, noised, and then any sampler: the bound holds, is attained, and no kernel undoes it."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from ddoq_book.ch15.divergence import kl, total_variation
from ddoq_book.ch16.renoise import (
    GRID,
    renoised,
    renoised_figure,
    renoised_table,
    skewed_cloud,
    slope_of,
    two_point_share,
)
from ddoq_book.ch16.scale import LatentScale, stable_diffusion
from ddoq_core.quantization import best_of_restarts
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import curvature_constant, renoised_curvature, renoised_total_variation
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK
from ddoq_core.theory.measures import atoms

BOTH = [BROWNIAN, ORNSTEIN_UHLENBECK]
LEVELS, TIMES = (1, 2, 4, 8, 16), (0.1, 0.5, 2.0)


@pytest.fixture(scope="module", params=BOTH, ids=lambda process: process.name)
def process(request):
    return request.param


@pytest.fixture(scope="module")
def found(process):
    return renoised(skewed_cloud(120), process, TIMES, LEVELS)


def test_the_constant_is_that_of_its_proof():
    assert renoised_total_variation(1.0) == pytest.approx(norm.pdf(1))
    assert quad(lambda x: abs(x * x - 1) * norm.pdf(x), -9, 9, points=(-1, 1))[0] / 4 == pytest.approx(norm.pdf(1))


def test_total_variation_never_exceeds_the_bound_and_nearly_reaches_it(found):
    """At T = 2 it would exceed a bound that were 10 % smaller."""
    assert all(at.tv <= at.bound for at in found)
    assert all(at.tv > 0.9 * at.bound for at in found if at.T == 2.0)


def test_a_symmetric_cell_attains_the_constant():
    shares = [two_point_share(half) for half in (1.0, 0.3, 0.1, 0.03)]
    assert shares == sorted(shares) and all(share < 1 for share in shares)
    assert shares[-1] == pytest.approx(1, abs=3e-4)


def test_with_the_exact_reverse_sde_the_error_is_of_second_order_in_the_clean_codebook(process, found):
    for at in found:
        G = at.bound / renoised_total_variation(process.signal_to_noise(at.T))
        assert at.after <= curvature_constant(process, 1.0, 0.0, at.T) / 2 * process.decay(at.T) ** 2 * G
    for T in (0.5, 2.0):
        assert slope_of(found, T, "after") == pytest.approx(-2, abs=0.25)
        assert slope_of(found, T, "tv") == pytest.approx(-2, abs=0.25)
        assert slope_of(found, T, "clean") == pytest.approx(-1, abs=0.2)
        rows = [at for at in found if at.T == T]
        assert rows[-1].uniform > rows[1].uniform / 2 > 20 * rows[-1].after  # uniform weights stay on a floor


def test_the_lipschitz_form_is_attained_by_the_modulus(process):
    """f(x) = |x| and the sampler that does nothing: E|a h + v^(1/2) N| - E|v^(1/2) N| to second order in h."""
    T, h = 0.7, 1e-2
    a, v = process.decay(T), process.variance(T)

    def of(m):
        return quad(lambda x: abs(m + math.sqrt(v) * x) * norm.pdf(x), -12, 12, points=(-m / math.sqrt(v),))[0]

    share = (of(a * h) - of(0.0)) / (renoised_curvature(process, T) / 2 * h**2)
    assert 0.999 < share <= 1 + 1e-4


def test_forms_of_first_order_hold_for_any_codebook_and_are_attained_by_two_near_points(process):
    rng, T, snr = numpy_rng(0, "test", "first order"), 0.6, process.signal_to_noise(0.6)
    for _ in range(40):
        x, y = (torch.from_numpy(rng.uniform(-1, 1, (4, 1))) for _ in range(2))
        p, q = (torch.from_numpy(rng.dirichlet(np.ones(4))) for _ in range(2))
        mu, nu = atoms(x, p), atoms(y, q)
        W1 = ot.emd2(p.numpy(), q.numpy(), (x - y.T).abs().numpy())
        W2 = ot.emd2(p.numpy(), q.numpy(), (x - y.T).square().numpy())
        mu_T, nu_T = mu.noised(process, T), nu.noised(process, T)
        assert total_variation(nu_T, mu_T, GRID) <= math.sqrt(snr / (2 * math.pi)) * W1
        assert kl(nu_T, mu_T, GRID) <= snr / 2 * W2 + 1e-12
    near = [atoms(torch.tensor([[z]])).noised(process, T) for z in (0.0, 1e-2)]
    assert total_variation(*near, GRID) == pytest.approx(math.sqrt(snr / (2 * math.pi)) * 1e-2, rel=1e-3)
    assert kl(*near, GRID) == pytest.approx(snr / 2 * 1e-4, rel=1e-3)


def test_no_sampler_makes_the_total_variation_larger():
    """A hundred random samplers on a finite space: bins of a line, sent anywhere by a random kernel."""
    rng, data = numpy_rng(0, "test", "kernel"), skewed_cloud(60)
    best = best_of_restarts(data.means, 3, n_restarts=1, rng=rng)
    mu_T, nu_T = (m.noised(ORNSTEIN_UHLENBECK, 0.5) for m in (data, atoms(best.points, best.weights)))
    edges = torch.linspace(-3, 3, 41, dtype=torch.float64)
    in_bins = [torch.cat([edges.new_zeros(1), m.cdf(edges), edges.new_ones(1)]).diff().numpy() for m in (mu_T, nu_T)]
    bound = renoised_total_variation(ORNSTEIN_UHLENBECK.signal_to_noise(0.5)) * best.distortion
    for _ in range(100):
        S = rng.dirichlet(np.full(5, rng.uniform(0.01, 1)), 42)
        assert np.abs(in_bins[0] @ S - in_bins[1] @ S).sum() / 2 <= total_variation(mu_T, nu_T, GRID) + 1e-9 <= bound


def test_the_form_of_round_cells_is_the_chi_square_of_a_normal_mixture():
    """In one dimension by quadrature: N(0, s + 1) against N(0, 1), with s = a^2/v."""
    at = LatentScale(1, 0.2)
    s = at.signal_to_noise
    chi = quad(lambda x: norm.pdf(x, scale=math.sqrt(1 + s)) ** 2 / norm.pdf(x), -30, 30)[0] - 1
    assert at.of_round_cells() == pytest.approx(math.sqrt(chi) / 2, rel=1e-6)
    assert math.isinf(LatentScale(1, 0.6).of_round_cells())


def test_at_the_scale_of_stable_diffusion_only_round_cells_of_full_noise_are_not_vacuous():
    full, run = stable_diffusion(), stable_diffusion(0.7)
    assert renoised_total_variation(full.signal_to_noise) * full.d > 1
    assert full.of_round_cells() < 0.5 and run.of_round_cells() > 1


def test_table_and_figure_show_every_time_and_level(found):
    table = renoised_table(found, (1.0, 0.1))
    assert [len(row) for row in table.rows] == [1 + len(LEVELS)] * len(TIMES) and "±0.1" in table.notes[0]
    assert len(renoised_figure(found).axes) == 2
