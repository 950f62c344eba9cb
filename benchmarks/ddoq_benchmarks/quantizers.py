"""`ddoq bench`: this package's quantizers compared with the libraries that a user might choose instead.

All methods of a task run in turn inside each repetition, on the same samples with the same seed, in one process with
one number of threads: compare the ratios, not the seconds. Memory is the peak above the samples, in a separate process.
"""

import importlib.util
import json
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from threadpoolctl import threadpool_limits

from ddoq_core.errors import InputError
from ddoq_core.processes import bar
from ddoq_core.quantization import distortion
from ddoq_core.store.artifacts import Workspace, machine_facts

from .peers import (
    QuantizerCall,
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
    sklearn_as_d4m,
    sklearn_kmeans,
    sklearn_minibatch,
    super_kmeans,
)

OURS = "ddoq_core"


@dataclass(frozen=True)
class Task:
    """Samples, a number of points, and the methods to compare, by name."""

    title: str
    law: Callable[[int, int], Float[ndarray, "n d"]]
    n: int
    d: int
    K: int
    methods: dict[str, QuantizerCall]
    iterations: int | None = None  # over all samples, if every method makes the same number

    def samples(self) -> Float[ndarray, "n d"]:
        """The samples, the same in every call."""
        return self.law(self.n, self.d)


FIXED = {OURS: ours_lloyd, "faiss": faiss_kmeans(10), "scikit-learn": sklearn_kmeans(max_iter=10),
         "plain torch": plain_torch}  # fmt: skip
OPTIONAL = {"superkmeans, own start": "superkmeans"}  # methods of libraries that may be absent
MEDIUM = FIXED | {"superkmeans, own start": super_kmeans(10)}
TASKS = {
    "latents": Task("One class of latents, samples to codebook", latents, 1300, 16384, 50, {
        OURS: ours_best(10),
        f"{OURS}, 1 start": ours_best(1),
        f"{OURS}, K = 10, 50, 100, 200 at once": ours_levels,
        "scikit-learn, 10 starts": sklearn_kmeans(n_init=10),
        "scikit-learn, default": sklearn_kmeans(),
        "scikit-learn, mini-batch": sklearn_minibatch,
        "scikit-learn, as D4M calls it": sklearn_as_d4m,
        "faiss, 25 iterations": faiss_kmeans(25),
    }),
    "small latents": Task("One k-means++ start to convergence", latents, 6000, 256, 50, {
        OURS: ours_best(1),
        "scikit-learn": sklearn_kmeans(n_init=1, init="k-means++"),
        "scikit-learn, mini-batch": sklearn_minibatch,
        "faiss, 25 iterations": faiss_kmeans(25),
    }),
    "iterations": Task("10 iterations", latents, 6000, 256, 200, FIXED, 10),
    "plane": Task("10 iterations", normal, 10**6, 2, 200, FIXED, 10),
    "eight": Task("10 iterations", normal, 10**6, 8, 200, FIXED, 10),
    "medium": Task("10 iterations", normal, 10**5, 64, 1000, MEDIUM, 10),
    "sixteen": Task("10 iterations", normal, 10**6, 16, 256, MEDIUM, 10),
    "line": Task("To the optimum", normal, 10**5, 1, 1000, {
        OURS: ours_best(1),
        "kmeans1d, exact": exact_line,
        "scikit-learn": sklearn_kmeans(n_init=1),
    }),
    "clvq": Task("CLVQ, every sample once", normal, 10**6, 2, 200, {OURS: ours_clvq, "numpy": numpy_clvq}),
}  # fmt: skip
PEERS = {"faiss": "faiss-cpu", "kmeans1d": "kmeans1d"}  # module, and its name for pip


def bench_rows(names: list[str], reps: int, out: Path | None = None) -> list[dict]:
    """One row per task and repetition: seconds, distortion and memory of each method, and the machine.

    Args:
        out: file for the rows, one repetition after the other; rows in it are not computed again.
    Raises:
        InputError: an unknown task, a library that is not installed, or a file with other rows.
    """
    for name in names:
        if name not in TASKS:
            raise InputError(f"no task '{name}'; tasks: {', '.join(TASKS)}")
    missing = [package for module, package in PEERS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} not installed; run: pip install 'ddoq_core[bench]'")
    rows = read_bench(out) if out and out.exists() else []
    machine = _machine()
    if any({key: row[key] for key in machine} != machine for row in rows):
        raise InputError(f"{out} has times of another machine, number of threads or versions; give another file")
    warnings.filterwarnings("ignore")
    with threadpool_limits(torch.get_num_threads()):
        for name in names:
            done = sum(row["task"] == name for row in rows)
            for row in bar(_repetitions(name, done, reps), desc=name, total=reps, initial=done):
                rows.append(row | {"date": machine_facts()["date"]} | machine)
                if out:
                    Workspace(out.parent).jsonl(out.name, rows)
    return [row for row in rows if row["task"] in names]


def read_bench(path: Path) -> list[dict]:
    """The rows that `bench_rows` wrote.

    Raises:
        InputError: a missing file, or one with other content.
    """
    if not path.exists():
        raise InputError(f"no records {path}; run: ddoq bench --out {path}")
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if all({*TASKS[row["task"]].methods} - {*OPTIONAL} <= {*row["methods"]} <= {*TASKS[row["task"]].methods}
               for row in rows):  # fmt: skip
            return rows
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise InputError(f"{path} is not a file of this benchmark's rows; give another, or delete it")


def _machine() -> dict:
    """The facts that all rows of a file share."""
    facts = machine_facts()
    packages = [*PEERS.values(), *OPTIONAL.values()]
    peers = {name: version(name) for name in packages if importlib.util.find_spec(name.removesuffix("-cpu"))}
    return {"device": facts["device"], "threads": facts["threads"], "versions": facts["versions"] | peers}


def _repetitions(name: str, first: int, reps: int) -> Iterator[dict]:
    """All methods in turn, once per repetition; the first repetition also measures their memory."""
    if first >= reps:
        return
    task = TASKS[name]
    X, absent = task.samples(), {title for title, module in OPTIONAL.items() if not importlib.util.find_spec(module)}
    methods = {title: method for title, method in task.methods.items() if title not in absent}
    for method in methods.values():
        method(X[: 4 * max(task.K, 200)], task.K, 0)  # compile, load libraries
    for rep in range(first, reps):
        row = {"task": name, "rep": rep, "peak": _peak(), "methods": {}}
        for title, method in methods.items():
            began = time.perf_counter()
            points = method(X, task.K, rep)
            row["methods"][title] = {
                "seconds": time.perf_counter() - began,
                "distortion": distortion(torch.from_numpy(X), torch.from_numpy(np.ascontiguousarray(points))),
                "memory_mib": _memory(name, title) if rep == 0 else None,
            }
        yield row


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
    """Peak MiB that a method needs above its samples, in a separate process; None without /proc."""
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
        task.methods[method](X[: 4 * max(task.K, 200)], task.K, 0)  # loading libraries does not count
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        task.methods[method](X, task.K, 0)
        return _resident("VmHWM") - before


def _resident(name: str) -> float:
    """MiB of this process in memory, now (VmRSS) or at its peak (VmHWM), from Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
