"""The benchmark compares like with like: same samples, same starts, points of the right shape, ratios that are said."""

import importlib.util

import numpy as np
import pytest
import torch

from ddoq_benchmarks import quantizers as module
from ddoq_benchmarks.quantizers import OURS, TASKS, Task, bench_rows
from ddoq_benchmarks.side_by_side import bench_table, side_by_side
from ddoq_core.errors import InputError
from ddoq_core.quantization import distortion
from ddoq_core.store.artifacts import Workspace

METHODS = {(name, title): (task, method) for name, task in TASKS.items() for title, method in task.methods.items()}


@pytest.fixture
def small():
    """600 samples in the dimension of a task, few for the methods that are cubic in them."""
    return lambda d: np.random.default_rng(0).standard_normal((600, min(d, 50)), dtype=np.float32)


@pytest.mark.parametrize("key", METHODS, ids="/".join)
def test_every_method_returns_points_that_lower_the_distortion(key, small):
    _, method = METHODS[key]
    if key[1] in module.OPTIONAL:
        pytest.importorskip(module.OPTIONAL[key[1]])
    K, X = (10 if "at once" in key[1] else 20), small({"line": 1, "plane": 2, "clvq": 2, "eight": 8}.get(key[0], 50))
    if "at once" in key[1]:
        X = X[:300]
    points = method(X, K, 0)
    assert points.shape == (K, X.shape[1])
    samples = torch.from_numpy(X)
    assert distortion(samples, torch.from_numpy(points)) < distortion(samples, samples.mean(0, keepdim=True))


def test_iterations_from_one_start_end_at_one_distortion(small):
    X = small(8)
    ends = [distortion(torch.from_numpy(X), torch.from_numpy(m(X, 20, 0))) for m in module.FIXED.values()]
    assert np.ptp(ends) / np.mean(ends) < 1e-3


def test_compiled_clvq_takes_the_path_of_numpy(small):
    X = small(2)
    np.testing.assert_allclose(module.ours_clvq(X, 20, 0), module.numpy_clvq(X, 20, 0), rtol=1e-6)


@pytest.fixture
def tiny(monkeypatch):
    """A task of two methods that takes no time; a list that grows whenever its samples are drawn."""
    drawn = []
    two = {name: module.FIXED[name] for name in (OURS, "plain torch")}
    law = lambda n, d: drawn.append(n) or module.normal(n, d)  # noqa: E731
    monkeypatch.setitem(TASKS, "tiny", Task("Tiny task", law, 900, 2, 5, two, iterations=10))
    monkeypatch.setattr(module, "_memory", lambda name, method: 1.0)
    return drawn


def test_what_is_compared_are_medians_of_ratios_within_a_repetition(tiny):
    rows = bench_rows(["tiny"], reps=2)
    assert [row["rep"] for row in rows] == [0, 1] and rows[1]["methods"][OURS]["memory_mib"] is None
    (task,) = side_by_side(rows).tasks
    ours, plain = task.methods
    assert (task.n_reps, ours.time_ratio, ours.distortion_ratio, ours.memory_mib) == (2, 1.0, 1.0, 1.0)
    seconds = [[row["methods"][name]["seconds"] for row in rows] for name in (OURS, "plain torch")]
    assert plain.name == "plain torch" and plain.seconds == (min(seconds[1]), np.median(seconds[1]), max(seconds[1]))
    assert plain.time_ratio == pytest.approx(np.median(np.divide(*reversed(seconds))))
    assert min(ours.over_best, plain.over_best) >= 1
    operations = 2e-9 * 900 * 2 * 5 * 10
    assert ours.share_of_peak == pytest.approx(
        np.median([operations / s / row["peak"] for s, row in zip(seconds[0], rows, strict=True)])
    )


def test_the_table_names_a_task_with_its_sizes_and_has_a_row_for_every_method(tiny):
    found = side_by_side(bench_rows(["tiny"], reps=1))
    (block,) = bench_table(found).blocks
    assert block[0] == "Tiny task: n = 900, d = 2, K = 5 (repetitions: 1)"
    assert [row[0] for row in block[1]] == [OURS, "plain torch"]


def test_a_benchmark_that_was_interrupted_goes_on_where_it_was(tiny, tmp_path, monkeypatch):
    out = tmp_path / "bench.jsonl"
    first = bench_rows(["tiny"], reps=1, out=out)
    assert bench_rows(["tiny"], reps=1, out=out) == first == module.read_bench(out)
    assert len(tiny) == 1  # the second call had nothing to do
    rows = bench_rows(["tiny"], reps=3, out=out)
    assert rows[:1] == first and [row["rep"] for row in rows] == [0, 1, 2]


def test_rows_of_another_machine_are_not_mixed_in(tiny, tmp_path):
    out = tmp_path / "bench.jsonl"
    rows = bench_rows(["tiny"], reps=1)
    Workspace(tmp_path).jsonl(out.name, [rows[0] | {"device": "an abacus"}])
    before = out.read_bytes()
    with pytest.raises(InputError, match="times of another machine, number of threads or versions; give another file"):
        bench_rows(["tiny"], reps=2, out=out)
    assert out.read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[1]\n", '{"task": "plane"}\n', '{"task": "none", "methods": {}}\n'])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "bench.jsonl").write_text(content)
    with pytest.raises(InputError, match="is not a file of this benchmark's rows"):
        module.read_bench(tmp_path / "bench.jsonl")
    with pytest.raises(InputError, match=r"no records .*none\.jsonl; run: ddoq bench --out"):
        module.read_bench(tmp_path / "none.jsonl")


def test_a_library_that_may_be_absent_is_left_out_where_it_is(tiny, monkeypatch, tmp_path):
    monkeypatch.setitem(module.OPTIONAL, "plain torch", "no_such_library")
    rows = bench_rows(["tiny"], reps=1, out=tmp_path / "bench.jsonl")
    assert list(rows[0]["methods"]) == [OURS] and module.read_bench(tmp_path / "bench.jsonl") == rows
    (task,) = side_by_side(rows).tasks
    assert [method.name for method in task.methods] == [OURS]


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match="no task 'plain'; tasks: latents, small latents"):
        bench_rows(["plain"], reps=1)


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else True)
    with pytest.raises(InputError, match=r"faiss-cpu not installed; run: pip install 'ddoq_core\[bench\]'"):
        bench_rows(["plane"], reps=1)


def test_rows_say_which_versions_of_the_other_libraries_ran():
    versions = module._machine()["versions"]
    assert {"torch", "faiss-cpu", "kmeans1d"} <= {*versions} and all(versions.values())
