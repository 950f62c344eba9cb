"""Remark 14 on two atoms, with its figure: which distances explode as the reverse process runs to time 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from ddoq_core.theory.bounds import flow_slope, law_constant, log_pathwise_constant
from ddoq_core.theory.diffusion import BROWNIAN
from ddoq_core.theory.measures import GaussianMixture, atoms
from ddoq_core.theory.transport import wasserstein1_on_line, wasserstein2_on_line

from ..style import BLUE, BROWN, INK, PURPLE, VERMILION, figure_style, label, subplots

TWO_ATOMS = atoms(torch.tensor([[-1.0], [1.0]]))
LINES = (  # field of Explosion, name, colour, line style, offset of the name
    ("worst_path", "worst path, C", VERMILION, ":", (8, 0)),
    ("flow", "ODE map", BROWN, "-.", (8, 0)),
    ("W2", "$W_2$ of the laws", PURPLE, "--", (0, 9)),
    ("W1", "$W_1$ of the laws", BLUE, "-", (0, -10)),
)


@dataclass(frozen=True)
class Explosion:
    """How far two starts at +-h move apart from T to delta: distance at delta over distance at T."""

    delta: float
    worst_path: float  # C, for two paths with the same noise
    flow: float  # for the map of the probability-flow ODE
    W2: float  # for the two laws at delta
    W1: float


def explosion(deltas: Sequence[float], T: float, h: float) -> tuple[Explosion, ...]:
    """Two atoms at +-1, Brownian motion, starts at +-h: four distances."""
    levels = np.unique(np.concatenate([np.linspace(0, 1, 1001)[1:-1], 0.5 + np.linspace(-1, 1, 4001) * 10 * h]))
    found = []
    for delta in deltas:
        right, left = two_ends(h, delta, T)
        path = math.exp(min(log_pathwise_constant(BROWNIAN, 1, delta, T), 300))
        W2, W1 = wasserstein2_on_line(right, left, levels), wasserstein1_on_line(right, left)
        found.append(Explosion(delta, path, flow_slope(BROWNIAN, 1, delta, T), W2 / (2 * h), W1 / (2 * h)))
    return tuple(found)


def two_ends(h: float, delta: float, T: float) -> tuple[GaussianMixture, GaussianMixture]:
    """Laws at delta of the exact reverse SDE from h and from -h at time T."""
    right, left = (
        TWO_ATOMS.reversed(BROWNIAN, torch.tensor([[side * h]]), torch.ones(1), delta, T) for side in (1, -1)
    )
    return right, left


@figure_style()
def explosion_figure(T: float, shift: float) -> Figure:
    """Two atoms: how far two starts +-h move apart as delta -> 0, by four distances."""
    deltas = np.geomspace(0.02, 0.9, 18) * T
    found = explosion(deltas.tolist(), T, shift)
    figure, axes = subplots()
    for field, name, colour, style, place in LINES:
        values = [getattr(at, field) for at in found]
        first = next(i for i, value in enumerate(values) if value < 1e3)
        axes.plot(deltas, values, style, color=colour)
        label(axes, deltas[first], values[first], name, colour, xytext=place)
    axes.axhline(law_constant(BROWNIAN, 1, 0, T), color=INK, linewidth=0.8, linestyle="--")
    axes.set(xscale="log", yscale="log", ylim=(0.1, 1e3), xlabel="time δ at which the reverse process stops")
    axes.set_ylabel("distance at δ over distance at T")
    return figure
