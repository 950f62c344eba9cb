"""Divergences of measures on a line, by closed form or quadrature; by Theorem 9 they never rise."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.errors import InputError
from ddoq_core.theory.diffusion import Process
from ddoq_core.theory.measures import GaussianMixture


def kl_normal(mean: float, variance: float, other_mean: float = 0.0, other_variance: float = 1.0) -> float:
    """KL(N(mean, variance) || N(other_mean, other_variance)), in nats."""
    if not (variance > 0 and other_variance > 0):
        raise InputError(f"variances are {variance:g} and {other_variance:g}, but a density needs variances above 0")
    ratio = variance / other_variance
    return (ratio - 1 - math.log(ratio) + (mean - other_mean) ** 2 / other_variance) / 2


def kl(p: GaussianMixture, q: GaussianMixture, grid: Float[Tensor, " n"]) -> float:
    """KL(p || q) = int p log(p / q) - p + q on a line, by the trapezoidal rule on the grid; exact if both are atoms.

    Both must have the same atoms (a component of `p` counts for the atom of `q` at the same place).
    """
    if not (p.scales.any() or q.scales.any()):
        p_mass, q_mass = _masses_of_atoms(p, q)
        return (torch.special.xlogy(p_mass, p_mass / q_mass) - p_mass + q_mass).sum().item()
    log_p, log_q = (m.log_density(grid[:, None]) for m in (p, q))
    return torch.trapezoid(log_p.exp() * (log_p - log_q) - log_p.exp() + log_q.exp(), grid).item()


def total_variation(p: GaussianMixture, q: GaussianMixture, grid: Float[Tensor, " n"]) -> float:
    """TV(p, q) = 1/2 int |p - q|, by the same rule: the error in expectation of the worst f with values in [0, 1]."""
    if not (p.scales.any() or q.scales.any()):
        p_mass, q_mass = _masses_of_atoms(p, q)
        return (p_mass - q_mass).abs().sum().item() / 2
    p_density, q_density = (m.log_density(grid[:, None]).exp() for m in (p, q))
    return torch.trapezoid((p_density - q_density).abs(), grid).item() / 2


def pushed_normal(
    data: GaussianMixture, process: Process, mean: float, variance: float, delta: float, T: float
) -> tuple[float, float]:
    """Mean and variance at delta of the reverse SDE of normal data on a line, which is linear, from N(mean, variance)
    at T."""
    if len(data.masses) != 1 or data.d != 1:
        raise InputError(f"{len(data.masses)} components in R^{data.d}; give a normal law, one component on a line")
    at_0, at_1 = (data.reversed(process, torch.tensor([[x]]), torch.ones(1), delta, T) for x in (0.0, 1.0))
    gain = (at_1.means - at_0.means).item()
    return at_0.means.item() + gain * mean, gain**2 * variance + at_0.scales.square().item()


def _masses_of_atoms(p: GaussianMixture, q: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Masses of p and of q on the atoms of q."""
    places, of_q = torch.unique(q.means[:, 0], return_inverse=True)
    of_p = torch.searchsorted(places, p.means[:, 0].contiguous())
    if (of_p == len(places)).any() or (places[of_p.clamp_max(len(places) - 1)] != p.means[:, 0]).any():
        raise InputError("p has an atom where q has none: its divergence from q is infinite")
    return tuple(
        torch.zeros(len(places), dtype=torch.float64).index_add_(0, at, m.masses) for at, m in ((of_p, p), (of_q, q))
    )
