"""Ablations: one knob at a time, paired with the setting of the long run; and whether nearness goes with accuracy."""

import numpy as np
import pytest

from ddoq_book.ch34.ablations import ablation_result, ablation_rows, ablation_table
from ddoq_book.ch34.distances import SetsByDistance, distance_figure, distance_texts, sets_by_distance, shrinkage
from ddoq_book.studies.one_knob import ABLATIONS, ablation_runs
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.results.records import Records

from ...rows import row

N_TEST = 300
CLASSES = np.arange(N_TEST) % 3


def rows_of(share: float, method: str, w2: float = 10.0, weights="proportional", rng=None, settings="a") -> list[dict]:
    """Students of three distillations, two each, right on `share` of the test images, at W_2 = w2 + i / 100 in every
    class by the counts of distillation i, and at 1 more by equal weights."""
    rng = rng or np.random.default_rng(0)
    found = []
    for i in range(3):
        for s in range(2):
            hits = rng.random(N_TEST) < share
            near = w2 + i / 100
            extra = {"w2": [near] * 3, "w2_uniform": [near + 1] * 3, "effective": [0.8] * 3, "weights": weights}
            extra |= {"settings": settings, "key": f"{method} {near} {weights} {i} {s}"}
            found.append(row(hits, method, distill_seed=i, seed=s) | extra)
    return found


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_setting_is_a_valid_profile_and_the_first_is_the_long_run(name):
    profile = Profile.load("table")
    first, *others = [profile.replace(**changes) for changes in ABLATIONS[name].settings.values()]
    assert first == profile
    assert others and all(other != profile for other in others)


def test_a_file_is_named_by_knob_and_setting():
    names = [file for file, _ in ablation_runs(Profile.load("table"))]
    assert len(names) == len(set(names)) == sum(len(a.settings) for a in ABLATIONS.values())
    assert all(name.startswith("mnist5k-") for name in names)


def test_settings_are_compared_in_pairs_and_ddoq_with_d4m_within_each():
    rows = {}
    for number, lift in enumerate((0.0, 0.2)):
        rng = np.random.default_rng(1)
        rows[number] = rows_of(0.6 + lift, "d4m", rng=rng) + rows_of(0.7, "ddoq", rng=rng)
    found = ablation_result("loss", rows)
    d4m = [one for one in found.rows if one.method == "d4m"]
    assert d4m[0].against_first is None and d4m[1].against_first.verdict == "higher"
    ddoq = [one for one in found.rows if one.method == "ddoq"]
    assert ddoq[0].gain_of_weights.mean > 0 > ddoq[1].gain_of_weights.mean and d4m[0].gain_of_weights is None
    assert (ddoq[0].w2, ddoq[0].w2_uniform, ddoq[0].effective) == pytest.approx((10.01, 11.01, 0.8))
    assert (found.n_runs, found.n_test) == (6, N_TEST)
    assert ablation_table(found).column("Setting") == 2 * list(ABLATIONS["loss"].settings)


def test_every_setting_but_the_first_is_a_line_of_the_plot_and_what_is_missing_says_so():
    rows = {n: rows_of(0.6 + 0.1 * n, "d4m") + rows_of(0.7, "ddoq") for n in (0, 1)}
    plotted = ablation_rows([ablation_result("loss", rows), ablation_result("sampler", {})])
    assert [row.title for row in plotted] == [
        *("D⁴M: KL(student ‖ teacher)", "DDOQ: KL(student ‖ teacher)", "DDPM, stochastic")
    ]
    assert plotted[0].group == "Direction of the divergence, minus KL(teacher ‖ student)"
    assert plotted[0].estimate == ablation_result("loss", rows).rows[1].against_first.difference
    assert plotted[-1].estimate is None


def test_a_nearer_set_with_better_students_has_a_correlation_of_minus_1():
    rng = np.random.default_rng(0)
    methods = ("random_real", "random_generated", "d4m", "rded")
    rows = [r for k, m in enumerate(methods) for r in rows_of(0.5 + 0.15 * k, m, 10.0 - k, "uniform", rng)]
    found = sets_by_distance(rows, CLASSES, 10)
    of_means = found.correlation
    assert of_means.rho == pytest.approx(-1, abs=0.1) and of_means.low <= of_means.rho <= of_means.high < 0
    assert found.correlation_within_classes.rho < -0.7
    assert len(distance_figure(found).axes) == 1
    texts = distance_texts({"soft": found}, shrinkage(rows_of(0.5, "ddoq")))
    assert (texts["n_sets_soft"], texts["n_points_soft"]) == ("12", "12")


def test_a_set_is_a_point_once_whatever_the_number_of_its_students():
    rows = [r for k, m in enumerate(("d4m", "rded", "ddoq")) for r in rows_of(0.5, m, 10.0 + k)]
    found = sets_by_distance(rows, CLASSES, 10)
    assert found.w2.shape == (9, 3)
    hits = Records.of(rows).hits[:2]  # the two students of the first set
    assert found.accuracy[0].tolist() == pytest.approx([100 * hits[:, c == CLASSES].mean() for c in range(3)])


def test_a_set_is_at_the_distance_of_the_weights_that_its_students_had():
    rows = rows_of(0.5, "d4m", 4.0, "uniform") + rows_of(0.5, "ddoq_proportional", 4.0, "proportional")
    rows += [r | {"w2_used": [3.5] * 3} for r in rows_of(0.5, "ddoq", 4.0, "sqrt")]
    found = sets_by_distance(rows, CLASSES, 10)
    firsts = dict(reversed([*zip(found.names, found.w2[:, 0].tolist(), strict=True)]))
    assert firsts == {"d4m": 5.0, "ddoq_proportional": 4.0, "ddoq": 3.5}


def test_exponents_0_and_1_are_uniform_and_proportional_weights():
    rows = [r for k, w in enumerate((0.0, 1.0)) for r in rows_of(0.5, f"ddoq {k}", 4.0, w)]
    found = sets_by_distance(rows, CLASSES, 10)
    assert found.w2[found.names.index("ddoq 0"), 0] == 5.0 and found.w2[found.names.index("ddoq 1"), 0] == 4.0


def test_a_weighting_whose_distance_was_not_recorded_is_left_out():
    rows = rows_of(0.5, "d4m", 4.0, "uniform") + rows_of(0.5, "ddoq", 4.0, "sqrt") + rows_of(0.5, "x", 4.0, 0.5)
    assert {*sets_by_distance(rows, CLASSES, 10).names} == {"d4m"}


def test_two_weightings_of_the_same_images_are_two_points_of_one_cluster():
    rows = rows_of(0.5, "d4m", 4.0, "uniform") + rows_of(0.6, "ddoq_proportional", 4.0, "proportional")
    found = sets_by_distance(rows, CLASSES, 10)
    assert len(found.names) == 6 and [found.images.count(one) for one in dict.fromkeys(found.images)] == [2, 2, 2]
    texts = distance_texts({"soft": found}, shrinkage(rows_of(0.5, "ddoq")))
    assert (texts["n_sets_soft"], texts["n_points_soft"]) == ("3", "6")


def test_points_of_one_cluster_are_drawn_together():
    """Eight copies of a set say no more than one: a bootstrap of points would give a narrower interval."""
    rng = np.random.default_rng(0)
    far = rng.random(6)
    w2, accuracy = np.repeat(far, 8), np.repeat(rng.random(6), 8)
    apart = [(k,) for k in range(48)]
    together = [(k // 8,) for k in range(48)]
    made = [
        SetsByDistance(["d4m"] * 48, images, w2[:, None], accuracy[:, None]).correlation for images in (together, apart)
    ]
    assert made[0].rho == made[1].rho
    assert made[0].high - made[0].low > 1.5 * (made[1].high - made[1].low)


def test_a_student_that_two_rows_share_counts_once():
    rows = rows_of(0.2, "d4m", 4.0, "uniform")
    shared = [r | {"method": "ddoq"} for r in rows if r["seed"] == 0]
    alone, twice = (sets_by_distance(some, CLASSES, 10) for some in (rows, rows + shared))
    assert len(twice.names) == 3 and (twice.accuracy == alone.accuracy).all()


def test_too_few_sets_for_a_correlation_are_refused():
    with pytest.raises(InputError, match="needs at least 3"):
        sets_by_distance(rows_of(0.5, "d4m")[:2], CLASSES, 10)


def test_the_fall_of_w2_by_the_weights_is_in_percent_of_the_uniform_one():
    fall = shrinkage(rows_of(0.5, "ddoq", w2=9.0))
    each = [100 / (10 + i / 100) for i in range(3)]
    assert fall.percent == pytest.approx(np.mean(each)) and fall.n_sets == 3


def test_what_was_not_recorded_is_said():
    assert "Not recorded yet" in ablation_table(ablation_result("loss", {})).notes[0]
