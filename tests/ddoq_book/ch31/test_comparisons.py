"""The declared comparisons: simultaneous intervals for the primary ones, and for the others a count of chance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ddoq_book.ch31.comparisons import (
    PRIMARY_LEVELS,
    against_real,
    against_real_table,
    declared_texts,
    inverted_texts,
    power_texts,
    primary,
    primary_table,
    secondary,
    secondary_table,
)
from ddoq_book.ch31.quoted import quoted_gains
from ddoq_core.results.records import Cell, Estimate, Records

from ...rows import row

N_TEST = 400
NOISY = Estimate(0.0, -10.0, 10.0, 9, N_TEST, error=4.0, degrees=5.0)


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
    assert [line[3:] for line in table.rows] == [(None, None, "D⁴M"), *[("DDOQ; DDOQ, w ∝ v", None, "D⁴M")] * 2]


def test_at_one_image_per_class_all_weightings_are_one_row():
    of_one = [row.cell.method for row in secondary(records_of(0.1)).rows if row.cell.ipc == 1]
    assert of_one == ["d4m"]


def test_the_verdicts_that_the_text_counts_are_those_above_one_image_per_class_of_different_images():
    records = [records_of(0.1)]
    real = against_real(records)
    assert real.verdicts("soft") == {"equal": 2}  # D4M's, whose images the two others share
    assert real.verdicts("soft", 0).total() == 3 and len(real.rows) == 7 and not real.verdicts("hard")
    assert declared_texts(primary(records), real) == {
        "primary_n": "2", "primary_told": "2", "soft_n": "2", "soft_higher": "0", "soft_lower": "0",
        "hard_n": "0", "hard_higher": "0", "hard_lower": "0",
    }  # fmt: skip


def test_secondary_comparisons_of_sets_count_shared_images_once():
    found = secondary(records_of(0.1))
    assert {(row.cell.method, row.baseline.method) for row in found.of_sets} == {("d4m", "random_real")}
    assert f"of {len(found.of_sets)} pairs of different sets of images" in secondary_table(found).notes[0]


def test_power_is_said_beside_the_headroom_and_the_papers_gain_as_a_share_of_it():
    n, rows = N_TEST, list(records_of(0.0).rows)
    full = np.arange(n) < 0.9 * n
    rows += [row(full, "full", None, labels="hard", distill_seed=i, seed=s) for i in range(3) for s in range(3)]
    found = primary([Records.of(rows)])
    noisy = replace(found, rows=tuple(replace(r, found=replace(r.found, difference=NOISY)) for r in found.rows))
    texts = power_texts(noisy, quoted_gains())
    headroom = [r.found.headroom for r in found.rows]
    assert texts["found"] == f"{NOISY.detectable:.1f}" and texts["n_seen"] == "0"
    assert texts["headroom"] == " to ".join(dict.fromkeys(f"{h:.1f}" for h in (min(headroom), max(headroom))))
    shares = {g.ipc: g.share for g in quoted_gains() if g.network == "ResNet-18"}
    expected = sorted(shares[r.found.cell.ipc] * r.found.headroom for r in found.rows)
    assert texts["expected"] == f"{expected[0]:.2f} to {expected[-1]:.2f}"


def test_what_inverted_images_lose_is_read_at_the_largest_level():
    right = np.arange(N_TEST)
    rows = [
        row(right < level * N_TEST // 100, m, ipc, labels=labels)
        for m, soft, hard in (("random_real", 90, 80), ("sre2l", 90, 40), ("cda", 85, 30))
        for labels, level in (("soft", soft), ("hard", hard))
        for ipc in (10, 50)
    ]
    texts = inverted_texts(against_real([Records.of(rows)]))
    assert texts["inverted_ipc"] == "50"
    assert texts["inverted_soft"] == "−5.0 to 0.0" and texts["inverted_hard"] == "−50.0 to −40.0"
    assert (texts["inverted_soft_told"], texts["inverted_hard_told"], texts["inverted_hard_n"]) == ("1", "2", "2")


def test_the_data_of_a_comparison_are_named_with_what_was_kept_of_them():
    cut = Records.of(r | {"parameters": {"train_size": 6000}} for r in records_of(0.1).rows)
    kept = "simulated (6,000 of its training images)"
    assert {r.dataset for r in primary([cut]).rows} == {kept}
    assert kept in secondary_table(secondary(cut)).caption
    assert set(against_real_table(against_real([cut])).column("Data")) == {kept}
