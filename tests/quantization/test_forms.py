"""One algorithm in three forms: they agree, and with brute force, whatever the samples look like."""

import importlib
import itertools

import numpy as np
import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.quantization import assign, best_of_restarts, distortion, lloyd, quantize
from ddoq_core.quantization.forms import Direct, Gram, spatial_order
from ddoq_core.quantization.line import Line
from ddoq_core.quantization.voronoi import checked_mass
from ddoq_core.randomness import numpy_rng, torch_rng

module = importlib.import_module("ddoq_core.quantization.lloyd")  # the function of that name hides it


def cloud(n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch_rng(0, "test", "cloud", n, d), dtype=torch.float64).to(dtype)


def brute_force_lloyd(X, x, steps=300):
    """Algorithm 2 in float64, all distances at once; the cells must not get empty."""
    X, x = X.double(), x.double()
    for _ in range(steps):
        labels = (X[:, None] - x).square().sum(2).argmin(1)
        new = torch.stack([X[labels == k].mean(0) for k in range(len(x))])
        if torch.equal(new, x):
            break
        x = new
    return x, (X[:, None] - x).square().sum(2).min(1).values.mean().item()


def in_form(form, monkeypatch):
    monkeypatch.setattr(module, "form_of", lambda samples, mass, *_: form(samples, mass))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("form", "n", "d"),
    [(Line, 300, 1), *itertools.product([Direct, Gram], [300], [1, 2, 5]), (Direct, 120, 40), (Gram, 60, 300)],
)
def test_every_form_follows_brute_force_from_the_same_start(form, n, d, dtype, monkeypatch):
    in_form(form, monkeypatch)
    X = cloud(n, d, dtype)
    start = X[:7].sort(0).values if d == 1 else X[:7]
    found = lloyd(X, start, tol=0)
    points, G = brute_force_lloyd(X, start)
    assert found.distortion == pytest.approx(G, rel=1e-5 if dtype is torch.float32 else 1e-12)
    torch.testing.assert_close(found.points.double(), points, rtol=1e-4, atol=1e-5)


HARD = {
    "duplicates": cloud(40, 6).repeat(5, 1),
    "constant columns": torch.cat([cloud(200, 3), torch.full((200, 3), 7.0, dtype=torch.float64)], 1),
    "far from the origin": cloud(200, 6) + 1e6,
    "float16": cloud(200, 6, torch.float16),
    "tight clusters far apart": 1e-3 * cloud(200, 6) + 100 * cloud(4, 6).repeat(50, 1),
    "one coordinate far away": cloud(200, 6) + torch.tensor([1e6, 0, 0, 0, 0, 0], dtype=torch.float64),
}


@pytest.mark.parametrize("form", [Direct, Gram])
@pytest.mark.parametrize("X", HARD.values(), ids=HARD)
def test_hard_samples_are_quantized_as_in_exact_arithmetic(X, form, monkeypatch):
    in_form(form, monkeypatch)
    found = best_of_restarts(X, 4, n_restarts=3, rng=numpy_rng(0, "test"))
    _, G = brute_force_lloyd(X, found.points)
    assert found.counts.sum() == len(X)
    assert found.distortion == pytest.approx(G, rel=1e-5)


@pytest.mark.parametrize("form", [Direct, Gram])
def test_one_sample_and_as_many_points_as_samples(form, monkeypatch):
    in_form(form, monkeypatch)
    X = cloud(9, 5)
    assert lloyd(X[:1], X[:1]).distortion == 0
    assert best_of_restarts(X, 9, n_restarts=2, rng=numpy_rng(0, "test")).distortion == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("form", [Direct, Gram])
def test_a_mass_of_two_is_a_sample_met_twice(form, monkeypatch):
    in_form(form, monkeypatch)
    X, start = cloud(100, 6), cloud(5, 6)
    mass = 1.0 + (torch.arange(100) % 3)
    weighed, repeated = lloyd(X, start, mass=mass), lloyd(X.repeat_interleave(mass.long(), 0), start)
    torch.testing.assert_close(weighed.points, repeated.points)
    torch.testing.assert_close(weighed.weights, repeated.weights)
    assert weighed.distortion == pytest.approx(repeated.distortion)


@pytest.mark.parametrize("mass", [torch.ones(7), -torch.ones(20), torch.zeros(20), torch.full((20,), torch.nan)])
def test_a_mass_that_is_none_is_refused(mass):
    with pytest.raises(InputError, match="one finite number >= 0 per sample, not all 0"):
        lloyd(cloud(20, 2), cloud(2, 2), mass=mass)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("d", [2, 6])
def test_cells_sums_and_codebooks_do_not_depend_on_the_number_of_threads(n_threads, d, monkeypatch):
    from ddoq_core.quantization import kernels

    monkeypatch.setattr(kernels, "RUN", 100)
    X = cloud(1000, d, torch.float32)
    before = torch.get_num_threads()
    one = quantize(X, X[:8])
    torch.set_num_threads(n_threads)
    try:
        assert torch.equal(assign(X, X[:8]), (X[:, None] - X[:8]).square().sum(2).argmin(1))
        several = quantize(X, X[:8])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one.counts, several.counts) and one.distortion == several.distortion


def test_several_levels_from_one_call_are_those_of_calls_of_their_own():
    X = cloud(60, 200)
    together = best_of_restarts(X, [2, 5, 9], n_restarts=4, rng=numpy_rng(0, "test"))
    alone = [best_of_restarts(X, K, n_restarts=4, rng=numpy_rng(0, "test")) for K in (2, 5, 9)]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.points, b.points)
        assert torch.equal(a.counts, b.counts)


def test_the_form_is_chosen_by_what_it_costs():
    def chosen(n, d, levels, passes):
        X = torch.zeros(n, d)
        return type(module.form_of(X, checked_mass(None, X), levels, passes))

    assert chosen(50, 1, [5], 20) is Line
    assert chosen(1300, 4096, [50], 500) is Gram  # a class of latents, ten starts
    assert chosen(6000, 16, [50], 50) is Direct
    assert chosen(20_000, 2, [5000], 500) is Direct  # too many inner products for the memory


def test_random_starts_of_fewer_points_are_the_first_of_more():
    X = cloud(100, 3)
    mass = checked_mass(None, X)
    more, fewer = (module.random_rows(Direct(X, mass), K, numpy_rng(0, "test")) for K in (20, 5))
    assert more[:5] == fewer and len(set(more)) == 20


def test_an_unknown_start_is_refused():
    with pytest.raises(InputError, match=r"init = 'kmeans\+\+', but it must be k-means\+\+ or random"):
        best_of_restarts(cloud(20, 2), 2, n_restarts=1, rng=numpy_rng(0, "test"), init="kmeans++")


def test_random_starts_end_no_lower_than_k_means_plus_plus_on_average():
    X = torch.cat([cloud(50, 6) + 20 * i for i in range(6)])
    ends = {
        init: [best_of_restarts(X, 6, n_restarts=1, rng=numpy_rng(s, "t"), init=init).distortion for s in range(10)]
        for init in ("k-means++", "random")
    }
    assert np.mean(ends["k-means++"]) < np.mean(ends["random"])


@pytest.mark.parametrize(("n", "d", "K"), list(itertools.product([1, 5, 700], [1, 2, 3, 4, 8, 9, 30], [1, 4])))
def test_nearest_points_are_found_in_every_dimension(n, d, K):
    X, x = cloud(n, d, torch.float32), cloud(K, d, torch.float32)
    squared = (X[:, None] - x).square().sum(2)
    torch.testing.assert_close(squared.gather(1, assign(X, x)[:, None])[:, 0], squared.min(1).values)
    assert distortion(X, x) == pytest.approx(squared.min(1).values.mean().item(), rel=1e-5)


SCATTERED = {
    "normal": cloud(5000, 2, torch.float32),
    "three dimensions": cloud(5000, 3, torch.float32),
    "on a lattice": torch.cartesian_prod(torch.arange(70.0), torch.arange(70.0)),
    "two far clouds": torch.cat([cloud(2500, 2, torch.float32), cloud(2500, 2, torch.float32) + 1e5]),
    "heavy tails": cloud(5000, 2, torch.float32) ** 7,
    "constant column": cloud(5000, 2, torch.float32) * torch.tensor([1.0, 0.0]),
}


@pytest.mark.parametrize("X", SCATTERED.values(), ids=SCATTERED)
def test_points_out_of_reach_of_a_block_are_left_out_only_where_they_cannot_win(X):
    x = X[:: len(X) // 300]
    form = Direct(X, checked_mass(None, X))
    found = form.sweep(x)
    nearest = (X[:, None] - x).square().sum(2).min(1).values
    torch.testing.assert_close(found.cost.float(), nearest[form.order], rtol=1e-5, atol=0)
    labels = form.labels(found)
    assert torch.equal(labels, assign(X, x))  # whatever the order, ties too


def test_samples_that_stand_together_lie_close_together():
    X = cloud(50_000, 2, torch.float32)
    order = spatial_order(X)
    assert np.array_equal(np.sort(order), np.arange(len(X)))
    spread = [torch.stack([run.var(0).sum() for run in Y.split(1000)]).median() for Y in (X, X[order])]
    assert spread[1] < spread[0] / 10
