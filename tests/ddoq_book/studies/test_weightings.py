"""The study `weights`: only codebooks whose counts are unequal enough train students."""

import json
import math

import pytest
import torch

from ddoq_book import codebooks
from ddoq_book.codebooks import LEVELS, spread_of, spreads_file
from ddoq_book.studies import weightings as module
from ddoq_book.studies.unequal_masses import FRESH, fresh_students
from ddoq_book.studies.weightings import BLOCKS, CODEBOOKS, OPTIMISERS, weights_study
from ddoq_core.config.profile import Profile
from ddoq_core.store.artifacts import Artifact

from ...stand_ins import stand_in

PROFILE = Profile.load("table")


def spreads(**effective: float) -> list[dict]:
    """Rows of every codebook and level: half of K, or what is given by `codebook_ipc`; the own counts are unequal."""
    found = []
    for name in CODEBOOKS:
        for ipc in LEVELS:
            share = effective.get(f"{name}_{ipc}", 0.5)
            for i, away in ((100, 0.01), (101, -0.01)):  # it is the mean over distillations that counts
                row = {"codebook": name, "ipc": ipc, "distill_seed": i, "ratio": 3.0}
                found += [row | {"counts": "cells", "effective": share + away}]
                found += [row | {"counts": "own", "effective": 0.1}]
    return found


@pytest.fixture
def parts(monkeypatch):
    """`parts(**effective)`: the study under these spreads."""

    def of(**effective: float) -> list:
        monkeypatch.setattr(module, "spreads_of", lambda name, runs, levels: spreads(**effective))
        return list(weights_study(PROFILE))

    return of


def names(blocks) -> list[str]:
    return [f"mnist5k-{block.name}.jsonl" for block in blocks]


def test_every_block_has_a_file_of_its_own(parts):
    assert [part.file for part in parts()] == names(BLOCKS) and len({*names(BLOCKS)}) == len(BLOCKS)


def test_a_codebook_whose_counts_are_nearly_equal_trains_no_student(parts):
    found = parts(**{"Lloyd_10": 0.86, "one pass_50": 0.99, "scikit-learn_5": 0.99})
    left_out = [b for b in BLOCKS if (b.codebook, b.ipc) in (("Lloyd", 10), ("one pass", 50))]
    assert len(left_out) == 2
    assert [part.file for part in found] == names(b for b in BLOCKS if b not in left_out)


def test_counts_just_below_the_limit_are_tested(parts):
    assert len(parts(Lloyd_10=0.849)) == len(BLOCKS)
    assert parts(**{f"{name}_{ipc}": 0.851 for name in CODEBOOKS for ipc in LEVELS}) == []


def test_the_spread_is_the_mean_over_distillations_of_the_counts_that_are_asked_for():
    rows = spreads(Lloyd_10=0.7)
    assert spread_of(rows, "Lloyd", 10) == pytest.approx(0.7) and spread_of(rows, "Lloyd", 5) == pytest.approx(0.5)
    assert spread_of(rows, "one pass", 10, "own") == pytest.approx(0.1)


def test_students_are_those_of_fresh_distillations_with_the_codebook_and_optimiser_of_their_block(parts):
    for part, block in zip(parts(), BLOCKS, strict=True):
        profile, changes = part.run.profile, CODEBOOKS[block.codebook] | OPTIMISERS[block.optimiser]
        assert {name: getattr(profile, name) for name in changes} == changes
        expected = {(i, s) for i in FRESH for s in [*fresh_students(i)][: block.students]}
        assert {(t.distill_seed, t.seed) for t in part.tasks} == expected
        assert {(t.ipc, t.labels, t.student) for t in part.tasks} == {(block.ipc, "soft", PROFILE.students[0])}
        assert len({*part.tasks}) == len(part.tasks) == len(expected) * len(block.methods)
        assert {t.method for t in part.tasks} == {*block.methods}


def test_how_equal_counts_are_is_measured_class_by_class(monkeypatch):
    counts = torch.tensor([[3, 1], [2, 2], [4, 1]])
    monkeypatch.setattr(module, "load_counts", lambda prototypes, ipc: counts)
    monkeypatch.setattr(module, "load_companion", lambda prototypes, ipc: torch.full((3, 2), 0.5))
    cells, own = module._spread("one pass", stand_in(Artifact), 100, 2)
    assert cells["effective"] == pytest.approx((16 / 20 + 1 + 25 / 34) / 3, abs=1e-4)
    assert (cells["counts"], cells["ratio"]) == ("cells", 3.0)
    assert (own["counts"], own["effective"], own["ratio"]) == ("own", 1.0, 1.0)
    assert [row["counts"] for row in module._spread("Lloyd", stand_in(Artifact), 100, 2)] == ["cells"]


def test_the_spreads_are_kept_beside_the_records_and_not_measured_again(parts, tmp_path, monkeypatch):
    (first, *_) = parts(Lloyd_10=0.7)
    folder = tmp_path / "book" / "results" / codebooks.FOLDER
    folder.mkdir(parents=True)
    monkeypatch.undo()
    first.before(folder)
    assert json.loads((folder / spreads_file("mnist5k")).read_text()) == spreads(Lloyd_10=0.7)
    monkeypatch.setattr(codebooks, "ROOT", tmp_path)
    assert module.spreads_of("mnist5k", {}, LEVELS) == spreads(Lloyd_10=0.7)
    assert module.spreads_of("another", {}, LEVELS) == []
    assert math.isclose(spread_of(module.spreads_of("mnist5k", {}, LEVELS), "Lloyd", 10), 0.7)
