"""Lemma 12 on random clouds: the monotonicity of the reverse SDE's drift, by the radius and by half the diameter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import atoms


@dataclass(frozen=True, eq=False)
class Monotonicity:
    """Lemma 12 on random clouds: largest eigenvalues of Hess log p_t as shares of their bounds."""

    by_radius: Float[ndarray, " n"]  # (lambda_max + 1/t) t^2 / R^2
    by_diameter: Float[ndarray, " n"]  # the same over (D / 2)^2
    two_atoms: float  # by_radius for two atoms, halfway between them


def monotonicity(dimensions: Sequence[int], n_clouds: int, seed: int) -> dict[int, Monotonicity]:
    """Random clouds of 2 to 12 points at random places and times; no share is above 1."""
    found = {}
    for d in dimensions:
        shares = []
        for i in range(n_clouds):
            rng = numpy_rng(seed, "15", "monotone", d, i)
            cloud = torch.from_numpy(rng.standard_normal((rng.integers(2, 13), d)))
            t, place = float(rng.uniform(0.02, 2)), cloud.mean(0) + torch.from_numpy(rng.standard_normal(d) / 2)
            covariance = t + t**2 * torch.linalg.eigvalsh(atoms(cloud).score_jacobian(BROWNIAN, place, t))[-1].item()
            radius, half_diameter = cloud.norm(dim=1).max().item(), torch.pdist(cloud).max().item() / 2
            shares.append((covariance / radius**2, covariance / half_diameter**2))
        two = atoms(torch.stack([torch.ones(d), -torch.ones(d)]) / d**0.5)
        middle = torch.linalg.eigvalsh(two.score_jacobian(BROWNIAN, torch.zeros(d), 0.5))[-1].item()
        found[d] = Monotonicity(*np.array(shares).T, two_atoms=0.5 + 0.25 * middle)
    return found


def simplex_radii(d: int) -> tuple[float, float, float]:
    """R^2 of the enclosing ball, (D/2)^2, and the largest eigenvalue of the covariance, of d points at distance sqrt 2.

    The eigenvalue is the largest over all masses on the points, attained by two points of mass 1/2.
    """
    masses = torch.zeros(d)
    masses[:2] = 0.5
    return 1 - 1 / d, 0.5, torch.linalg.eigvalsh(atoms(torch.eye(d), masses).covariance())[-1].item()
