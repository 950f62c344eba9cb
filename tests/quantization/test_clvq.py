"""Algorithm 1: competitive learning, one sample at a time."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_core.errors import InputError
from ddoq_core.quantization import (
    best_of_restarts,
    clvq,
    distortion,
    exact_distortion,
    exact_quantizer,
    power_steps,
    random_samples,
    sampled_quantizer,
)
from ddoq_core.randomness import numpy_rng, torch_rng

LINE = torch.tensor([[0.0], [4.0], [1.0]])  # three samples on a line


def test_one_step_moves_the_winner_by_gamma_and_nobody_else():
    found = clvq(LINE, torch.tensor([[1.0], [5.0]]), steps=[0.25, 1e-12, 1e-12])
    assert found.points.flatten().tolist() == pytest.approx([0.75, 5.0])  # 1 -> (1 - 1/4) 1 + (1/4) 0


def test_companion_weights_follow_line_7():
    gamma = [0.5, 0.25, 0.1]
    found = clvq(LINE, torch.tensor([[0.0], [5.0]]), steps=gamma)  # winners: first, second, first
    w = np.array([0.5, 0.5])
    for g, hit in zip(gamma, np.eye(2)[[0, 1, 0]], strict=True):
        w = (1 - g) * w + g * hit
    np.testing.assert_allclose(found.companion, w, rtol=1e-12)


def test_companion_weights_stay_a_probability(samples, codebook):
    found = clvq(samples, codebook, steps=power_steps(8), passes=2, rng=numpy_rng(0, "test"))
    assert (found.companion >= 0).all()
    assert found.companion.sum() == pytest.approx(1)


def test_points_stay_in_the_hull_of_the_samples(samples):
    found = clvq(samples, random_samples(samples, 8, numpy_rng(0, "test")), steps=lambda k: 0.9)
    assert (found.points >= samples.min(0).values).all()
    assert (found.points <= samples.max(0).values).all()


def test_a_step_function_and_the_sequence_of_its_values_do_the_same(samples, codebook):
    steps = power_steps(8)
    by_function = clvq(samples, codebook, steps=steps)
    assert torch.equal(by_function.points, clvq(samples, codebook, steps=[steps(k) for k in range(600)]).points)


def test_each_pass_is_ordered_by_the_key_alone(samples, codebook):
    runs = [clvq(samples, codebook, steps=power_steps(8), passes=2, rng=numpy_rng(s, "test")) for s in (0, 0, 1)]
    assert torch.equal(runs[0].points, runs[1].points)
    assert not torch.equal(runs[0].points, runs[2].points)


def test_history_is_the_exact_distortion_at_the_start_and_after_each_pass(samples, codebook):
    found = clvq(samples, codebook, steps=power_steps(8), passes=3, rng=numpy_rng(0, "test"))
    assert len(found.history) == 4
    assert found.history[0] == distortion(samples, codebook)
    assert found.history[-1] == pytest.approx(distortion(samples, found.points), rel=1e-9)


def test_counts_are_those_of_the_final_cells_not_of_the_wins(samples, codebook):
    assert clvq(samples, codebook, steps=power_steps(8), passes=3).counts.sum() == len(samples)


def test_callback_sees_every_step_with_the_squared_distance_to_the_winner():
    seen = []
    clvq(LINE, torch.tensor([[1.0], [5.0]]), steps=[0.25, 0.5, 0.5], callback=lambda it: seen.append(it.distortion))
    assert seen == pytest.approx([1.0, 1.0, 0.0625])


@pytest.mark.parametrize("gamma", [0.0, 1.0, -0.1, float("nan")])
def test_a_step_outside_0_1_is_refused(gamma):
    with pytest.raises(InputError, match=r"gamma_1 = .* strictly between 0 and 1"):
        clvq(LINE, LINE[:1], steps=[0.5, gamma, 0.5])


def test_too_few_steps_are_refused():
    with pytest.raises(InputError, match="CLVQ makes 6 steps, but has 3 step sizes"):
        clvq(LINE, LINE[:1], steps=[0.5, 0.4, 0.3], passes=2)


def test_clvq_on_the_normal_law_finds_its_exact_points_and_weights():
    # Proposition 7 on N(0, 1), K = 5: points, companion weights and the running mean of |X_k - x_win|^2
    X = torch.randn(60_000, 1, generator=torch_rng(0, "test", "normal"), dtype=torch.float64)
    G = []
    found = clvq(X, X[:5], steps=power_steps(5), callback=lambda it: G.append(it.distortion))
    exact, order = exact_quantizer(norm(), 5), found.points[:, 0].argsort()
    np.testing.assert_allclose(found.points[order, 0], exact.points, atol=0.08)
    np.testing.assert_allclose(found.companion[order], exact.weights, atol=0.04)
    assert np.mean(G) == pytest.approx(exact.distortion, rel=0.1)


def test_a_law_that_can_only_be_drawn_from_has_nearly_its_best_points():
    """Averaging leaves less than a tenth of a percent of the optimal distortion on the table; the last iterate more."""
    drawn = []

    def sampler(rng, n):
        drawn.append(n)
        return rng.standard_normal((n, 1))

    found, exact = sampled_quantizer(sampler, 6, 60_000, rng=numpy_rng(0, "test")), exact_quantizer(norm(), 6)
    x = np.sort(found.points[:, 0].numpy())
    assert exact_distortion(norm(), x) < 1.001 * exact.distortion
    assert len(found.history) == 3 and found.counts.sum() == 60_000
    assert found.distortion == pytest.approx(exact.distortion, rel=0.03)
    assert drawn == [60_000, *3 * [600, 60_000], 60_000]  # the judge, start and run of each, the count


def test_sizes_of_a_run_on_draws_are_checked():
    draw = lambda rng, n: rng.standard_normal((n, 2))  # noqa: E731
    for sizes, words in (((0, 100, 1), "K = 0"), ((3, 299, 1), "n = 299"), ((3, 300, 0), "n_restarts = 0")):
        with pytest.raises(InputError, match=words):
            sampled_quantizer(draw, *sizes[:2], n_restarts=sizes[2], rng=numpy_rng(0, "test"))


def test_a_law_in_the_plane_that_can_only_be_drawn_from_has_points_as_good_as_lloyds():
    draw = lambda rng, n: rng.standard_normal((n, 2))  # noqa: E731
    found = sampled_quantizer(draw, 8, 60_000, rng=numpy_rng(0, "test"))
    samples = torch.from_numpy(draw(numpy_rng(1, "test"), 60_000))
    best = best_of_restarts(samples, 8, n_restarts=5, rng=numpy_rng(2, "test"))
    assert found.points.shape == (8, 2) and distortion(samples, found.points) < 1.01 * best.distortion


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda X: X[::2], r"gave \(\d+, 2\), but was asked for \(\d+, 2\)"),
        (lambda X: X[:, :1], r"gave \(\d+, [12]\), but was asked for \(\d+, [12]\)"),  # the first draws say d
        (lambda X: X[:, 0], r"draws are \(\d+,\) of torch.float64; give a matrix"),
        (lambda X: np.where(X < 2, X, np.nan), r"draws are NaN or infinite"),
    ],
)
@pytest.mark.parametrize("call", range(4))
def test_draws_of_another_shape_or_without_a_value_are_refused_in_every_call(wrong, words, call):
    """One sampler is wrong in one of its calls: the judge, the start, the run, the count."""
    calls = iter(range(4))

    def sampler(rng, n):
        X = rng.standard_normal((n, 2))
        return wrong(X) if next(calls) == call else X

    with pytest.raises(InputError, match=words):
        sampled_quantizer(sampler, 3, 400, n_restarts=1, rng=numpy_rng(0, "test"))
