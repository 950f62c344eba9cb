"""The declared comparisons: simultaneous intervals for the primary ones, and for the others a count of chance."""

import numpy as np
import pytest
from scipy import stats

from ddoq_book.ch31.comparisons import (
    PRIMARY_LEVELS,
    against_real,
    against_real_table,
    declared_texts,
    primary,
    primary_table,
    secondary,
    secondary_table,
)
from ddoq_core.results.records import Cell, Records

from ...rows import row

N_TEST = 400


def records_of(lift: float, seed: int = 0) -> Records:
    """D4M right on 80 % of the images, DDOQ and proportional weights on `lift` more; 3 x 3 seeds."""
    rng = np.random.default_rng(seed)
    rows = []
    for ipc in (1, *PRIMARY_LEVELS):
        for i in range(3):
            for s in range(3):
                hard = rng.random(N_TEST)
                for method in ("d4m", "ddoq", "ddoq_proportional", "random_real"):
                    share = 0.8 + lift * method.startswith("ddoq")
                    rows.append(row(hard < share, method, ipc, distill_seed=i, seed=s))
    return Records.of(rows)


def test_primary_intervals_are_wider_than_single_ones_by_bonferronis_quantile():
    records = records_of(0.05)
    cells = Cell("ddoq", 10, "convnet-32", "soft"), Cell("d4m", 10, "convnet-32", "soft")
    single, four = records.difference(*cells), records.difference(*cells, level=1 - 0.05 / 4)
    assert single.mean == four.mean
    normal = stats.norm.ppf(1 - 0.05 / 8) / stats.norm.ppf(0.975)
    assert (four.high - four.mean) / (single.high - single.mean) >= 0.99 * normal


def test_there_is_a_primary_comparison_for_every_data_set_and_level():
    found = primary([records_of(0.0), records_of(0.1, seed=1)])
    assert [row.ipc for row in found.rows] == [10, 50] * 2
    assert [row.found.verdict for row in found.rows] == ["equal", "equal", "higher", "higher"]
    assert found.level == pytest.approx(1 - 0.05 / 4) and found.n_told == 2
    assert primary_table(found).column("IPC") == [10, 50] * 2


def test_what_was_not_recorded_stands_among_the_primary_comparisons_as_missing():
    records = records_of(0.0)
    found = primary([Records.of(r for r in records.rows if r["ipc"] != 50)])
    assert found.rows[0].found is not None and found.rows[1].found is None
    assert primary_table(found).column("Difference")[1] is None
    assert primary_table(found).column("n students") == [found.rows[0].found.difference.n_runs, 0]


@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_secondary_comparisons_are_counted_beside_what_chance_would_exclude(lift):
    found = secondary(records_of(lift))
    intervals = [row.difference for row in found.rows]
    assert found.n_apart == sum(not d.low <= 0 <= d.high for d in intervals)
    assert found.n_by_chance == pytest.approx(0.05 * len(intervals))
    assert len(secondary_table(found).rows) == len(intervals)


def test_two_weightings_of_one_image_per_class_are_no_comparison():
    of_weights = [row for row in secondary(records_of(0.0)).rows if row.baseline.method == "d4m"]
    assert {row.cell.ipc for row in of_weights} == {10, 50}


def test_every_method_stands_once_per_level_beside_random_real_images_under_its_verdict():
    table = against_real_table(against_real([records_of(0.1)]))
    assert [line[1:3] for line in table.rows] == [("soft", ipc) for ipc in (1, *PRIMARY_LEVELS)]
    assert {line[3:] for line in table.rows} == {("DDOQ; DDOQ, w ∝ v", None, "D⁴M")}


def test_the_verdicts_that_the_text_counts_are_those_above_one_image_per_class():
    records = [records_of(0.1)]
    real = against_real(records)
    assert real.verdicts("soft") == {"higher": 4, "equal": 2}
    assert real.verdicts("soft", 0).total() == len(real.rows) == 9 and not real.verdicts("hard")
    assert declared_texts(primary(records), real) == {
        "primary_n": "2", "primary_told": "2", "soft_n": "6", "soft_higher": "4", "soft_lower": "0",
        "hard_n": "0", "hard_higher": "0", "hard_lower": "0",
    }  # fmt: skip
