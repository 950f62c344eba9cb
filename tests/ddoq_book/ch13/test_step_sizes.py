"""What the chapter shows of CLVQ: each law of steps with its conditions, theory and errors."""

import pytest
from scipy.stats import norm

from ddoq_book.ch13 import step_sizes
from ddoq_book.ch13.learning import drift, learn
from ddoq_book.ch13.linear_rates import linearise


@pytest.fixture(scope="module")
def errors():
    return learn(norm(), 3, 500, range(3))


@pytest.fixture(scope="module")
def outcomes(errors):
    return {outcome.name: outcome for outcome in step_sizes.steps_outcomes(errors, linearise(norm(), 3))}


def test_conditions_are_those_of_the_sums(outcomes):
    conditions = {name: (o.proposition_7, o.robbins_monro) for name, o in outcomes.items()}
    assert conditions["(k + 2)^−0.4"] == (True, False)
    assert conditions["0.01"] == (False, False) and outcomes["0.01"].exponent == 0
    assert conditions["1 / (k + 2)"] == (True, True)
    assert conditions[step_sizes.MACQUEEN] == (None, None)


def test_noise_has_a_level_only_where_the_start_is_forgotten(outcomes):
    assert outcomes["(k + 2)^−0.4"].points.level > 0 and outcomes["(k + 2)^−0.4"].weights.level > 0
    assert outcomes["1 / (k + 2)"].points.level is None and outcomes[step_sizes.MACQUEEN].weights.level is None


def test_an_outcome_is_the_mean_of_the_last_errors(outcomes, errors):
    for name, outcome in outcomes.items():
        assert outcome.points.mean.value == errors[name].points[:, -1].mean()
        assert outcome.running.n == 3
    table = step_sizes.step_laws_table(list(outcomes.values()), 500, linearise(norm(), 3).best)
    assert table.column("error of points") == [outcome.points for outcome in outcomes.values()]


def test_figures_are_drawn(errors):
    linear = linearise(norm(), 3)
    assert len(step_sizes.learning_figure(errors, linear).axes) == 2
    assert step_sizes.running_figure(errors, linear.best).axes
    assert len(step_sizes.drift_figure(drift(3, 200, 0)).axes) == 2


def test_both_algorithms_are_drawn_from_one_start_and_come_near_the_optimum():
    best = linearise(norm(), 3).best.points
    clvq, lloyd = (
        [line.get_ydata() for line in axes.lines] for axes in step_sizes.two_ways_figure(norm(), 3, 4000, 0).axes
    )
    assert [path[0] for path in clvq] == [path[0] for path in lloyd]
    assert [path[-1] for path in lloyd] == pytest.approx(best, abs=1e-2)
    assert [path[-1] for path in clvq] == pytest.approx(best, abs=0.3)
