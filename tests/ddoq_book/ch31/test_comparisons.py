"""The declared comparisons: simultaneous intervals for the primary ones, and for the others a count of chance."""

import numpy as np
import pytest
from scipy import stats

from ddoq_book.ch31.comparisons import PRIMARY_LEVELS, against_real, claims, primary, secondary
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


def test_the_primary_table_has_a_row_for_every_data_set_and_level():
    table = primary([records_of(0.0), records_of(0.1, seed=1)])
    assert [line[1] for line in table.rows] == ["10", "50"] * 2
    assert [line[4] for line in table.rows] == ["equal", "equal", "higher", "higher"]
    assert "98.75 %" in table.notes[0] and "95 %" in table.notes[0]


def test_what_was_not_recorded_stands_in_the_primary_table_as_missing():
    records = records_of(0.0)
    few = Records.of(r for r in records.rows if r["ipc"] != 50)
    assert [line[2] for line in primary([few]).rows][1] == "–"


@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_secondary_comparisons_are_counted_beside_what_chance_would_exclude(lift):
    table = secondary(records_of(lift))
    told = sum(line[-1] in ("higher", "lower") for line in table.rows)
    assert f"{len(table.rows)} comparisons" in table.notes[0] and f"{told} exclude 0" in table.notes[0]
    assert f"{0.05 * len(table.rows):.1f} would by chance" in table.notes[0]


def test_two_weightings_of_one_image_per_class_are_no_comparison():
    of_weights = [line for line in secondary(records_of(0.0)).rows if "minus D⁴M" in line[0]]
    assert {line[1] for line in of_weights} == {"10", "50"}


def test_every_method_stands_once_per_level_beside_random_real_images_under_its_verdict():
    records = records_of(0.1)
    table = against_real([records])
    assert [line[1:3] for line in table.rows] == [("soft", str(ipc)) for ipc in (1, *PRIMARY_LEVELS)]
    assert {line[3:] for line in table.rows} == {("DDOQ; DDOQ, w ∝ v", "–", "D⁴M")}


def test_the_verdicts_that_the_text_counts_are_those_of_the_tables():
    assert claims([records_of(0.1)]) == {
        "primary_n": "2", "primary_told": "2", "soft_n": "6", "soft_higher": "4", "soft_lower": "0",
        "hard_n": "0", "hard_higher": "0", "hard_lower": "0",
    }  # fmt: skip
