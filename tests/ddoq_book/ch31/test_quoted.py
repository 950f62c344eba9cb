"""The paper's table is the paper's."""

from decimal import Decimal

import pytest

from ddoq_book.ch31.quoted import optimiser_table, optimiser_texts, paper_table1, quoted_gains, quoted_table
from ddoq_core.results.table import written


def test_the_quoted_table_is_the_one_that_the_paper_prints():
    printed = {  # by method: IPC -> ResNet-18, ResNet-50, ResNet-101
        "Full dataset": {None: "69.8 80.9 81.9"},
        "TESLA": {10: "7.7 – –"},
        "SRe²L": {10: "21.3 28.4 30.9", 50: "46.8 55.6 60.8", 100: "52.8 61.0 65.8", 200: "57.0 64.6 65.9"},
        "CDA": {50: "53.5 61.3 61.6", 100: "58.0 65.1 65.9", 200: "63.3 67.6 68.4"},
        "RDED": {10: "42.0±0.1 – 48.3±1.0", 50: "56.5±0.1 – 61.2±0.4"},
        "D⁴M": {10: "27.9 33.5 34.2", 50: "55.2 62.4 63.4", 100: "59.3 65.4 66.5", 200: "62.6 67.8 68.1"},
        "DDOQ": {
            10: "33.1±0.60 34.4±0.99 36.7±0.80",
            50: "56.2±0.07 62.5±0.24 63.6±0.13",
            100: "60.1±0.15 65.9±0.15 66.7±0.06",
            200: "63.4±0.08 68.0±0.05 68.6±0.08",
        },
    }
    quoted = {}
    for line in paper_table1():
        shown = " ".join(written(accuracy).replace(" ", "") for accuracy in line.accuracies)
        quoted.setdefault(line.method, {})[line.ipc] = shown
    assert quoted == printed
    assert "Quoted" in quoted_table(paper_table1()).caption


def test_quoted_accuracies_are_numbers_with_the_digits_that_were_printed():
    by_place = {(row.ipc, row.method): row.accuracies for row in paper_table1()}
    first = by_place[10, "DDOQ"][0]
    assert (first.percent, first.spread) == (Decimal("33.1"), Decimal("0.6")) and f"{first}" == "33.1 ± 0.60"
    assert by_place[10, "TESLA"][1] is None and by_place[10, "SRe²L"][0].spread is None


def test_in_the_quoted_table_ddoq_is_uniformly_better_than_d4m():
    values = {(row.ipc, row.method): row.accuracies for row in paper_table1()}
    for ipc in (10, 50, 100, 200):
        pairs = zip(values[ipc, "DDOQ"], values[ipc, "D⁴M"], strict=True)
        assert all(ours.percent > theirs.percent for ours, theirs in pairs)


def test_the_quoted_gains_are_differences_of_the_printed_figures():
    gains = {(g.network, g.ipc): g for g in quoted_gains()}
    assert len(gains) == 3 * 4
    assert gains["ResNet-18", 10].points == Decimal("33.1") - Decimal("27.9")
    assert gains["ResNet-18", 10].share == pytest.approx(5.2 / (69.8 - 27.9))
    assert gains["ResNet-101", 50].points == Decimal("0.2")


def test_the_optimisers_differ_in_rate_and_in_schedule():
    texts = optimiser_texts(quoted_gains())
    assert (texts["rate_ratio"], texts["mean_ratio"]) == ("2", "3.5")
    assert (texts["mean_ours"], texts["mean_theirs"], texts["low_18"]) == ("1.75", "0.50", "+5.2")
    assert texts["n_most"] == texts["n_levels"] == "4"
    table = optimiser_table(quoted_gains())
    assert "Quoted" in table.caption
    assert table.column("mean rate, DDOQ") == pytest.approx([1.75e-3, 0.875e-3, 0.875e-3])
    assert table.column("mean rate, D⁴M") == pytest.approx([0.5e-3] * 3, rel=0.01)
