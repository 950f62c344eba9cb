"""The declared study: comparisons pooled over exponents and networks, with the distillation as the unit."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ddoq_book.ch34.controlled import (
    Comparison,
    Controlled,
    comparisons_table,
    controlled_figure,
    controlled_texts,
    primary_comparisons,
    secondary_comparisons,
    single_comparisons,
)
from ddoq_book.studies.images_seen import sub_populations
from ddoq_book.studies.unequal_masses import (
    BLOCKS,
    FRESH,
    STUDENTS,
    UNEQUAL,
    WEIGHTINGS,
    controlled_study,
    fresh_students,
)
from ddoq_core.config.profile import Profile
from ddoq_core.data.imbalance import masses
from ddoq_core.data.loaders import load_dataset
from ddoq_core.results.records import Estimate, Records
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact

from ...rows import row

PROFILE = Profile.load("table")
N_TEST = 200
OF_NETWORK = dict(zip(STUDENTS, (0.0, 1.0, 2.0), strict=True))  # points
OF_DISTILLATION = (-12.0, -1.0, 2.0, 3.0)
SLOPE = 4.0
LIFTS = np.array([SLOPE * np.mean(UNEQUAL) + 1.0 + d for d in OF_DISTILLATION])  # pooled, of each distillation


def rows_of(s: float, ipc: int, labels: str, methods=WEIGHTINGS) -> list[dict]:
    """Four distillations of two students of their own; DDOQ is better by SLOPE s + what network and distillation add,
    proportional weights by half a point more, and the control is as equal weights."""
    found = []
    for network, add in OF_NETWORK.items():
        for i, of_distillation in enumerate(OF_DISTILLATION):
            for seed in (2 * i, 2 * i + 1):
                for method in methods:
                    lift = (SLOPE * s + add + of_distillation) * method.startswith("ddoq")
                    lift = (lift + 0.5 * (method == "ddoq_proportional")) * (method != "ddoq_permuted")
                    hits = np.arange(N_TEST) < 100 + round(N_TEST / 100 * lift)
                    found.append(row(hits, method, ipc, network, labels, distill_seed=i, seed=seed))
    return found


def study_of(exponents=UNEQUAL, blocks=BLOCKS, methods=WEIGHTINGS) -> Controlled:
    return Controlled({s: Records.of(r for b in blocks for r in rows_of(s, *b, methods)) for s in exponents})


def test_a_pooled_comparison_is_the_mean_over_exponents_and_networks_of_each_distillation():
    found = study_of().compare("ddoq", "d4m", 5, "soft")
    assert found.of_each == pytest.approx(LIFTS)
    assert found.estimate.mean == pytest.approx(LIFTS.mean())
    assert (found.n_positive, found.estimate.n_runs) == (3, 4 * 2 * 9)
    error = stats.sem(LIFTS)
    assert error <= found.estimate.error < 1.2 * error  # the test images add a little
    assert study_of().compare("d4m", "ddoq", 5, "soft").estimate.mean == pytest.approx(-LIFTS.mean())


def test_a_comparison_at_one_exponent_and_network_is_of_those_alone():
    found = study_of().compare("ddoq", "d4m", 5, "hard", exponents=[2.0], students=["convnet-32"])
    assert found.of_each == pytest.approx([SLOPE * 2 + 2 + d for d in OF_DISTILLATION])
    assert found.estimate.n_runs == 8


def test_the_slope_is_by_how_much_a_difference_grows_with_the_exponent():
    found = study_of().compare("ddoq", "d4m", 5, "soft", slope=True)
    assert found.of_each == pytest.approx([SLOPE] * 4) and found.estimate.mean == pytest.approx(SLOPE)
    none = study_of().compare("ddoq_proportional", "ddoq", 5, "soft", slope=True)
    assert none.of_each == pytest.approx([0] * 4, abs=1e-9)
    assert study_of().compare("ddoq_proportional", "ddoq", 5, "soft").of_each == pytest.approx([0.5] * 4)


def test_a_comparison_of_which_a_part_is_missing_has_no_estimate():
    whole = study_of()
    assert study_of(exponents=UNEQUAL[:2]).compare("ddoq", "d4m", 5, "soft").estimate is None
    assert study_of(exponents=UNEQUAL[:2]).compare("ddoq", "d4m", 5, "soft", exponents=UNEQUAL[:2]).estimate is not None
    assert study_of(methods=("d4m", "ddoq")).compare("ddoq_permuted", "d4m", 5, "soft").estimate is None
    assert whole.compare("ddoq", "d4m", 20, "hard").estimate is None
    rows = [r for r in rows_of(1.0, 5, "soft") if (r["student"], r["method"]) != ("convnet-8", "ddoq")]
    less = Controlled(whole.by_exponent | {1.0: Records.of(rows)})
    assert less.compare("ddoq", "d4m", 5, "soft").estimate is None
    assert less.compare("ddoq", "d4m", 5, "soft", students=["convnet-2"]).estimate is not None


@pytest.mark.parametrize(
    ("mean", "error", "slope", "word"),
    [
        (0.1, 0.1, False, "no effect"),
        (-0.1, 0.1, False, "no effect"),
        (0.1, 0.3, False, "not told apart"),  # wide: it may be larger than the margin
        (0.3, 0.05, False, "higher"),  # told apart, however little
        (-0.3, 0.05, False, "lower"),
        (0.1, 0.1, True, "not told apart"),  # the margin is one of points
    ],
)
def test_an_effect_is_none_only_if_it_lies_within_the_margin(mean, error, slope, word):
    half = error * stats.t.ppf(0.975, 11)
    estimate = Estimate(mean, mean - half, mean + half, 24, 1000, error, 11)
    assert Comparison("ddoq", "d4m", 5, "soft", estimate, np.zeros(12), slope).verdict == word


def test_five_comparisons_are_primary_and_hold_together():
    found = primary_comparisons(study_of())
    assert [(c.method, c.baseline, c.ipc, c.labels, c.slope) for c in found] == [
        ("ddoq", "d4m", 5, "soft", False),
        ("ddoq", "d4m", 5, "soft", True),
        ("ddoq", "ddoq_permuted", 5, "soft", False),
        ("ddoq", "d4m", 20, "soft", False),
        ("ddoq", "d4m", 5, "hard", False),
    ]
    assert all(c.estimate.level == pytest.approx(1 - 0.05 / 5) for c in found)
    single = study_of().compare("ddoq", "d4m", 5, "soft").estimate
    assert found[0].estimate.high > single.high and found[0].estimate.mean == single.mean
    assert [c.verdict for c in primary_comparisons(study_of(blocks=BLOCKS[:1]))].count("not recorded") == 2


def test_secondary_comparisons_are_of_all_weightings_in_every_block():
    found = secondary_comparisons(study_of())
    assert len(found) == 5 * len(BLOCKS) and {c.estimate.level for c in found} == {0.95}
    equal = [c for c in found if (c.method, c.baseline) == ("ddoq_permuted", "d4m")]
    assert [(c.estimate.mean, c.verdict, c.n_positive) for c in equal] == [(0, "no effect", 0)] * 3


def test_the_table_the_figure_and_the_texts_tell_every_comparison():
    study = study_of(blocks=BLOCKS[:2])
    found = secondary_comparisons(study)
    table = comparisons_table(found, "Comparisons")
    assert table.column("Distillations above 0")[:10] == [f"{c.n_positive} of 4" for c in found[:10]]
    assert table.column("Points")[10:] == [None] * 5 and "not recorded yet" in table.notes[-1]
    cells = single_comparisons(study)
    assert len(cells) == 2 * len(STUDENTS) * len(UNEQUAL)
    assert cells[5, "hard", "convnet-8", 1.5].estimate.mean == pytest.approx(SLOPE * 1.5 + 1 + np.mean(OF_DISTILLATION))
    texts = controlled_texts(study)
    assert texts["ddoq_d4m_5_soft_positive"] == "3 of 4" and texts["ddoq_d4m_20_soft"] == "(not recorded yet)"
    assert texts["ddoq_d4m_5_soft_slope"].startswith("+4.00 [")
    assert len(controlled_figure(cells, "DDOQ").axes) == len(BLOCKS)


def test_under_the_training_law_a_test_image_counts_for_the_mass_of_its_sub_population():
    origin = sub_populations(PROFILE)
    digits = np.array([origin[i] for i in load_dataset(PROFILE).test.ids])
    mass = masses(10, 2, 2.0, PROFILE.seed)
    heaviest, rows = int(mass.argmax()), []
    for method in ("d4m", "ddoq"):
        hits = (digits != heaviest) | (method == "ddoq")
        made = [row(hits, method, 5, "convnet-2", distill_seed=i, seed=i) for i in range(3)]
        rows += [r | {"parameters": {"zipf": 2.0}} for r in made]
    one = {"exponents": [2.0], "students": ["convnet-2"]}
    training, equal = (
        Controlled.of(rows, PROFILE, law).compare("ddoq", "d4m", 5, "soft", **one) for law in ("training", "equal")
    )
    share = (mass * np.bincount(digits))[heaviest] / (mass * np.bincount(digits)).sum()
    assert training.estimate.mean == pytest.approx(100 * share)
    assert equal.estimate.mean == pytest.approx(100 * (digits == heaviest).mean())
    assert training.estimate.mean > 2 * equal.estimate.mean


def test_the_study_has_twelve_fresh_distillations_of_two_students_that_no_other_has(monkeypatch):
    for step in ("prior", "teacher"):  # which are made for all images
        monkeypatch.setattr(Run, step, Artifact(Path(step), step, step, step))
    parts, seeds = list(controlled_study(PROFILE)), [seed for i in FRESH for seed in fresh_students(i)]
    assert len({part.file for part in parts}) == len(parts) == len(BLOCKS) * len(UNEQUAL)
    assert len({*seeds}) == len(seeds) == 24 and min(FRESH) >= 100
    found = []
    for part in parts:
        assert len({*part.tasks}) == len(part.tasks) == 12 * 2 * len(STUDENTS) * len(WEIGHTINGS)
        assert {(t.distill_seed, t.seed) for t in part.tasks} == {(i, s) for i in FRESH for s in fresh_students(i)}
        ((ipc, labels),) = {(t.ipc, t.labels) for t in part.tasks}
        assert (part.run.profile.quantizer, part.run.profile.superclasses) == ("stratified", 2)
        found.append((ipc, labels, part.run.profile.zipf))
    assert found == [(*block, s) for block in BLOCKS for s in UNEQUAL]
