"""The comparisons on photographs: the declared ones, at their level, from the files of the study."""

import json
import re

import numpy as np
import pytest

from ddoq_book.ch23 import comparisons
from ddoq_book.ch23.comparisons import (
    accuracies_table,
    main_tables,
    photograph_records,
    photographs_text,
    primary_photographs,
    secondary_photographs,
    secondary_tables,
)
from ddoq_book.studies.photographs import CLEAN_FILE, FURTHER, NAME, PHOTOGRAPH_BLOCKS
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.table import written

from ...rows import row

N_TEST = 1000
GAINS = {"d4m": 0, "ddoq": 2, "ddoq_proportional": 1, "ddoq_permuted": -1, "d4m_medoid": 3, "ddoq_medoid": 4}  # points
GAINS |= {"ddoq_medoid_permuted": 3, "random_real": -3, "random_generated": -4, "rded": -2}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """`recorded(blocks)` writes their files: rows gain as GAINS says, optimiser A loses 5 points, and images that
    ImageNet did not train on are all wrong."""
    monkeypatch.setattr(comparisons, "RESULTS", tmp_path)
    photograph_records.cache_clear()
    clean = np.arange(0, N_TEST, 10)
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / CLEAN_FILE).write_text(json.dumps(clean.tolist()))

    def write(blocks):
        for block in blocks:
            rows = []
            for method in block.methods:
                for i in range(100, 100 + block.distillations):
                    doubt = numpy_rng(0, "photographs", i).random(N_TEST)
                    right = doubt < 0.5 + (GAINS[method] - 5 * (block.optimiser == "A")) / 100
                    right[clean] = False
                    named = {"ipc": block.ipc, "student": block.student, "labels": block.labels, "distill_seed": i}
                    rows += [row(right, method, **named, seed=2 * i + k) for k in range(block.students)]
            (tmp_path / NAME / f"{NAME}-{block.name}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    yield write
    photograph_records.cache_clear()


def test_the_four_primary_comparisons_are_those_of_the_protocol(recorded):
    recorded(PHOTOGRAPH_BLOCKS)
    p1, p2, p3, p4 = primary_photographs()
    assert {c.estimate.level for c in (p1, p2, p3, p4)} == {1 - 0.05 / 4}
    assert p4.arm.block == p4.baseline.block and (p4.arm.block.codebook, p4.arm.block.ipc) == ("Lloyd", 50)
    assert [c.arm.block.ipc for c in (p1, p2, p3)] == [10, 50, 10] and [c.margin for c in (p1, p2, p3)] == [1, 0.5, 1]
    assert [round(c.estimate.mean / 0.9) for c in (p1, p2, p3)] == [2, 2, 5]
    assert p3.baseline.block.optimiser == "A" and p1.estimate.n_runs == 24 and p2.estimate.n_runs == 12
    assert {c.verdict for c in (p1, p2, p3)} == {"higher"}


def test_secondary_ones_compare_within_blocks_and_pictures_with_those_of_the_local_score(recorded):
    recorded(PHOTOGRAPH_BLOCKS)
    found = {
        (c.arm.block.name, c.arm.method, c.baseline.block.name, c.baseline.method) for c in secondary_photographs()
    }
    local = PHOTOGRAPH_BLOCKS[0].name
    others = [b for b in PHOTOGRAPH_BLOCKS if b.methods != FURTHER]
    assert {(b.name, b.methods[1], b.name, b.methods[0]) for b in others} <= found
    assert (local, "ddoq", local, "ddoq_permuted") in found
    pictures = {arm.split("-B-")[0] for arm, method, base, _ in found if base == local and arm != local}
    assert pictures == {"one-pass-medoids", "lloyd-local", "one-pass-global", "one-pass-learned", "one-pass-decoded"}


def test_what_is_not_recorded_is_left_out_and_said(recorded):
    assert [c.estimate for c in primary_photographs()] == [None] * 4 and secondary_photographs() == []
    assert photographs_text().startswith("No student of this study is recorded yet")
    assert main_tables() == secondary_tables() == []


def test_accuracies_are_told_for_all_and_for_clean_images_apart(recorded):
    recorded(PHOTOGRAPH_BLOCKS[:1])
    table = accuracies_table()
    assert [t.caption for t in main_tables()][1] == table.caption and len(secondary_tables()) == 1
    assert table.heads[4] == "On 100 clean images" and {e.mean for e in table.column(table.heads[4])} == {0.0}
    d4m, ddoq, *_ = table.column("Top-1, %")
    assert d4m.mean == pytest.approx(45, abs=1) and ddoq.mean - d4m.mean == pytest.approx(1.8, abs=0.3)
    text, (p1, *_) = photographs_text(), primary_photographs()
    assert f"P1 is {written(p1.estimate, '+.2f')} points (higher), above 0 in 12 of 12 distillations." in text
    *_, spread, law = (written(c.estimate, "+.2f") for c in secondary_photographs())
    assert f"the price of uneven weights: {spread} (one pass, K = 10)." in text
    assert f"the worth of its law: {law} (one pass, K = 10), all at 95 %." in text
    assert "P2" not in text and "K = 50" not in text and "Both changes" not in text


def test_the_papers_contrast_is_the_sum_of_the_weights_and_the_optimiser(recorded):
    recorded(PHOTOGRAPH_BLOCKS[:2])
    p1, _, p3, _ = primary_photographs()
    (both,) = re.findall(r"the paper's own contrast, are ([+−][\d.]+)", photographs_text())
    assert float(both) == pytest.approx(p1.estimate.mean + p3.estimate.mean, abs=0.006)
