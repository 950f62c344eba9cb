"""k-means compared with CLVQ: Lloyd's algorithm, Algorithm 3 and scikit-learn; what is equal and what is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.quantization import (
    Quantizer,
    best_of_restarts,
    clvq,
    exact_centroids,
    exact_distortion,
    exact_gradient,
    exact_quantizer,
    lloyd,
    minibatch,
    power_steps,
    quantize,
    random_samples,
)
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table

from ..style import BLUE, INK, figure_style, label, subplots
from .learning import LloydRuns, draws
from .linear_rates import Linearised, cell_masses

SKLEARN_BATCH = 1024  # samples in a batch: scikit-learn's default
LONE = 0.005  # share of the samples in the small cloud of `small_cloud_contest`
FAR = 20.0  # position of the small cloud


@dataclass(frozen=True)
class Contender:
    """Points found by an algorithm, with the exact cells of the samples, and the weights that it reports."""

    found: Quantizer
    reported: Float[Tensor, " K"]

    @property
    def gap(self) -> float:
        """Largest difference between a reported weight and the share of the samples in its cell."""
        return float((self.reported - self.found.weights).abs().max())


def harmonic(k: Int[ndarray, " k"]) -> Float[ndarray, " k"]:
    """gamma_k = 1 / (k + 2): for K = 1, the running mean of the start and the samples."""
    return 1 / (k + 2)


def contenders(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"]) -> dict[str, Contender]:
    """Each algorithm from the same start; all but Lloyd's use each sample once, in the same order."""
    online = {
        "CLVQ, 1 / (k + 2)": clvq(samples, start, steps=harmonic),
        "CLVQ, (k / K + 2)^−0.7": clvq(samples, start, steps=power_steps(len(start))),
        "Algorithm 3 (MacQueen)": minibatch(samples, start),
    }
    full = lloyd(samples, start, max_iter=1000, tol=1e-12)
    found = {name: Contender(q, q.companion) for name, q in online.items()}
    return found | {"scikit-learn, one pass": scikit_learn(samples, start), "Lloyd": Contender(full, full.weights)}


def scikit_learn(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"], **options: Any) -> Contender:
    """One pass of `MiniBatchKMeans.partial_fit` over batches of samples; its counts are its weights."""
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    model = MiniBatchKMeans(len(start), init=start.numpy(), n_init=1, random_state=0, **options)
    for batch in samples.split(SKLEARN_BATCH):
        model.partial_fit(batch.numpy())
    counts = torch.from_numpy(model._counts).double()  # no public name since scikit-learn 1.1
    return Contender(quantize(samples, torch.from_numpy(model.cluster_centers_).to(samples)), counts / counts.sum())


@dataclass(frozen=True)
class ContestErrors:
    """Errors of an algorithm against the optimal quantizer of a law on a line, for each seed."""

    excess: Float[ndarray, " seeds"]  # G over the least G
    points: Float[ndarray, " seeds"]  # max |x - x*|
    reported: Float[ndarray, " seeds"]  # max |reported weight - mu(C_i)| of its own cells
    recounted: Float[ndarray, " seeds"]  # the same error with the shares of the samples in its cells


def line_contest(law: Any, K: int, n: int, seeds: Sequence[int]) -> dict[str, ContestErrors]:
    """Each algorithm on the same n samples of a law on a line, from the same starts."""
    best, results = exact_quantizer(law, K), {}
    for seed in seeds:
        X, start = (torch.from_numpy(values).reshape(-1, 1) for values in draws(law, K, n, seed))
        for name, c in contenders(X, start).items():
            order = c.found.points[:, 0].argsort()
            x, *weights = (v[order].numpy() for v in (c.found.points[:, 0], c.reported, c.found.weights))
            errors = [np.abs(x - best.points).max(), *(np.abs(w - cell_masses(law, x)).max() for w in weights)]
            results.setdefault(name, []).append((exact_distortion(law, x) / best.distortion, *errors))
    return {name: ContestErrors(*np.transpose(values)) for name, values in results.items()}


def contest_table(results: dict[str, ContestErrors]) -> Table:
    """Means and intervals of a contest."""
    rows = [(name, *(Mean.of(v) for v in (e.excess, e.points, e.reported, e.recounted))) for name, e in results.items()]
    names = "G over the least", "error of points", "error of weights, reported", "after a recount"
    n = rows[0][1].n
    note = f"n = {n} seeds, 95 % intervals. Errors: max |xᵢ − xᵢ*|, and max |wᵢ − μ(Cᵢ)|, Cᵢ of the points found."
    columns = ("algorithm", *(Column(name, ".3f") for name in names))
    return Table.of_rows("Five algorithms, the same samples and starts", columns, rows, (note,))


@dataclass(frozen=True)
class DimensionErrors:
    """An algorithm on N(0, I_d), over seeds."""

    K: int
    algorithm: str
    excess: Mean  # G over the best of ten k-means++ starts of Lloyd's algorithm
    weights: Mean  # K times the error of the reported weights against the shares of the cells


def dimension_contest(d: int, levels: Sequence[int], n: int, seeds: Sequence[int]) -> tuple[DimensionErrors, ...]:
    """The same algorithms on n samples of N(0, I_d) at several levels."""
    found = []
    for K in levels:
        results: dict[str, list] = {}
        for seed in seeds:
            rng = numpy_rng(seed, "learning", "dimension", K)
            X = torch.from_numpy(rng.standard_normal((n, d)))
            least = best_of_restarts(X, K, n_restarts=10, rng=rng).distortion
            for name, c in contenders(X, random_samples(X, K, rng)).items():
                results.setdefault(name, []).append((c.found.distortion / least, K * c.gap))
        found += [DimensionErrors(K, name, *map(Mean.of, np.transpose(v))) for name, v in results.items()]
    return tuple(found)


def dimension_table(found: Sequence[DimensionErrors], d: int, n: int) -> Table:
    """One group of rows for each level."""
    blocks = {e.K: [] for e in found}
    for e in found:
        blocks[e.K].append((e.algorithm, e.excess, e.weights))
    numbers = Column("G over the best of ten", ".3f"), Column("K × error of weights, reported", ".3f")
    seeds = found[0].excess.n
    note = f"{n:,} samples, starts are K of them, n = {seeds} seeds, 95 %. Errors are from the shares of the cells."
    groups = tuple((K, tuple(rows)) for K, rows in blocks.items())
    return Table(f"N(0, I) in d = {d}", (Column("", "K = {}".format), "algorithm", *numbers), groups, (note,))


def replay(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"]) -> float:
    """Largest difference between Algorithm 3's points and the means of their start and all samples they won."""
    x, sums, wins = start.clone(), start.clone(), torch.ones(len(start), 1, dtype=start.dtype)

    def note(iterate):
        X = samples[iterate.step - 1]
        i = (X - x).square().sum(1).argmin()
        sums[i] += X
        wins[i] += 1
        x.copy_(iterate.points)

    found = minibatch(samples, start, callback=note)
    return float((found.points - sums / wins).abs().max())


def clvq_against_macqueen(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"]) -> float:
    """Largest difference at any step between CLVQ with gamma_k = 1 / (k + 2) and Algorithm 3, on the same samples."""
    paths: tuple[list, list] = [], []
    clvq(samples, start, steps=harmonic, callback=lambda it: paths[0].append(it.points.clone()))
    minibatch(samples, start, callback=lambda it: paths[1].append(it.points.clone()))
    return float((torch.stack(paths[0]) - torch.stack(paths[1])).abs().max())


@dataclass(frozen=True)
class Identity:
    """A claim that two quantities are equal."""

    claim: str
    difference: float  # largest difference

    @property
    def holds(self) -> bool:
        """Equal to rounding."""
        return self.difference < 1e-12


def identities(law: Any, K: int, n: int, seed: int) -> tuple[Identity, ...]:
    """What is equal to rounding, and what is not, on n samples of one seed."""
    X, start = (torch.from_numpy(values).reshape(-1, 1) for values in draws(law, K, n, seed))
    x, found = start[:, 0].numpy(), contenders(X, start)
    step = np.abs(exact_centroids(law, x) - (x - exact_gradient(law, x) / (2 * cell_masses(law, x)))).max()
    cells = "share of the samples in its cell"
    gaps = {
        "Algorithm 3: point and mean of its start and of all it ever won": replay(X, start),
        "K = 1: CLVQ with 1 / (k + 2) and Algorithm 3, at every step": clvq_against_macqueen(X, start[:1]),
        f"K = {K}: the same two": clvq_against_macqueen(X, start),
        "Lloyd: step and xᵢ − ∇ᵢG / (2 μ(Cᵢ)), exact law": step,
        f"Lloyd: weight and {cells}": found["Lloyd"].gap,
        f"CLVQ, (k / K + 2)^−0.7: companion weight and {cells}": found["CLVQ, (k / K + 2)^−0.7"].gap,
        f"Algorithm 3: v / Σv and {cells}": found["Algorithm 3 (MacQueen)"].gap,
        f"scikit-learn: count / Σ and {cells}": found["scikit-learn, one pass"].gap,
    }
    return tuple(Identity(claim, float(gap)) for claim, gap in gaps.items())


def identities_table(found: Sequence[Identity], n: int) -> Table:
    """Each claim with its verdict."""
    verdict = Column("verdict", lambda holds: "equal" if holds else "not equal")
    rows = [(i.claim, i.difference, i.holds) for i in found]
    note = f"{n:,} samples of one seed; equal means to 1e-12."
    return Table.of_rows("Equal or not", ("claim", Column("largest difference", ".1e"), verdict), rows, (note,))


def two_clouds(n: int, rng: np.random.Generator) -> Float[Tensor, "n 1"]:
    """Samples of N(0, 1); a share of about LONE is moved by FAR."""
    return torch.from_numpy(rng.standard_normal((n, 1)) + FAR * (rng.random((n, 1)) < LONE))


@dataclass(frozen=True)
class SmallCloudErrors:
    """Result of an algorithm on a large cloud and a small cloud, over seeds."""

    algorithm: str
    distortion: Mean
    reported: Mean  # per cent: weight that it reports for its lighter point
    share: Mean  # per cent: share of the samples in that point's cell


def small_cloud_contest(n: int, seeds: Sequence[int]) -> tuple[SmallCloudErrors, ...]:
    """Two points that start at the centres of a large cloud and a small cloud: which algorithm keeps the small one?"""
    start = torch.tensor([[0.0], [FAR]], dtype=torch.float64)
    found: dict[str, list[Contender]] = {}
    for seed in seeds:
        X = two_clouds(n, numpy_rng(seed, "learning", "clouds"))
        one_pass = minibatch(X, start)
        found.setdefault("Algorithm 3", []).append(Contender(one_pass, one_pass.companion))
        found.setdefault("scikit-learn", []).append(scikit_learn(X, start))
        still = scikit_learn(X, start, reassignment_ratio=0)
        found.setdefault("scikit-learn, reassignment_ratio = 0", []).append(still)
    return tuple(_small_cloud(name, runs) for name, runs in found.items())


def _small_cloud(name: str, runs: list[Contender]) -> SmallCloudErrors:
    light = [(c.found.distortion, *(100 * w.min() for w in (c.reported, c.found.weights))) for c in runs]
    return SmallCloudErrors(name, *map(Mean.of, np.transpose(light)))


def small_cloud_table(found: Sequence[SmallCloudErrors], n: int) -> Table:
    """Distortion, and both weights of the lighter point."""
    rows = [(e.algorithm, e.distortion, e.reported, e.share) for e in found]
    names = "G", "lighter point: reported, %", "in its cell, %"
    seeds = found[0].distortion.n
    note = f"{n:,} samples, {100 * LONE:g} % of them about {FAR:g}, n = {seeds} seeds, 95 % intervals."
    columns = ("algorithm", *(Column(name, ".3f") for name in names))
    return Table.of_rows("A light point in two programs", columns, rows, (note,))


@figure_style()
def lloyd_figure(runs: LloydRuns, linear: Linearised) -> Figure:
    """Distortion above the least against iterations, one line per start; dashed: the rate of the linear theory."""
    figure, axes = subplots(height=3.2)
    axes.plot(runs.excess.T, color=BLUE, linewidth=1, alpha=0.7)
    k = np.arange(runs.excess.shape[1])
    rate = 1 - linear.slowest_lloyd
    axes.plot(k, runs.excess[:, :1].max() * rate ** (2 * k), "--", color=INK, linewidth=1.2)
    label(axes, k[-1], runs.excess[:, :1].max() * rate ** (2 * k[-1]), f"∝ {rate:.4f}²ᵏ")
    axes.set(yscale="log", xlabel="iteration k of Lloyd's algorithm", ylabel="$G(x^{(k)}) - G(x^*)$")
    return figure
