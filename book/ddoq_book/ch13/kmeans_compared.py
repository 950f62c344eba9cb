"""k-means beside CLVQ: Lloyd's algorithm, Algorithm 3 and scikit-learn; what is equal and what is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from ddoq_core.keys import numpy_rng
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
from ddoq_core.results.intervals import interval
from ddoq_core.results.table import Table
from ddoq_core.theory.steps import Linearised, cell_masses

from ..style import BLUE, INK, figure_style, label, subplots
from .step_sizes import draws

BATCH = 1024  # samples in a batch, scikit-learn's default
LONE = 0.005  # share of the samples in the small cloud of `small_cloud_table`
FAR = 20.0  # where it lies


@dataclass(frozen=True)
class Contender:
    """Points that an algorithm found, with the exact cells of the samples, and the weights that it reports itself."""

    found: Quantizer
    reported: Float[Tensor, " K"]

    @property
    def gap(self) -> float:
        """Largest difference between a reported weight and the share of the samples in its cell."""
        return float((self.reported - self.found.weights).abs().max())


def harmonic(k: Int[ndarray, " k"]) -> Float[ndarray, " k"]:
    """gamma_k = 1 / (k + 2): with K = 1, the running mean of the start and the samples."""
    return 1 / (k + 2)


def contenders(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"]) -> dict[str, Contender]:
    """Each algorithm from the same start; all but Lloyd's meet each sample once, in the same order."""
    online = {
        "CLVQ, 1 / (k + 2)": clvq(samples, start, steps=harmonic),
        "CLVQ, (k / K + 2)^−0.7": clvq(samples, start, steps=power_steps(len(start))),
        "Algorithm 3 (MacQueen)": minibatch(samples, start),
    }
    full = lloyd(samples, start, max_iter=1000, tol=1e-12)
    found = {name: Contender(q, q.companion) for name, q in online.items()}
    return found | {"scikit-learn, one pass": scikit_learn(samples, start), "Lloyd": Contender(full, full.weights)}


def scikit_learn(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"], **options: Any) -> Contender:
    """One pass of `MiniBatchKMeans.partial_fit` over batches of BATCH samples; its counts are the weights it has."""
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    model = MiniBatchKMeans(len(start), init=start.numpy(), n_init=1, random_state=0, **options)
    for batch in samples.split(BATCH):
        model.partial_fit(batch.numpy())
    counts = torch.from_numpy(model._counts).double()  # no public name since scikit-learn 1.1
    return Contender(quantize(samples, torch.from_numpy(model.cluster_centers_).to(samples)), counts / counts.sum())


def contest(law: Any, K: int, n: int, seeds: Sequence[int]) -> dict[str, Float[ndarray, "seeds 4"]]:
    """Each algorithm against the optimal quantizer of a law on a line, for each seed.

    Columns: G over the least; max|x - x*|; max|reported weight - mu(C_i)| of its own cells; the same after a recount.
    """
    best, results = exact_quantizer(law, K), {}
    for seed in seeds:
        X, start = (torch.from_numpy(values).reshape(-1, 1) for values in draws(law, K, n, seed))
        for name, c in contenders(X, start).items():
            order = c.found.points[:, 0].argsort()
            x, *weights = (v[order].numpy() for v in (c.found.points[:, 0], c.reported, c.found.weights))
            errors = [np.abs(x - best.points).max(), *(np.abs(w - cell_masses(law, x)).max() for w in weights)]
            results.setdefault(name, []).append((exact_distortion(law, x) / best.distortion, *errors))
    return {name: np.array(values) for name, values in results.items()}


def contest_table(results: dict[str, Float[ndarray, "seeds 4"]]) -> Table:
    """Means and intervals of a contest."""
    rows = [(name, (tuple(interval(v, 3) for v in values.T),)) for name, values in results.items()]
    columns = ("algorithm", "G over the least", "error of points", "error of weights, reported", "after a recount")
    n = len(next(iter(results.values())))
    note = f"n = {n} seeds, 95 % intervals. Errors: max |xᵢ − xᵢ*|, and max |wᵢ − μ(Cᵢ)|, Cᵢ of the points found."
    return Table("Five algorithms, the same samples and starts", columns, tuple(rows), (note,))


def dimension_table(d: int, levels: Sequence[int], n: int, seeds: Sequence[int]) -> Table:
    """The same on N(0, I_d), against the best of ten k-means++ starts of Lloyd's algorithm."""
    blocks = []
    for K in levels:
        results: dict[str, list] = {}
        for seed in seeds:
            rng = numpy_rng(seed, "learning", "dimension", K)
            X = torch.from_numpy(rng.standard_normal((n, d)))
            least = best_of_restarts(X, K, n_restarts=10, rng=rng).distortion
            for name, c in contenders(X, random_samples(X, K, rng)).items():
                results.setdefault(name, []).append((c.found.distortion / least, K * c.gap))
        rows = tuple((name, *(interval(v, 3) for v in np.transpose(values))) for name, values in results.items())
        blocks.append((f"K = {K}", rows))
    columns = ("", "algorithm", "G over the best of ten", "K × error of weights, reported")
    note = (
        f"{n:,} samples, starts are K of them, n = {len(seeds)} seeds, 95 %. Errors are from the shares of the cells."
    )
    return Table(f"N(0, I) in d = {d}", columns, tuple(blocks), (note,))


def replay(samples: Float[Tensor, "n d"], start: Float[Tensor, "K d"]) -> float:
    """Largest difference of Algorithm 3's points from the means of their start and of all samples that they won."""
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
    """Largest difference on the way between CLVQ with gamma_k = 1 / (k + 2) and Algorithm 3, on the same samples."""
    paths: tuple[list, list] = [], []
    clvq(samples, start, steps=harmonic, callback=lambda it: paths[0].append(it.points.clone()))
    minibatch(samples, start, callback=lambda it: paths[1].append(it.points.clone()))
    return float((torch.stack(paths[0]) - torch.stack(paths[1])).abs().max())


def identities_table(law: Any, K: int, n: int, seed: int) -> Table:
    """What is equal to rounding, and what is not, on n samples of one seed."""
    X, start = (torch.from_numpy(values).reshape(-1, 1) for values in draws(law, K, n, seed))
    x, found = start[:, 0].numpy(), contenders(X, start)
    step = np.abs(exact_centroids(law, x) - (x - exact_gradient(law, x) / (2 * cell_masses(law, x)))).max()
    cells = "share of the samples in its cell"
    rows = {
        "Algorithm 3: point and mean of its start and of all it ever won": replay(X, start),
        "K = 1: CLVQ with 1 / (k + 2) and Algorithm 3, at every step": clvq_against_macqueen(X, start[:1]),
        f"K = {K}: the same two": clvq_against_macqueen(X, start),
        "Lloyd: step and xᵢ − ∇ᵢG / (2 μ(Cᵢ)), exact law": step,
        f"Lloyd: weight and {cells}": found["Lloyd"].gap,
        f"CLVQ, (k / K + 2)^−0.7: companion weight and {cells}": found["CLVQ, (k / K + 2)^−0.7"].gap,
        f"Algorithm 3: v / Σv and {cells}": found["Algorithm 3 (MacQueen)"].gap,
        f"scikit-learn: count / Σ and {cells}": found["scikit-learn, one pass"].gap,
    }
    blocks = [(what, ((f"{gap:.1e}", "equal" if gap < 1e-12 else "not equal"),)) for what, gap in rows.items()]
    note = f"{n:,} samples of one seed; equal means to 1e-12."
    return Table("Equal, and not", ("claim", "largest difference", "verdict"), tuple(blocks), (note,))


def two_clouds(n: int, rng: np.random.Generator) -> Float[Tensor, "n 1"]:
    """N(0, 1), of which about a share LONE of the samples is moved by FAR."""
    return torch.from_numpy(rng.standard_normal((n, 1)) + FAR * (rng.random((n, 1)) < LONE))


def small_cloud_table(n: int, seeds: Sequence[int]) -> Table:
    """Two points that start in the middles of a large cloud and of a small one: who keeps the small one?"""
    start = torch.tensor([[0.0], [FAR]], dtype=torch.float64)
    found: dict[str, list[Contender]] = {}
    for seed in seeds:
        X = two_clouds(n, numpy_rng(seed, "learning", "clouds"))
        one_pass = minibatch(X, start)
        found.setdefault("Algorithm 3", []).append(Contender(one_pass, one_pass.companion))
        found.setdefault("scikit-learn", []).append(scikit_learn(X, start))
        still = scikit_learn(X, start, reassignment_ratio=0)
        found.setdefault("scikit-learn, reassignment_ratio = 0", []).append(still)
    rows = []
    for name, runs in found.items():
        light = [(c.found.distortion, *(100 * w.min() for w in (c.reported, c.found.weights))) for c in runs]
        rows.append((name, (tuple(interval(v, 3) for v in np.transpose(light)),)))
    columns = ("algorithm", "G", "lighter point: reported, %", "in its cell, %")
    note = f"{n:,} samples, {100 * LONE:g} % of them about {FAR:g}, n = {len(seeds)} seeds, 95 % intervals."
    return Table("A light point under two programs", columns, tuple(rows), (note,))


@dataclass(frozen=True)
class LloydRuns:
    """Algorithm 2 on a law itself: no sample, no noise."""

    excess: Float[ndarray, "seeds m"]  # G(x^(k)) - G(x*)
    factor: Float[ndarray, " seeds"]  # |x^(k+1) - x*| / |x^(k) - x*| at the end


def lloyd_runs(law: Any, K: int, n_iter: int, seeds: Sequence[int]) -> LloydRuns:
    """Iterations from K samples of the law."""
    best, excess, factors = exact_quantizer(law, K), [], []
    for seed in seeds:
        path = [draws(law, K, 1, seed)[1]]
        for _ in range(n_iter):
            path.append(exact_centroids(law, path[-1]))
        errors = np.linalg.norm(np.array(path) - best.points, axis=1)
        excess.append([exact_distortion(law, x) - best.distortion for x in path])
        factors.append(errors[-1] / errors[-2])
    return LloydRuns(np.array(excess), np.array(factors))


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
