"""The figures that answer chapter 31 hold the numbers of its tables."""

import pytest

from ddoq_book.ch31.comparisons import primary
from ddoq_book.ch31.overview import BESIDE_REAL, GROUPS, LLOYD, claim_figure, main_comparisons, missing_text
from ddoq_book.ch31.quoted import quoted_gains
from ddoq_book.ch31.table1 import table1
from ddoq_core.methods import METHODS
from ddoq_core.results.records import Records

from ...rows import row
from .test_comparisons import records_of
from .test_table1 import records  # noqa: F401 - a fixture: two levels, two students, four methods


def test_the_declared_differences_are_those_of_their_table_and_a_missing_one_is_there_too():
    both = {"mnist5k": records_of(0.1), "fashion_mnist": records_of(0.0, seed=1)}
    both["fashion_mnist"] = Records.of(r for r in both["fashion_mnist"].rows if r["ipc"] != 50)
    rows = main_comparisons(both, quoted_gains())
    assert list(dict.fromkeys(r.group for r in rows)) == list(GROUPS)
    declared = [found.found and found.found.difference for found in primary([*both.values()]).rows]
    of_lloyd = [r for r in rows if r.group == LLOYD]
    assert [r.estimate for r in of_lloyd][:4] == declared and declared[3] is None
    assert [r.title for r in of_lloyd][:2] == ["digits, K = 10", "digits, K = 50"]
    assert [r.estimate is None for r in rows if r.group == BESIDE_REAL] == [False, False, False, True]
    missing = missing_text([r for r in rows if not r.title.startswith("photographs")])
    assert missing == "2 (Fashion-MNIST, K = 50)" and missing_text([]) == "none"


def test_the_papers_gain_stands_beside_as_the_same_share_of_the_headroom():
    full = [row([1] * 396 + [0] * 4, "full", None, labels="hard", distill_seed=i, seed=i) for i in range(3)]
    found = Records.of([*records_of(0.1).rows, *full])
    first, *_ = main_comparisons({"mnist5k": found}, quoted_gains())
    share = next(gain.share for gain in quoted_gains() if gain.ipc == 10)
    (declared, _) = primary([found]).rows
    assert first.beside == pytest.approx(share * declared.found.headroom)


def test_every_accuracy_of_the_claim_is_a_dot_at_its_level(records):  # noqa: F811
    found = table1(records)
    panels = claim_figure(found).axes
    assert [ax.get_title(loc="left") for ax in panels] == ["2 images per class", "10 images per class"]
    names = [METHODS[m].title for m in ("random_real", "d4m", "ddoq")]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == names
    for ax, ipc in zip(panels, (2, 10), strict=True):
        dots = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"]
        assert dots == [r.accuracies[0].mean for r in found.rows if r.ipc == ipc]
