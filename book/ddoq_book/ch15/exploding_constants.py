"""Figures and numbers on Lemma 12 and Remark 14: how steep a score is, and what explodes as noise goes to zero."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from ddoq_core.keys import numpy_rng
from ddoq_core.theory.bounds import flow_slope, law_constant, log_pathwise_constant
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import atoms
from ddoq_core.theory.transport import wasserstein1_on_line, wasserstein2_on_line

from ..style import BLUE, BROWN, INK, PURPLE, VERMILION, figure_style, label, subplots

TWO_ATOMS = atoms(torch.tensor([[-1.0], [1.0]]))


@dataclass(frozen=True)
class Monotonicity:
    """Lemma 12 on random clouds: largest eigenvalues of Hess log p_t as shares of what bounds them."""

    by_radius: Float[ndarray, " n"]  # (lambda_max + 1/t) t^2 / R^2
    by_diameter: Float[ndarray, " n"]  # the same over (D / 2)^2
    two_atoms: float  # by_radius of two atoms, half way between them


def monotonicity(dimensions: Sequence[int], n_clouds: int, seed: int) -> dict[int, Monotonicity]:
    """Random clouds of 2 to 12 points, at random places and times: no share is above 1."""
    found = {}
    for d in dimensions:
        shares = []
        for i in range(n_clouds):
            rng = numpy_rng(seed, "15", "monotone", d, i)
            cloud = torch.from_numpy(rng.standard_normal((rng.integers(2, 13), d)))
            t, place = float(rng.uniform(0.02, 2)), cloud.mean(0) + torch.from_numpy(rng.standard_normal(d) / 2)
            covariance = t + t**2 * torch.linalg.eigvalsh(atoms(cloud).score_jacobian(BROWNIAN, place, t))[-1].item()
            shares.append(
                (
                    covariance / cloud.norm(dim=1).max().item() ** 2,
                    covariance / (torch.pdist(cloud).max().item() / 2) ** 2,
                )
            )
        two = atoms(torch.stack([torch.ones(d), -torch.ones(d)]) / d**0.5)
        middle = torch.linalg.eigvalsh(two.score_jacobian(BROWNIAN, torch.zeros(d), 0.5))[-1].item()
        found[d] = Monotonicity(*np.array(shares).T, two_atoms=0.5 + 0.25 * middle)
    return found


def simplex_radii(d: int) -> tuple[float, float, float]:
    """R^2 of the enclosing ball, (D/2)^2, and the largest eigenvalue of the covariance, of d points at distance sqrt 2.

    The eigenvalue is the largest over all masses on them: two points of mass 1/2.
    """
    masses = torch.zeros(d)
    masses[:2] = 0.5
    return 1 - 1 / d, 0.5, torch.linalg.eigvalsh(atoms(torch.eye(d), masses).covariance())[-1].item()


@figure_style()
def explosion_figure(T: float, shift: float) -> Figure:
    """Two atoms: how far two starts +-h move apart, by four measures, as delta -> 0."""
    deltas = np.geomspace(0.02, 0.9, 18) * T
    levels = np.unique(np.concatenate([np.linspace(0, 1, 1001)[1:-1], 0.5 + np.linspace(-1, 1, 4001) * 10 * shift]))
    lines = {"worst path, C": [], "ODE map": [], "$W_2$ of the laws": [], "$W_1$ of the laws": []}
    for delta in deltas.tolist():
        right, left = (
            TWO_ATOMS.reversed(BROWNIAN, torch.tensor([[side * shift]]), torch.ones(1), delta, T) for side in (1, -1)
        )
        lines["worst path, C"].append(math.exp(min(log_pathwise_constant(BROWNIAN, 1, delta, T), 300)))
        lines["ODE map"].append(flow_slope(BROWNIAN, 1, delta, T))
        lines["$W_2$ of the laws"].append(wasserstein2_on_line(right, left, levels) / (2 * shift))
        lines["$W_1$ of the laws"].append(wasserstein1_on_line(right, left) / (2 * shift))
    figure, axes = subplots()
    for (name, values), colour, style, place in zip(
        lines.items(),
        (VERMILION, BROWN, PURPLE, BLUE),
        (":", "-.", "--", "-"),
        ((8, 0), (8, 0), (0, 9), (0, -10)),
        strict=True,
    ):
        first = next(i for i, value in enumerate(values) if value < 1e3)
        axes.plot(deltas, values, style, color=colour)
        label(axes, deltas[first], values[first], name, colour, xytext=place)
    axes.axhline(law_constant(BROWNIAN, 1, 0, T), color=INK, linewidth=0.8, linestyle="--")
    axes.set(xscale="log", yscale="log", ylim=(0.1, 1e3), xlabel="time δ at which the reverse process stops")
    axes.set_ylabel("distance at δ over distance at T")
    return figure
