"""Table 1: every method that was run has a row, nothing else has, and the paper's table is the paper's."""

import numpy as np
import pytest

from ddoq_book.ch31.table1 import against_the_paper, claims, differences, paper_table1, table1
from ddoq_core.methods import METHODS
from ddoq_core.results.records import Records
from ddoq_core.results.table import NOTHING, Table

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
    found = [(name, line[0]) for name, rows in table1(records).blocks for line in rows]
    expected = [("all", "full")] + [(level, m) for level in ("2", "10") for m in METHODS if m in RUN and m != "full"]
    assert found == [(level, METHODS[m].title) for level, m in expected]


def test_no_row_is_empty(records):
    assert all(any("[" in value for value in line) for line in table1(records).rows)


def test_a_column_per_student_then_one_per_student_with_hard_labels(records):
    table = table1(records)
    hard = ("convnet-8, hard labels", "convnet-16, hard labels")
    assert table.columns == ("IPC", "Method", "convnet-8", "convnet-16", *hard, "n")
    by_place = {(line[0], line[1]): line for line in table.rows}
    assert by_place["2", "DDOQ"][4:6] == (NOTHING, NOTHING)
    assert by_place["all", METHODS["full"].title][2].startswith("70.2")  # (140 + 141) / 2 of 200 images
    whole = by_place["all", METHODS["full"].title]
    assert whole[2:4] == whole[4:6]
    assert by_place["10", "DDOQ"][4].startswith("60.2")


def test_differences_stand_wherever_both_methods_were_run(records):
    table = differences(records, "ddoq", "d4m")
    assert [(line[0], line[1], line[2]) for line in table.rows] == [
        (ipc, student, labels)
        for ipc, levels in (("2", ["soft"]), ("10", ["soft", "hard"]))
        for student in ("convnet-8", "convnet-16")
        for labels in levels
    ]
    assert all(line[3].startswith("+5.0 ") and line[5] == "higher" for line in table.rows)


def test_a_difference_with_a_method_that_was_not_run_says_so(records):
    table = differences(records, "ddoq", "random_generated")
    assert table.blocks == () and "not both" in table.notes[0]


def test_claims_are_of_the_largest_level_and_the_first_student(records):
    found = claims(records)
    assert (found["claim_ipc"], found["claim_n_test"], found["claim_n_runs"]) == ("10", "200", "2")
    assert found["claim_ddoq"].startswith("65.2 [")
    assert found["claim_random_generated"] == NOTHING


def test_claims_of_a_run_without_soft_labels_are_dashes():
    found = claims(Records.of([row([1, 0], "full", None, labels="hard")]))
    assert (found["claim_ipc"], found["claim_ddoq"]) == (NOTHING, NOTHING)
    assert found["claim_full"].startswith("50.0")


def test_the_paper_is_answered_in_its_own_terms(records):
    lines = {line[1]: line[2] for line in against_the_paper(records).rows}
    assert lines["DDOQ is uniformly better than D⁴M"] == "of 4 comparisons: 4 higher, 0 lower"
    assert lines["The gain is largest at low IPC"].startswith("convnet-8, IPC 2: +5.0")


def test_the_quoted_table_is_the_one_that_the_paper_prints():
    printed = {  # by method: IPC -> ResNet-18, ResNet-50, ResNet-101
        "Full dataset": {"all": "69.8 80.9 81.9"},
        "TESLA": {"10": "7.7 – –"},
        "SRe²L": {"10": "21.3 28.4 30.9", "50": "46.8 55.6 60.8", "100": "52.8 61.0 65.8", "200": "57.0 64.6 65.9"},
        "CDA": {"50": "53.5 61.3 61.6", "100": "58.0 65.1 65.9", "200": "63.3 67.6 68.4"},
        "RDED": {"10": "42.0±0.1 – 48.3±1.0", "50": "56.5±0.1 – 61.2±0.4"},
        "D⁴M": {"10": "27.9 33.5 34.2", "50": "55.2 62.4 63.4", "100": "59.3 65.4 66.5", "200": "62.6 67.8 68.1"},
        "DDOQ": {
            "10": "33.1±0.60 34.4±0.99 36.7±0.80",
            "50": "56.2±0.07 62.5±0.24 63.6±0.13",
            "100": "60.1±0.15 65.9±0.15 66.7±0.06",
            "200": "63.4±0.08 68.0±0.05 68.6±0.08",
        },
    }
    quoted = {}
    for ipc, method, *values in paper_table1().rows:
        quoted.setdefault(method, {})[ipc] = " ".join(v.replace(" ", "") for v in values)
    assert quoted == printed
    assert "Quoted" in paper_table1().caption


def test_in_the_quoted_table_ddoq_is_uniformly_better_than_d4m():
    whole = [line for line in paper_table1().rows if NOTHING not in line]
    values = {(ipc, method): [float(v.split()[0]) for v in rest] for ipc, method, *rest in whole}
    for ipc in ("10", "50", "100", "200"):
        assert all(ours > theirs for ours, theirs in zip(values[ipc, "DDOQ"], values[ipc, "D⁴M"], strict=True))


def test_html_markdown_latex_and_csv_hold_the_same_cells(records):
    table = table1(records)
    html, markdown, csv = table._repr_html_(), table.markdown(), table.csv()
    for line in table.rows:
        assert all(f">{value}</t" in html for value in line)
        assert "| " + " | ".join(line) + " |" in markdown
        assert line[2] in csv
    assert table.latex().count(r"\\") == len(table.rows) + 1


def test_text_of_a_table_cannot_become_markup():
    table = Table("a < b", ("x", "y"), (("1", (("<script>",),)),))
    assert "<script>" not in table._repr_html_() and "a &lt; b" in table._repr_html_()


def test_latex_escapes_what_latex_would_read():
    assert r"50\%" in Table("", ("x", "y"), (("1", (("50%",),)),)).latex()
