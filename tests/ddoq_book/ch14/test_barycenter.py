"""The chapter on equal weights: the three measures in their order, and limits that are met."""

import numpy as np
import pytest

from ddoq_book.ch14 import barycenter
from ddoq_core.randomness import numpy_rng
from ddoq_core.theory.measures import LOPSIDED


@pytest.mark.parametrize("law", barycenter.LINE_LAWS.values(), ids=barycenter.LINE_LAWS)
def test_best_points_and_weights_beat_best_equal_masses_beat_equal_masses_on_best_points(law):
    for K in (1, 2, 5):
        found = barycenter.line_errors(law, K)
        assert found.optimal <= found.equal * (1 + 1e-12) and found.equal <= found.mixed * (1 + 1e-12)


RATIOS = {  # law: K: optimal distortion, best equal masses over it, optimal points with equal masses over it
    "N(0, 1)": {
        2: (0.363380, 1.0000, 1.000), 3: (0.190174, 1.0873, 1.149), 5: (0.079941, 1.2890, 2.086),
        10: (0.022937, 1.7855, 9.173), 20: (0.006208, 2.6892, 47.37), 32: (0.002505, 3.6777, 139.4),
        50: (0.001047, 5.0514, 376.3),
    },
    "Laplace": {
        2: (1.000000, 1.0000, 1.000), 3: (0.528482, 1.2926, 1.738), 5: (0.239613, 1.7477, 5.165),
        10: (0.073090, 2.9106, 30.56), 20: (0.020189, 5.3099, 176.3), 32: (0.008204, 8.1902, 539.9),
        50: (0.003443, 12.511, 1501),
    },
    "Exponential": {
        2: (0.352390, 1.4744, 2.742), 3: (0.179737, 1.9523, 7.796), 5: (0.073090, 2.9106, 30.56),
        10: (0.020189, 5.3099, 176.3), 20: (0.005322, 10.110, 904.2), 32: (0.002122, 15.872, 2607),
        50: (0.000880, 24.514, 6934),
    },
    "Narrow and wide": {
        2: (0.581530, 1.3426, 10.18), 3: (0.227407, 3.1529, 30.84), 5: (0.128196, 4.9665, 76.77),
        20: (0.010906, 27.870, 1061), 32: (0.004471, 34.983, 2736), 50: (0.001879, 47.379, 6881),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RATIOS)
def test_ratios_are_those_worked_out_before(name):
    for K, (distortion, to_equal, to_mixed) in RATIOS[name].items():
        found = barycenter.line_errors(barycenter.LINE_LAWS[name], K)
        assert found.optimal == pytest.approx(distortion, abs=6e-7), K
        ratios = found.equal / found.optimal, found.mixed / found.optimal
        assert ratios == pytest.approx((to_equal, to_mixed), rel=6e-4), K


def test_of_a_law_that_is_not_log_concave_a_better_grid_is_found_than_lloyd_from_random_starts_found():
    assert barycenter.line_errors(barycenter.LINE_LAWS["Narrow and wide"], 10).optimal == pytest.approx(
        0.038543, abs=6e-7
    )


def test_equal_masses_on_optimal_points_get_worse_with_more_points():
    errors = [barycenter.line_errors(barycenter.LINE_LAWS["Laplace"], K).mixed for K in (3, 10, 50)]
    assert errors == pytest.approx([0.919, 2.23, 5.17], abs=0.006)


def test_second_moments_tend_to_their_limits():
    few, many, limit = barycenter.line_moments([10, 1000])
    assert few.moments == pytest.approx([1.9125, 1.3472, 0.9771], abs=6e-5)
    assert many.moments == pytest.approx([2.9629, 1.4999, 1.0000], abs=6e-5)
    assert limit.moments == pytest.approx([3.0, 1.5, 1.0])
    assert barycenter.limits_table((few, many, limit)).csv().splitlines()[-1] == "∞,3.0000,1.5000,1.0000"


def test_in_the_plane_a_converged_codebook_is_nearer_to_the_limits_than_one_pass():
    moments = barycenter.plane_moments(64, 20_000, range(2))
    lloyd, one_pass, seeded = (values.mean(0) for values in moments.values())
    assert lloyd[0] > one_pass[0] > 2  # uniform weights
    assert abs(seeded[0] - lloyd[0]) < (lloyd[0] - one_pass[0]) / 3  # it is the start, not the one pass
    assert lloyd[2] == pytest.approx(2, abs=0.1)
    assert "limit of optimal grids" in barycenter.plane_table(moments).markdown()


def test_the_effect_fades_with_the_dimension():
    for d, floor, spread in ((1, 0.7321, 0.5845), (2, 0.5858, 0.5774), (100, 0.0995, 0.1393), (16384, 0.0078, 0.0110)):
        found = barycenter.uniform_limit(d)
        assert (found.floor, found.spread) == pytest.approx((floor, spread), abs=6e-5)


def test_the_three_measures_in_the_plane_stand_in_their_order():
    rng = numpy_rng(0, "test", "plane")
    three = barycenter.plane_trial(LOPSIDED.sample(150, rng), 5, 3, rng)
    assert three.optimal < three.equal < three.mixed


def test_the_effect_fades_on_latents_too_but_clusters_keep_masses_uneven():
    found = barycenter.latent_trials([2, 32], 5, 4, 2, 0)
    names = ("equal", "mixed", "spread", "spread_normal")
    low, high = ({name: np.mean([getattr(at, name) for at in found[d]]) for name in names} for d in (2, 32))
    assert 1 <= high["equal"] < low["equal"] and high["equal"] < high["mixed"] < low["mixed"]
    assert high["spread"] > 0.5 * high["spread_normal"] > 0
    assert barycenter.latents_table(found, 5).column("d") == [2, 32]


def test_a_normal_twin_has_the_moments_of_its_original():
    X = LOPSIDED.sample(20_000, numpy_rng(0, "twin"))
    twin = barycenter._normal_twin(X, numpy_rng(0, "twin", "noise"))
    np.testing.assert_allclose(twin.mean(0), X.mean(0), atol=0.05)
    np.testing.assert_allclose(twin.T.cov(), X.T.cov(), atol=0.06)
