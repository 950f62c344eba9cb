"""The chapter on equal weights: the three measures in their order, and limits that are met."""

import numpy as np
import pytest
from scipy.stats import expon

from ddoq_core.keys import numpy_rng
from ddoq_core.report import barycenter
from ddoq_core.theory.measures import LOPSIDED


@pytest.mark.parametrize("law", barycenter.LAWS.values(), ids=barycenter.LAWS)
def test_best_points_and_weights_beat_best_equal_masses_beat_equal_masses_on_best_points(law):
    for K in (1, 2, 5):
        best, equal, mixed = barycenter.three_errors(law, K)
        assert best <= equal * (1 + 1e-12) and equal <= mixed * (1 + 1e-12)


def test_ratios_are_those_worked_out_before():
    best, equal, mixed = barycenter.three_errors(expon(), 10)
    assert (equal / best, mixed / best) == pytest.approx((5.3099, 176.3), rel=3e-4)


def test_equal_masses_on_optimal_points_get_worse_with_more_points():
    errors = [barycenter.three_errors(barycenter.LAWS["Laplace"], K)[2] for K in (3, 10, 50)]
    assert errors == pytest.approx([0.919, 2.23, 5.17], abs=0.006)


def test_the_distance_to_the_grid_attains_the_sharp_bound_of_theorem_5_and_no_function_exceeds_it():
    trial = barycenter.lipschitz_trial(5, 300, numpy_rng(0, "test"))
    assert trial.worst == pytest.approx(trial.mean_distance)
    assert trial.random.max() < trial.mean_distance < trial.root_distortion
    assert trial.mean_distance / trial.root_distortion == pytest.approx(np.sqrt(3) / 2)


def test_second_moments_tend_to_their_limits():
    rows = {name: [float(v) for v in cells[0]] for name, cells in barycenter.limits_table([10, 1000]).blocks}
    assert rows["10"] == pytest.approx([1.9125, 1.3472, 0.9771], abs=6e-5)
    assert rows["1,000"] == pytest.approx([2.9629, 1.4999, 1.0000], abs=6e-5)
    assert rows["∞"] == [3.0, 1.5, 1.0]


def test_in_the_plane_a_converged_codebook_is_nearer_to_the_limits_than_one_pass():
    moments = barycenter.plane_moments(64, 20_000, range(2))
    lloyd, one_pass = (values.mean(0) for values in moments.values())
    assert lloyd[0] > one_pass[0] > 2  # uniform weights
    assert lloyd[2] == pytest.approx(2, abs=0.1)
    assert "limit of optimal grids" in barycenter.plane_table(moments).markdown()


def test_the_effect_fades_with_the_dimension():
    table = barycenter.dimensions_table([1, 2, 100, 16384])
    rows = {name: [float(v) for v in cells[0]] for name, cells in table.blocks}
    assert rows["1"][::2] == pytest.approx([0.7321, 0.5845], abs=6e-5)
    assert rows["2"][::2] == pytest.approx([0.5858, 0.5774], abs=6e-5)
    assert rows["100"][::2] == pytest.approx([0.0995, 0.1393], abs=6e-5)
    assert rows["16,384"][::2] == pytest.approx([0.0078, 0.0110], abs=6e-5)


def test_the_three_measures_in_the_plane_stand_in_their_order():
    rng = numpy_rng(0, "test", "plane")
    three = barycenter.plane_trial(LOPSIDED.sample(150, rng), 5, 3, rng)
    assert three.optimal < three.equal < three.mixed
