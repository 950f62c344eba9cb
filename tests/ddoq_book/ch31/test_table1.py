"""Table 1: every method that was run has a row, nothing else has, and the paper is answered in its own terms."""

import numpy as np
import pytest

from ddoq_book.ch31.table1 import (
    central_claim,
    claim_texts,
    differences,
    differences_table,
    paper_statements,
    statements_table,
    table1,
    table1_table,
    untrained,
)
from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.results.records import Cell, Records
from ddoq_core.results.table import NOTHING, written
from ddoq_core.runs.jobs import of_whole_cells
from ddoq_core.runs.run import Run

from ...rows import row

RUN = ["random_real", "d4m", "ddoq", "full"]


@pytest.fixture
def records() -> Records:
    """Two levels and two students with soft labels, the higher level also with hard ones; all accuracies differ."""
    easy = np.arange(200)
    rows = []
    for s, student in enumerate(("convnet-8", "convnet-16")):
        for m, method in enumerate(RUN):
            for ipc, labels in ((2, "soft"), (10, "soft"), (10, "hard")) if method != "full" else ((None, "hard"),):
                level = 100 + 10 * m + 2 * s + (ipc or 20) - 10 * (labels == "hard")
                rows += [row(easy < level + i, method, ipc, student, labels, distill_seed=i) for i in range(2)]
    return Records.of(rows)


def test_every_method_that_was_run_has_one_row_per_level(records):
    found = [(row.ipc, row.method) for row in table1(records).rows]
    assert found == [(None, "full")] + [(ipc, m) for ipc in (2, 10) for m in METHODS if m in RUN and m != "full"]


def test_no_row_is_empty(records):
    assert all(any(row.accuracies) for row in table1(records).rows)


def test_a_column_per_student_then_one_per_student_with_hard_labels(records):
    found = table1(records)
    assert found.columns == tuple((s, labels) for labels in ("soft", "hard") for s in ("convnet-8", "convnet-16"))
    by_place = {(row.ipc, row.method): row.accuracies for row in found.rows}
    assert by_place[2, "ddoq"][2:] == (None, None)
    whole = by_place[None, "full"]
    assert whole[0].mean == pytest.approx(70.25)  # (140 + 141) / 2 of 200 images
    assert whole[:2] == whole[2:]
    assert by_place[10, "ddoq"][2] == records.accuracy(Cell("ddoq", 10, "convnet-8", "hard"))
    assert by_place[10, "ddoq"][2].mean == pytest.approx(60.25)


def test_the_table_shows_every_accuracy_in_its_place_with_the_number_of_students(records):
    found = table1(records)
    table = table1_table(found)
    hard = ("convnet-8, hard labels", "convnet-16, hard labels")
    assert table.heads == ("IPC", "Method", "convnet-8", "convnet-16", *hard, "n", "Bytes of labels")
    assert [line[2:-2] for line in table.rows] == [row.accuracies for row in found.rows]
    assert table.column("n") == [(2,)] * len(found.rows)


def test_differences_stand_wherever_both_methods_were_run(records):
    found = differences(records, "ddoq", "d4m")
    assert [(row.cell.ipc, row.cell.student, row.cell.labels) for row in found.rows] == [
        (ipc, student, labels)
        for ipc, levels in ((2, ["soft"]), (10, ["soft", "hard"]))
        for student in ("convnet-8", "convnet-16")
        for labels in levels
    ]
    for one in found.rows:
        assert one.difference.mean == pytest.approx(5) and one.verdict == "higher"
        assert one.accuracy == records.accuracy(one.baseline).mean
    assert differences_table(found).column("Difference") == [row.difference for row in found.rows]


def test_a_difference_with_a_method_that_was_not_run_says_so(records):
    table = differences_table(differences(records, "ddoq", "random_generated"))
    assert table.blocks == () and "not have both" in table.notes[0]


def test_the_claim_is_of_the_largest_level_and_the_first_student(records):
    found = central_claim(records)
    assert (found.ipc, found.student, found.n_test, found.n_runs) == (10, "convnet-8", 200, 2)
    assert found.accuracies["ddoq"].mean == pytest.approx(65.25) and found.accuracies["random_generated"] is None
    texts = claim_texts(found)
    assert texts["claim_ddoq"] == written(found.accuracies["ddoq"], ".1f")
    assert texts["claim_random_generated"] == NOTHING


def test_the_claim_of_a_run_without_soft_labels_has_no_level():
    found = central_claim(Records.of([row([1, 0], "full", None, labels="hard")]))
    assert (found.ipc, found.accuracies["ddoq"], found.n_runs) == (None, None, 1)
    assert found.accuracies["full"].mean == 50
    assert claim_texts(found)["claim_ipc"] == NOTHING


def test_the_paper_is_answered_in_its_own_terms(records):
    found = paper_statements(records)
    assert found.better.counts == {"higher": 4} and found.square_root is None
    assert [(gain.cell.student, gain.cell.ipc) for gain in found.gains] == [("convnet-8", 2), ("convnet-8", 10)]
    assert [gain.difference.mean for gain in found.gains] == pytest.approx([5, 5])
    assert [counts.method for counts in found.against_real] == ["d4m", "ddoq"]
    assert f"{found.better}" == "of 4 comparisons: 4 higher, 0 lower"
    assert len(statements_table(found).rows) == 4


def test_a_copy_of_another_row_is_not_counted():
    hits = np.arange(200) < 100
    rows = [row(hits, m, ipc) for m in ("random_real", "d4m", "ddoq") for ipc in (1, 10)]
    found = paper_statements(Records.of(rows))
    assert found.better.counts.total() == 1
    assert [counts.counts.total() for counts in found.against_real] == [2, 1]


def test_a_cell_at_chance_is_named_as_no_result():
    order = np.random.default_rng(0).permutation(1000)
    guessed = [row(order < 100 + i, "d4m", 2, distill_seed=i) | {"effective": [1.0] * 10} for i in range(2)]
    trained = [row(order < 200 + i, "ddoq", 2, distill_seed=i) | {"effective": [1.0] * 10} for i in range(2)]
    records = Records.of(guessed + trained)
    assert [cell.method for cell in untrained(records)] == ["d4m"]
    assert "Not trained" in table1_table(table1(records)).notes[-1]
    assert untrained(Records.of([row([0, 0], "d4m", 2)])) == []


def test_the_run_of_imagenet_is_a_table_while_it_goes_on():
    """Of its plan, all students but the last of D4M's optimiser on DDOQ's images: that cell is left out, and no row."""
    plan = Run(Profile.load("imagenet")).plan
    told, hits = {"dataset": "imagefolder", "label_bytes": 6 * 10**9}, np.arange(100)
    rows = {
        t: row(hits < 20 + i, t.method, t.ipc, t.student, t.labels, t.distill_seed, t.seed) | told
        for i, t in enumerate(plan[:-1])
    }
    records = Records.of(of_whole_cells(plan, rows))
    found = table1(records)
    assert [(r.ipc, r.method, r.n_runs) for r in found.rows] == [(10, "d4m", (5,)), (10, "ddoq", (5,))]
    assert found.columns == (("resnet18", "soft"), ("resnet18", "own"))
    assert all(found.rows[0].accuracies) and found.rows[1].accuracies[1] is None
    page = table1_table(found).markdown()
    assert "6 GB" in page and "Own protocol (D⁴M)" in page
    assert [r.cell.labels for r in differences(records, "ddoq", "d4m").rows] == ["soft"]
    assert differences(records, "d4m", "random_real").rows == ()
    texts, said = claim_texts(central_claim(records)), paper_statements(records)
    assert texts["claim_full"] == NOTHING and texts["claim_n_runs"] == "5" and said.better.counts.total() == 1
    assert statements_table(said).rows


def test_captions_name_what_was_kept_of_the_data(records):
    cut = Records.of(r | {"parameters": {"train_size": 6000}} for r in records.rows)
    for table in (table1_table(table1(cut)), differences_table(differences(cut, "ddoq", "d4m"))):
        assert "6,000 of its training images" in table.caption
