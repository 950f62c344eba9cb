"""The chapter on learning a codebook: eq. 15 as printed, and Proposition 7 against the exact quantizer."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddoq_book.ch13 import learning
from ddoq_book.ch13.linear_rates import linearise, step_laws
from ddoq_core.errors import InputError
from ddoq_core.quantization import clvq, exact_quantizer


@pytest.fixture(scope="module")
def traces():
    return learning.learn(norm(), 3, 3_000, range(6))


def test_a_law_that_is_not_log_concave_is_refused_with_the_ones_that_are():
    with pytest.raises(
        InputError, match=r"learning_law = 'cauchy', but it must be one of expon, .*, norm, .*, uniform"
    ):
        learning.law_of("cauchy")


def test_as_printed_all_points_but_one_leave_the_support_and_the_rest_is_one_point():
    found = [learning.drift(5, 5_000, seed) for seed in range(3)]
    assert [paths.n_outside for paths in found] == [4, 4, 4]
    printed, meant = np.transpose([paths.distortions for paths in found])
    assert printed == pytest.approx([1 / 12] * 3, rel=0.01)
    assert max(meant) < 1.2 / (12 * 5**2)


def test_every_law_sees_the_same_samples_and_starts(traces):
    X, start = learning.draws(norm(), 3, 3_000, 0)
    assert np.array_equal(X, learning.draws(norm(), 3, 3_000, 0)[0]) and (np.diff(start) > 0).all()
    assert set(traces) == {*step_laws(3), learning.MACQUEEN}
    assert all(trace.points.shape == (6, len(trace.steps)) for trace in traces.values())


def test_a_trace_ends_where_clvq_ends(traces):
    X, start = learning.draws(norm(), 3, 3_000, 0)
    found = clvq(torch.from_numpy(X), torch.from_numpy(start)[:, None], steps=step_laws(3)["(k + 2)^−0.7"].steps)
    best, trace = exact_quantizer(norm(), 3), traces["(k + 2)^−0.7"]
    assert trace.points[0, -1] == pytest.approx(np.abs(found.points[:, 0].numpy() - best.points).max(), abs=1e-12)
    assert trace.weights[0, -1] == pytest.approx(np.abs(found.companion.numpy() - best.weights).max(), abs=1e-12)


def test_points_and_weights_tremble_at_the_level_of_the_linear_theory(traces):
    linear, trace, law = linearise(norm(), 3), traces["(k + 2)^−0.4"], step_laws(3)["(k + 2)^−0.4"]
    late = trace.steps > 1_000  # less than a per cent of the start is left
    level = np.mean([linear.levels(law, k) for k in trace.steps[late]], axis=0)
    found = trace.points[:, late].mean(), trace.weights[:, late].mean()
    assert found == pytest.approx(tuple(level), rel=0.5)  # 6 seeds, each worth one value or more


def test_the_running_distortion_is_near_its_limit_for_steps_that_forget(traces):
    running = traces["100 / (k + 200)"].running[:, -1]
    assert running.mean() == pytest.approx(exact_quantizer(norm(), 3).distortion, rel=0.15)


def test_the_start_outlasts_the_harmonic_steps(traces):
    assert traces["1 / (k + 2)"].points[:, -1].mean() > 2 * traces["100 / (k + 200)"].points[:, -1].mean()


def test_trembling_costs_half_a_step_of_distortion():
    # E G(x) = (1 + gamma / 2) G(x*); the mean over 8 runs of 10,000 steps has a standard error of about 0.15 gamma / 2
    found = learning.constant_level(norm(), 2, 0.02, 10_000, range(8))
    assert found.mean() == pytest.approx(0.01, rel=0.5)


def test_lloyd_never_raises_the_distortion_and_shrinks_the_error_at_its_linear_rate():
    runs = learning.lloyd_runs(norm(), 3, 60, range(3))
    assert (np.diff(runs.excess) < 1e-14).all()  # rounding
    assert runs.factor == pytest.approx(1 - linearise(norm(), 3).slowest_lloyd, rel=1e-3)
