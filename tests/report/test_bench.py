"""The benchmark compares like with like: same samples, same starts, points of the right shape, ratios that are said."""

import importlib.util

import numpy as np
import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import distortion
from ddoq_core.report import bench as module
from ddoq_core.report.bench import OURS, TASKS, Task, bench, table

METHODS = {(name, title): (task, method) for name, task in TASKS.items() for title, method in task.methods.items()}


@pytest.fixture
def small():
    """600 samples in the dimension of a task, few for the methods that are cubic in them."""
    return lambda d: np.random.default_rng(0).standard_normal((600, min(d, 50)), dtype=np.float32)


@pytest.mark.parametrize("key", METHODS, ids="/".join)
def test_every_method_returns_points_that_lower_the_distortion(key, small):
    _, method = METHODS[key]
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


def test_rows_hold_what_the_table_prints(monkeypatch):
    two = {name: module.FIXED[name] for name in (OURS, "plain torch")}
    monkeypatch.setitem(TASKS, "tiny", Task("tiny task", lambda: module.normal(900, 2), 5, two, iterations=10))
    monkeypatch.setattr(module, "_memory", lambda name, method: 1.0)
    rows = bench(["tiny"], reps=2)
    assert [row["method"] for row in rows] == list(two)
    assert rows[0]["times_ours"] == 1 and all(row["over_best"] >= 1 for row in rows)
    assert all(row["seconds"] == sorted(row["seconds"]) and row["peak_share"] > 0 for row in rows)
    text = table(rows).markdown()
    assert "tiny task" in text and "plain torch" in text and "repetitions: 2" in text


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match="no task 'plain'; tasks: latents, small latents"):
        bench(["plain"], reps=1)


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else True)
    with pytest.raises(InputError, match=r"faiss-cpu not installed; run: pip install 'ddoq_core\[bench\]'"):
        bench(["plane"], reps=1)
