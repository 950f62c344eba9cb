"""`ddoq bench`: this package's quantizers beside the libraries that a user would pick instead.

All methods of a task run in turn inside each repetition, on the same samples with the same seed, in one process with
one number of threads: read the ratios, not the seconds. Memory is the peak above the samples, of a process of its own.
"""

import importlib.util
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from ..errors import InputError
from ..quantization import distortion
from ..store import provenance
from .contenders import (
    Method,
    d4m_minibatch,
    exact_line,
    faiss_kmeans,
    latents,
    normal,
    numpy_clvq,
    ours_best,
    ours_clvq,
    ours_levels,
    ours_lloyd,
    plain_torch,
    sklearn_kmeans,
    sklearn_minibatch,
)
from .table import NOTHING, Table

OURS = "ddoq_core"


@dataclass(frozen=True)
class Task:
    """Samples, a number of points, and the methods that quantize the ones by the others."""

    title: str
    samples: Callable[[], Float[ndarray, "n d"]]
    K: int
    methods: dict[str, Method]
    iterations: int | None = None  # over all samples, where every method makes as many


FIXED = {OURS: ours_lloyd, "faiss": faiss_kmeans(10), "scikit-learn": sklearn_kmeans(max_iter=10),
         "plain torch": plain_torch}  # fmt: skip
TASKS = {
    "latents": Task(
        "One class of latents, n = 1,300, d = 16,384, K = 50: from the samples to a codebook",
        lambda: latents(1300, 16384),
        50,
        {
            OURS: ours_best(10),
            f"{OURS}, 1 start": ours_best(1),
            f"{OURS}, K = 10, 50, 100, 200 at once": ours_levels,
            "scikit-learn, 10 starts": sklearn_kmeans(n_init=10),
            "scikit-learn, default": sklearn_kmeans(),
            "scikit-learn, mini-batch": sklearn_minibatch,
            "scikit-learn, as D4M calls it": d4m_minibatch,
            "faiss, 25 iterations": faiss_kmeans(25),
        },
    ),
    "small latents": Task(
        "n = 6,000, d = 256, K = 50: one k-means++ start to convergence",
        lambda: latents(6000, 256),
        50,
        {
            OURS: ours_best(1),
            "scikit-learn": sklearn_kmeans(n_init=1, init="k-means++"),
            "scikit-learn, mini-batch": sklearn_minibatch,
            "faiss, 25 iterations": faiss_kmeans(25),
        },
    ),
    "iterations": Task("n = 6,000, d = 256, K = 200: 10 iterations", lambda: latents(6000, 256), 200, FIXED, 10),
    "plane": Task("n = 1,000,000, d = 2, K = 200: 10 iterations", lambda: normal(10**6, 2), 200, FIXED, 10),
    "eight": Task("n = 1,000,000, d = 8, K = 200: 10 iterations", lambda: normal(10**6, 8), 200, FIXED, 10),
    "line": Task(
        "n = 100,000, d = 1, K = 1,000: to the optimum",
        lambda: normal(10**5, 1),
        1000,
        {OURS: ours_best(1), "kmeans1d, exact": exact_line, "scikit-learn": sklearn_kmeans(n_init=1)},
    ),
    "clvq": Task(
        "CLVQ, d = 2, K = 200: 1,000,000 samples",
        lambda: normal(10**6, 2),
        200,
        {OURS: ours_clvq, "numpy": numpy_clvq},
    ),
}  # fmt: skip
PEERS = {"faiss": "faiss-cpu", "kmeans1d": "kmeans1d"}  # module, and what pip calls it


def bench(names: list[str], reps: int) -> list[dict]:
    """One row per task and method: seconds, what they are against ours, distortion over the best, memory, peak share.

    Raises:
        InputError: an unknown task, or a peer that is not installed.
    """
    for name in names:
        if name not in TASKS:
            raise InputError(f"no task '{name}'; tasks: {', '.join(TASKS)}")
    missing = [package for module, package in PEERS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} not installed; run: pip install 'ddoq_core[bench]'")
    warnings.filterwarnings("ignore")
    with threadpool_limits(torch.get_num_threads()):
        return [row for name in names for row in _run(name, TASKS[name], reps)]


def _run(name: str, task: Task, reps: int) -> list[dict]:
    X = task.samples()
    seconds, G = ({method: [] for method in task.methods} for _ in range(2))
    peaks = []
    for method in task.methods.values():
        method(X[: 4 * max(task.K, 200)], task.K, 0)  # compile, load libraries
    for rep in tqdm(range(reps), desc=name, disable=None):
        peaks.append(_peak())
        for title, method in task.methods.items():
            began = time.perf_counter()
            points = method(X, task.K, rep)
            seconds[title].append(time.perf_counter() - began)
            G[title].append(distortion(torch.from_numpy(X), torch.from_numpy(np.ascontiguousarray(points))))
    best, ours = min(map(min, G.values())), seconds[OURS]
    flop = 2 * len(X) * X.shape[1] * task.K * task.iterations / 1e9 if task.iterations else None
    return [
        {
            "task": task.title,
            "method": title,
            "reps": reps,
            "seconds": [min(times), statistics.median(times), max(times)],
            "times_ours": statistics.median(t / o for t, o in zip(times, ours, strict=True)),
            "over_best": statistics.median(G[title]) / best,
            "over_ours": statistics.median(g / o for g, o in zip(G[title], G[OURS], strict=True)),
            "peak_share": statistics.median(flop / t / p for t, p in zip(times, peaks, strict=True)) if flop else None,
            "memory_mib": _memory(name, title),
        }
        | {key: provenance()[key] for key in ("date", "device", "threads", "versions")}
        for title, times in seconds.items()
    ]


def _peak(n: int = 2048) -> float:
    """GFLOP/s of a matrix product in float32."""
    A = torch.ones(n, n)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        A @ A
        times.append(time.perf_counter() - began)
    return 2 * n**3 / min(times) / 1e9


def _memory(name: str, method: str) -> float | None:
    """Peak MiB that a method needs above its samples, in a process of its own; None where there is no /proc."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory_here, (name, method, torch.get_num_threads()))


def _memory_here(name: str, method: str, threads: int) -> float:
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    task = TASKS[name]
    X = task.samples()
    with threadpool_limits(threads):
        task.methods[method](X[: 4 * max(task.K, 200)], task.K, 0)  # what is loaded once is not the method's
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        task.methods[method](X, task.K, 0)
        return _resident("VmHWM") - before


def _resident(name: str) -> float:
    """MiB of this process in memory, now (VmRSS) or at most so far (VmHWM), as Linux tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def table(rows: list[dict]) -> Table:
    """Rows of `bench` as a table, one block per task."""
    tasks = dict.fromkeys((row["task"], row["reps"]) for row in rows)
    blocks = tuple(
        (f"{task} (repetitions: {reps})", tuple(_cells(row) for row in rows if row["task"] == task))
        for task, reps in tasks
    )
    first = rows[0]
    return Table(
        "Quantizers side by side",
        ("Task", "Method", "Seconds: min / median / max", "Time over ours", "Distortion over the best", "Share of peak",
         "MiB"),
        blocks,
        (
            "Median ratios over repetitions. Share of peak: of the operations per second that a matrix product of the "
            "same run reaches. MiB: peak above the samples.",
            f"{first['device']}, {first['threads']} thread(s), {first['date']}, "
            + ", ".join(f"{name} {version}" for name, version in first["versions"].items()) + ".",
        ),
    )  # fmt: skip


def _cells(row: dict) -> tuple[str, ...]:
    seconds = " / ".join(f"{value:.3g}" for value in row["seconds"])
    share = NOTHING if row["peak_share"] is None else f"{row['peak_share']:.2f}"
    ratios = f"{row['times_ours']:.2f}", f"{row['over_best']:.4f}"
    memory = NOTHING if row["memory_mib"] is None else f"{row['memory_mib']:.0f}"
    return row["method"], seconds, *ratios, share, memory
