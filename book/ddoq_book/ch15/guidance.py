"""Classifier-free guidance with exact scores: its paths, and its final law, which is not the tilted law.

In: the law of a class, the law of all data, and the guidance scale. Out: guided paths, their ends, a table, a figure.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.integrate import quad
from torch import Tensor

from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import Column, Table
from ddoq_core.theory.diffusion import (
    ORNSTEIN_UHLENBECK,
    Process,
    exponential_integrator,
    probability_flow,
    schedule,
)  # fmt: skip
from ddoq_core.theory.measures import GaussianMixture

from ..style import BLUE, INK, MUTED, VERMILION, figure_style, label, subplots
from .reversal import quantiles

HORIZON = 8.0  # T of the Ornstein-Uhlenbeck process: a latent is scaled by exp(-4)
SHOWN = np.linspace(-4, 6, 1001)
CLASS = GaussianMixture([1.0], [[1.0]], [0.7])
EVERYTHING = {  # laws of all data, wider than the class, which is a part
    "class and everything normal": GaussianMixture([1.0], [[0.0]], [1.2]),
    "two normal classes": GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.7, 0.7]),
}


def guided(
    one: GaussianMixture, everything: GaussianMixture, process: Process, x: Float[Tensor, "*copies n d"], scale: float,
    delta: float, T: float, *, n_steps: int, rng: np.random.Generator,
    step: Callable[..., Tensor] = exponential_integrator,
) -> Float[Tensor, "*copies n d"]:  # fmt: skip
    """Run the reverse process from T to delta with scale * score(one) - (scale - 1) * score(everything), both exact.

    Copies have the same noise, as in `reverse`.

    Args:
        one, everything: the law of a class and the unconditional law, both at time 0.
        scale: guidance scale omega; 1 means no guidance.
        step: a step of the SDE, or `probability_flow`.
    """
    x = x.double()
    for t, s in itertools.pairwise(schedule(delta, T, n_steps).tolist()):
        of_one, of_all = (m.noised(process, t).score(x.flatten(0, -2)).reshape(x.shape) for m in (one, everything))
        noise = torch.from_numpy(rng.standard_normal(x.shape[-2:]))
        x = step(process, x, scale * of_one - (scale - 1) * of_all, t, s, noise)
    return x


@dataclass(frozen=True)
class NormalEnd:
    """Mean and variance of a guided end or of the tilted law, in units of the mean and the variance of the class."""

    mean: float
    variance: float


def normal_ends(share: float, scale: float) -> dict[str, NormalEnd]:
    """Ends of guidance for N(m, s_c^2) within N(0, s_u^2), share = s_c^2 / s_u^2 < 1, from pure noise (T = infinity).

    The ends of SDE and ODE are narrower than the tilted law, p_c^scale p_u^(1 - scale) normalised. Those of the SDE are
    also farther out.
    """
    power, left = 2 * scale - 1, scale - (scale - 1) * share
    area = quad(lambda z: (1 - z * z) ** (-scale / 2 - 1), 0, (1 - share) ** 0.5)[0]  # y = 1 - z^2: no pole at y = 1
    return {
        "SDE": NormalEnd((1 - share**scale) / (1 - share), (1 - share**power) / (power * (1 - share))),
        "ODE": NormalEnd(scale * share ** (scale / 2) * (1 - share) ** -0.5 * area, share ** (scale - 1)),
        "tilted": NormalEnd(scale / left, 1 / left),
    }


def tilted(
    one: GaussianMixture, everything: GaussianMixture, scale: float, x: Float[ndarray, " n"]
) -> Float[ndarray, " n"]:
    """Density of p_c^scale p_u^(1 - scale), normalised on the grid."""
    of_one, of_all = (m.log_density(torch.from_numpy(x)[:, None]).numpy() for m in (one, everything))
    density = np.exp(scale * of_one - (scale - 1) * of_all)
    return density / np.trapezoid(density, x)


@dataclass(frozen=True, eq=False)
class GuidedEnds:
    """Ends of quantiles of pure noise under guidance, for one law of all data."""

    everything: GaussianMixture
    scale: float
    flow: Float[ndarray, " n"]  # increasing: the map of the ODE keeps the order
    paths: Float[ndarray, " n"]  # of the SDE

    def rows(self) -> tuple[tuple[str, float, float, float | None, float | None], ...]:
        """Law, mean and variance, and both in closed form if the law of all data is normal."""
        density, s = tilted(CLASS, self.everything, self.scale, SHOWN), CLASS.scales[0].item()
        mean = np.trapezoid(density * SHOWN, SHOWN)
        spread = float(np.trapezoid(density * (SHOWN - mean) ** 2, SHOWN))
        normal = len(self.everything.masses) == 1
        ends = normal_ends((s / self.everything.scales[0].item()) ** 2, self.scale) if normal else {}
        found = {"tilted": (float(mean), spread)}
        found |= {name: (x.mean().item(), x.var().item()) for name, x in (("SDE", self.paths), ("ODE", self.flow))}
        exact = {name: (end.mean, s**2 * end.variance) for name, end in ends.items()}  # the mean of the class is 1
        return tuple((name, *found[name], *exact.get(name, (None, None))) for name in found)


def guided_ends(scale: float, n: int, n_steps: int, seed: int) -> dict[str, GuidedEnds]:
    """The guided ODE and SDE from n quantiles of pure noise, for both laws of all data."""
    made, process = {}, ORNSTEIN_UHLENBECK
    for title, everything in EVERYTHING.items():
        x, rng = quantiles(everything.noised(process, HORIZON), n), numpy_rng(seed, "15", "guided", title)
        ends = [
            guided(CLASS, everything, process, x, scale, 0.0, HORIZON, n_steps=n_steps, rng=rng, step=step)[
                :, 0
            ].numpy()
            for step in (probability_flow, exponential_integrator)
        ]
        made[title] = GuidedEnds(everything, scale, *ends)
    return made


def ends_table(found: dict[str, GuidedEnds]) -> Table:
    """Means and variances of the ends and of the tilted law."""
    names = ("mean", "variance", "mean, exact", "variance, exact")
    columns = ("everything", "law", *(Column(name, ".3f") for name in names))
    rows = [(title, *row) for title, ends in found.items() for row in ends.rows()]
    first = next(iter(found.values()))
    note = f"The class has mean 1 and variance {CLASS.scales[0].item() ** 2:.2f}. n = {len(first.paths):,} paths."
    return Table.of_groups(f"Where guidance of scale {first.scale:g} ends", columns, rows, (note,))


@figure_style()
def guidance_figure(found: dict[str, GuidedEnds]) -> Figure:
    """Ends of the guided SDE and ODE next to the class and the tilted law."""
    figure, panels = subplots(1, 2, sharex=True, sharey=True)
    for axes, (title, ends) in zip(panels, found.items(), strict=True):
        axes.hist(ends.paths, bins=np.linspace(-2, 4, 81), density=True, color=VERMILION, alpha=0.4)
        own = CLASS.log_density(torch.from_numpy(SHOWN)[:, None]).exp().numpy()
        laws = {"class": (MUTED, ":", own), "tilted": (INK, "--", tilted(CLASS, ends.everything, ends.scale, SHOWN))}
        laws["ODE"] = BLUE, "-", _density(ends.flow)
        for name, (colour, line, density) in laws.items():
            axes.plot(SHOWN, density, line, color=colour)
            at = density.argmax()
            label(axes, SHOWN[at], density[at], name, colour, xytext=(-8, -8 if name == "class" else 5), ha="right")
        axes.set(title=title, xlabel="x", xlim=(-1.5, 4))
    label(panels[0], 0.85, 0.12, "SDE", VERMILION)
    panels[0].set_ylabel("density")
    return figure


def _density(ends: Float[ndarray, " n"]) -> Float[ndarray, " m"]:
    """Density on SHOWN of equal masses moved by an increasing map."""
    middle = (ends[1:] + ends[:-1]) / 2
    return np.interp(SHOWN, middle, 1 / len(ends) / np.diff(ends), left=0.0, right=0.0)
