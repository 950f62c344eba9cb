"""Eq. 9 on a cloud small enough to list all its divisions: no Voronoi cells, no descent, no luck."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..errors import InputError
from ..quantization import best_of_restarts
from .transport import wasserstein2

MOST_DIVISIONS = 100_000  # that may be listed
LEAST_MOVE, MOST_MOVE = 1e-3, 3.0  # of random points from the best ones, in standard deviations of the cloud


@dataclass(frozen=True)
class AtomCloud:
    """A measure on a few atoms."""

    atoms: Float[ndarray, "n d"]
    masses: Float[ndarray, " n"]  # sum 1


@dataclass(frozen=True)
class Enumeration:
    """Both sides of eq. 9 on one cloud, and the results of other approaches."""

    cloud: AtomCloud
    K: int
    costs: Float[ndarray, " m"]  # variance within the parts, of every division of the atoms into K parts
    fixed: Bool[ndarray, " m"]  # whether every atom is nearest to the mean of its own part, so Lloyd stops there
    labels: Int[ndarray, " n"]  # part of each atom in the best division
    descents: Float[ndarray, " s"]  # final distortion of Lloyd's algorithm, from different atoms in each run
    program: float  # W_2^2, by linear program, of the best division's means with the masses of its parts
    programs: float  # least W_2^2 of all other divisions, likewise
    random: Float[ndarray, " r"]  # W_2^2 of random measures on K points

    @property
    def n_reached(self) -> int:
        """Number of runs of Lloyd's algorithm that reached the minimum, up to rounding."""
        return int((self.descents < self.costs.min() + 1e-9).sum())

    @property
    def means(self) -> Float[ndarray, "K d"]:
        """The best points."""
        return part_means(self.cloud, self.labels, self.K)[0]


def partitions(n: int, K: int) -> Iterator[list[int]]:
    """Every division of n things into 1 <= K <= n nonempty parts, once: the part of each thing, first parts first."""
    if not 1 <= K <= n:
        raise InputError(f"K = {K}, but {n} atoms can be divided only into 1 to {n} parts")

    def grow(labels: list[int], used: int) -> Iterator[list[int]]:
        if len(labels) == n:
            yield labels
            return
        for part in range(min(used + 1, K)):
            now = max(used, part + 1)
            if K - now <= n - len(labels) - 1:  # the rest can still open the missing parts
                yield from grow([*labels, part], now)

    return grow([], 0)


def part_means(
    cloud: AtomCloud, labels: Int[ndarray, " n"], K: int
) -> tuple[Float[ndarray, "K d"], Float[ndarray, " K"], float]:
    """Mean and mass of each part, and the variance within: the mass-weighted squared distance to the part's mean."""
    member = labels == np.arange(K)[:, None]
    masses = member @ cloud.masses
    means = (member * cloud.masses) @ cloud.atoms / masses[:, None]
    return means, masses, float(cloud.masses @ np.square(cloud.atoms - means[labels]).sum(1))


def random_cloud(n: int, equal: bool, rng: np.random.Generator) -> AtomCloud:
    """n atoms drawn from N(0, I_2), with equal masses or with masses drawn uniformly from the simplex."""
    return AtomCloud(rng.standard_normal((n, 2)), np.full(n, 1 / n) if equal else rng.dirichlet(np.ones(n)))


def enumerate_cloud(cloud: AtomCloud, K: int, n_measures: int, n_runs: int, rng: np.random.Generator) -> Enumeration:
    """List every division of the cloud into K parts, and compare with Lloyd's algorithm and a linear program.

    Args:
        n_measures: random measures on K points: the best one with its points and weights moved, from little to much.
        n_runs: runs of Lloyd's algorithm, each from K atoms drawn by mass.
    Raises:
        InputError: K outside 1 to n, or more than MOST_DIVISIONS divisions.
    """
    divisions = []
    for labels in partitions(len(cloud.atoms), K):
        divisions.append(labels)
        if len(divisions) > MOST_DIVISIONS:
            raise InputError(
                f"{len(cloud.atoms)} atoms have over {MOST_DIVISIONS:,} divisions into {K} parts; take fewer atoms"
            )
    divisions = np.array(divisions)
    parts = [part_means(cloud, labels, K) for labels in divisions]
    costs = np.array([cost for _, _, cost in parts])
    squared = [np.square(cloud.atoms[:, None] - means).sum(2) for means, _, _ in parts]
    fixed = np.array([(s.argmin(1) == labels).all() for s, labels in zip(squared, divisions, strict=True)])
    best = int(costs.argmin())
    programs = np.array([_squared_w2(cloud, means, masses) for means, masses, _ in parts])
    means, masses, _ = parts[best]
    moved = [_moved(cloud, means, masses, size, rng) for size in np.geomspace(LEAST_MOVE, MOST_MOVE, n_measures)]
    random = np.array([_squared_w2(cloud, *measure) for measure in moved])
    atoms, mass = torch.from_numpy(cloud.atoms), torch.from_numpy(cloud.masses)
    runs = (best_of_restarts(atoms, K, n_restarts=1, rng=one, init="random", mass=mass) for one in rng.spawn(n_runs))
    descents = np.array([run.distortion for run in runs])
    others = float(np.delete(programs, best).min(initial=np.inf))
    return Enumeration(cloud, K, costs, fixed, divisions[best], descents, float(programs[best]), others, random)


def _moved(
    cloud: AtomCloud, means: Float[ndarray, "K d"], masses: Float[ndarray, " K"], size: float, rng: np.random.Generator
) -> tuple[Float[ndarray, "K d"], Float[ndarray, " K"]]:
    """Points moved by `size` standard deviations of the cloud, and weights mixed with as much of a random weighting."""
    share = min(size, 1.0)
    points = means + size * cloud.atoms.std(0) * rng.standard_normal(means.shape)
    return points, (1 - share) * masses + share * rng.dirichlet(np.ones(len(masses)))


def _squared_w2(cloud: AtomCloud, points: Float[ndarray, "K d"], masses: Float[ndarray, " K"]) -> float:
    return wasserstein2(*map(torch.from_numpy, (points, masses, cloud.atoms, cloud.masses))) ** 2
