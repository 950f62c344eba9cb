"""The table of all families: from records alone, and honest where there are none."""

import base64

import numpy as np
import pytest

from ddoq_book.ch31 import quoted_families
from ddoq_book.ch31.families import (
    BLOCKS,
    NOT_YET,
    bytes_of,
    families,
    families_table,
    family_rows,
    field_map,
    recorded_text,
)
from ddoq_book.ch31.quoted_families import (
    QUOTED_FAMILIES,
    OracleResult,
    oracle_results,
    oracles_table,
    quoted_families_table,
)
from ddoq_book.studies.families import ORACLE_RUNS
from ddoq_core.methods import METHODS
from ddoq_core.pipeline.label_forms import label_bytes


def row(method: str, labels: str, right: int, seed: int, **more) -> dict:
    hits = base64.b64encode(np.packbits(np.arange(16) < right).tobytes()).decode()
    return {
        "dataset": "mnist5k", "method": method, "ipc": 10, "student": "convnet-32", "labels": labels,
        "distill_seed": seed, "seed": seed, "n_test": 16, "hits": hits,
        "profile": "table", "parameters": {}, "effective": [1.0] * 10, "epochs": 100,
    } | more  # fmt: skip


STORED = {"stored": {"pixels": 4000, "labels": 100, "more": 4}}
ROWS = [row("herding", labels, right + s, s) for labels, right in (("hard", 8), ("soft", 12)) for s in range(3)]
ROWS += [row("mtt", "own", 10, s, **STORED) for s in range(3)]


def test_every_row_that_is_not_a_weighting_of_another_has_a_family():
    mine = [method for methods in BLOCKS.values() for method in methods]
    assert len(mine) == len(set(mine)) and set(mine) <= set(METHODS)
    left = set(METHODS) - set(mine)
    assert left == {m for m in METHODS if m.startswith(("ddoq_", "d4m_")) and m != "ddoq_proportional"} | {"full"}


def test_means_stand_under_their_labels_and_methods_without_records_are_named():
    table = families_table(families(ROWS, 10))
    by_method = {cells[1]: cells for cells in table.rows}
    herding = by_method["Herding"]
    assert herding[2].mean == pytest.approx(100 * 9 / 16) and herding[3].mean == pytest.approx(100 * 13 / 16)
    assert herding[4] is None and "DM" not in by_method
    assert by_method["MTT"][4].mean == pytest.approx(62.5) and by_method["MTT"][7] == 4.104
    assert "DSA, DREAM, DM, " in table.notes[-1] and table.notes[-1].startswith("Not recorded yet: ")
    assert recorded_text(families(ROWS, 10)) == f"2 of {sum(map(len, BLOCKS.values()))} rows"


def test_bytes_of_earlier_records_follow_from_their_settings():
    assert bytes_of(row("herding", "hard", 8, 0)) == 100 * 32**2 + 100
    assert bytes_of(row("herding", "soft", 8, 0)) == 100 * 32**2 + label_bytes(100, 10, 100)
    assert bytes_of(row("mtt", "own", 8, 0, **STORED)) == 4104


def test_the_map_has_a_mark_for_every_record_and_says_when_there_is_none():
    axes = field_map(families(ROWS, 10)).axes[0]
    assert len(axes.lines) == 3 and {t.get_text() for t in axes.texts} == {"Herding", "MTT"}
    assert [t.get_text() for t in field_map(families([], 10)).axes[0].texts] == [NOT_YET]


def test_the_recorded_rows_of_the_book_are_read():
    found = families(family_rows("mnist5k", 10), 10)
    assert {"random_real", "d4m", "ddoq"} <= {r.method for r in found.recorded}


def test_what_was_published_is_quoted_with_its_source_and_unopened_values_are_left_out():
    table = quoted_families_table()
    assert "Quoted" in table.caption and all(cells[-1] for cells in table.rows)
    assert "64.9" not in QUOTED_FAMILIES and "89.2" not in QUOTED_FAMILIES  # from memory alone


def test_an_oracle_is_reached_within_two_points_or_its_gap_is_told(monkeypatch):
    first = ORACLE_RUNS[0]
    assert [OracleResult(first, first.quoted + gap).verdict for gap in (1.9, -3)] == ["reached", "-3.0 points"]
    monkeypatch.setattr(quoted_families, "rows_of", lambda folder, file: [{"kernel_top1": 85.0, "top1": 1.0}])
    found = oracle_results()
    assert found[0].reached == 85.0 and found[0].verdict == "reached" and found[-1].reached == 1.0
    monkeypatch.setattr(quoted_families, "rows_of", lambda folder, file: [])
    assert {cells[6] for cells in oracles_table(oracle_results()).rows} == {NOT_YET}
