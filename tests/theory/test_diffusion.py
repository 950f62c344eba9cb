"""The reverse SDE brings the law back (Proposition 8): simulation against the exact kernel, both processes."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest, norm

from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.bounds import law_constant
from ddoq_core.theory.diffusion import (
    BROWNIAN,
    ORNSTEIN_UHLENBECK,
    euler_maruyama,
    exponential_integrator,
    probability_flow,
    reverse,
)
from ddoq_core.theory.measures import GaussianMixture, atoms

BOTH = pytest.mark.parametrize("process", [BROWNIAN, ORNSTEIN_UHLENBECK], ids=lambda p: p.name)


def mixture(d):
    rng = numpy_rng(0, "test", "mixture", d)
    return GaussianMixture([0.5, 0.3, 0.2], rng.standard_normal((3, d)), [0.5, 0.3, 0.8])


def cdf(law, x):
    """Of a mixture on a line."""
    return (law.masses.numpy() * norm.cdf((x[:, None] - law.means[:, 0].numpy()) / law.scales.numpy())).sum(1)


@BOTH
def test_the_bridge_is_what_gaussian_conditioning_says(process):
    delta, T = 0.4, 1.1
    alpha, beta, v = process.bridge(delta, T)
    a, noise = process.decay(T - delta), process.variance(T - delta)
    assert process.decay(T) == pytest.approx(a * process.decay(delta))  # a semigroup
    assert process.variance(T) == pytest.approx(a**2 * process.variance(delta) + noise)
    precision = 1 / process.variance(delta) + a**2 / noise
    assert v == pytest.approx(1 / precision)
    assert alpha == pytest.approx(v * process.decay(delta) / process.variance(delta))
    assert beta == pytest.approx(v * a / noise)


@BOTH
def test_the_reverse_kernel_brings_the_law_back(process):
    """sum over x ~ mu_T of the kernel from x is mu_delta: Chapman and Kolmogorov, by quadrature over x."""
    law, delta, T = mixture(1), 0.2, 0.9
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    weights = law.noised(process, T).log_density(x).exp()
    back = law.reversed(process, x, weights / weights.sum(), delta, T)
    at = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    torch.testing.assert_close(back.log_density(at), law.noised(process, delta).log_density(at), rtol=1e-8, atol=1e-8)


@BOTH
@pytest.mark.parametrize("step", [euler_maruyama, exponential_integrator])
def test_simulation_ends_in_the_exact_kernel_on_a_line(process, step):
    """Kolmogorov-Smirnov, 4,000 paths from one point, at significance 0.001."""
    law, delta, T = mixture(1), 0.1, 1.0
    exact = law.reversed(process, torch.tensor([[0.7]]), torch.ones(1), delta, T)
    start = torch.full((4000, 1), 0.7)
    end = reverse(law, process, start, delta, T, n_steps=200, rng=numpy_rng(0, "test", "paths"), step=step)
    assert kstest(end[:, 0].numpy(), lambda x: cdf(exact, np.asarray(x))).pvalue > 1e-3


@BOTH
@pytest.mark.parametrize("d", [2, 5])
def test_simulation_ends_in_the_exact_kernel_in_more_dimensions(process, d):
    """Hotelling's test of the mean and a z-test of the second moment, 4,000 paths, at significance 0.001 each."""
    law, delta, T, n = mixture(d), 0.1, 1.0, 4000
    point = torch.full((1, d), 0.5, dtype=torch.float64)
    exact = law.reversed(process, point, torch.ones(1), delta, T)
    end = reverse(law, process, point.expand(n, d), delta, T, n_steps=200, rng=numpy_rng(0, "test", "paths", d))
    mean = exact.masses @ exact.means
    away = end.mean(0) - mean
    assert n * away @ torch.linalg.solve(end.T.cov(), away) < chi2(d).ppf(0.999)
    second = (exact.masses * (exact.means.square().sum(1) + d * exact.scales.square())).sum()
    squares = end.square().sum(1)
    assert abs(squares.mean() - second) < norm.ppf(0.9995) * squares.std() / n**0.5


@BOTH
def test_one_atom_is_reached_exactly_in_one_step(process):
    alone = atoms(torch.tensor([[1.0, -2.0]]))
    start = torch.zeros(50, 2)
    end = reverse(alone, process, start, 0.0, 1.0, n_steps=1, rng=numpy_rng(0, "test"))
    torch.testing.assert_close(end, alone.means.expand(50, 2))


@BOTH
def test_coupled_paths_move_apart_by_the_law_constant_on_average(process):
    """On a line order is kept, so the mean distance of coupled paths is that of the laws ; 5,000 pairs."""
    R, delta, T, h = 1.0, 0.3, 1.0, 1e-3
    two = atoms(torch.tensor([[-R], [R]]))
    starts = torch.tensor([h, -h])[:, None, None].expand(2, 5000, 1)
    ends = reverse(two, process, starts, delta, T, n_steps=100, rng=numpy_rng(0, "test", "coupled"))
    apart = (ends[0] - ends[1])[:, 0] / (2 * h)
    assert (apart > 0).all()
    error = 4 * apart.std().item() / len(apart) ** 0.5
    assert apart.mean().item() == pytest.approx(law_constant(process, R, delta, T), abs=error)


@BOTH
def test_the_flow_of_the_ode_carries_a_gaussian_to_its_law(process):
    law, delta, T = GaussianMixture([1.0], [[0.4]], [0.7]), 0.1, 1.5
    at = {t: law.noised(process, t) for t in (delta, T)}
    x = at[T].means + at[T].scales * torch.tensor([[-1.5], [0.0], [2.0]])
    end = reverse(law, process, x, delta, T, n_steps=800, rng=numpy_rng(0, "test"), step=probability_flow)
    torch.testing.assert_close(
        (end - at[delta].means) / at[delta].scales, (x - at[T].means) / at[T].scales, atol=1e-2, rtol=0
    )


def test_the_exact_score_is_the_gradient_of_the_log_density():
    law, x = mixture(3).noised(ORNSTEIN_UHLENBECK, 0.3), torch.randn(20, 3, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_density(x).sum(), x)
    torch.testing.assert_close(law.score(x), gradient)


def test_the_score_of_a_large_cloud_makes_no_array_of_pairs_times_dimensions(monkeypatch):
    from ddoq_core.theory import measures

    monkeypatch.setattr(measures, "PAIRS", 5000)
    cloud = atoms(torch.randn(1000, 16, dtype=torch.float64)).noised(BROWNIAN, 0.5)
    largest = []
    original = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, "softmax", lambda t, dim: largest.append(t.numel()) or original(t, dim))
    x = torch.randn(40, 16, dtype=torch.float64)
    score = cloud.score(x)
    assert max(largest) <= 5000
    posterior = ((x[:, None] - cloud.means).square().sum(2) / -(2 * 0.5)).softmax(1)
    torch.testing.assert_close(score, (posterior @ cloud.means - x) / 0.5)


@pytest.mark.parametrize("delta", [-0.1, 1.0, float("nan")])
def test_a_time_outside_the_noise_is_refused(delta):
    with pytest.raises(InputError, match=r"but delta must be in \[0, T"):
        reverse(mixture(2), BROWNIAN, torch.zeros(3, 2), delta, 1.0, n_steps=5, rng=numpy_rng(0, "test"))
    with pytest.raises(InputError, match=r"but delta must be in \[0, T"):
        mixture(2).reversed(BROWNIAN, torch.zeros(3, 2), torch.ones(3) / 3, delta, 1.0)


def test_points_of_another_dimension_are_refused():
    with pytest.raises(InputError, match=r"points are \(3, 1\), but the measure is in R\^2; give \(n, 2\)"):
        reverse(mixture(2), BROWNIAN, torch.zeros(3, 1), 0.1, 1.0, n_steps=5, rng=numpy_rng(0, "test"))
