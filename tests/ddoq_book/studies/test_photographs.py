"""The study on photographs: which students it trains, of what, and that equal counts train none."""

import json

import pytest
from PIL import Image

from ddoq_book.studies import photographs as module
from ddoq_book.studies.photographs import FURTHER, LEVELS, MEDOIDS, PHOTOGRAPH_BLOCKS, photographs_study
from ddoq_book.studies.weightings import CODEBOOKS
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from ...stand_ins import stand_in

PROFILE = Profile.load("imagenette_cpu")


@pytest.fixture
def parts(monkeypatch):
    """`parts(shares)`: the study where counts are worth these shares of K, half by default."""

    def of(shares: dict) -> list:
        cells = [(name, ipc) for name in CODEBOOKS for ipc in LEVELS]
        rows = [{"codebook": n, "ipc": k, "counts": "cells", "effective": shares.get((n, k), 0.5)} for n, k in cells]
        monkeypatch.setattr(module, "spreads_of", lambda name, runs, levels, folder: rows)
        return list(photographs_study(PROFILE))

    return of


@pytest.fixture
def run(tiny, squares, prior, tmp_path):
    found = Run(tiny.replace(prior="dit", prior_path=str(prior.path), artifacts=str(tmp_path / "store")))
    found.__dict__["dataset"] = squares
    return found


def test_every_block_has_a_file_and_its_students(parts):
    found = parts({})
    files = [f"photographs-{block.name}.jsonl" for block in PHOTOGRAPH_BLOCKS]
    files += [f"photographs-temperature-{t}.jsonl" for t in (1, 4, 20)]
    assert [p.file for p in found] == [*files, "photographs-all.jsonl"] and len({*files}) == len(files)
    assert [len(p.tasks) for p in found] == [96, 48, 36, 72, 48, 48, 24, 24, 36, 24, 18, 3, 3, 3, 6]
    assert {t.method for t in found[3].tasks} == {*MEDOIDS}


def test_the_primary_arms_differ_in_the_optimiser_alone(parts):
    b, a, *_ = parts({})
    changed = {"learning_rate", "lr_schedule"}
    same = set(Profile.knobs()) - changed
    assert a.run.profile.subset(*same) == b.run.profile.subset(*same)
    assert a.run.profile.subset(*changed) == {"learning_rate": 1e-3, "lr_schedule": "cosine"}
    assert b.run.profile.subset(*changed) == {"learning_rate": 2e-3, "lr_schedule": "step"}
    assert (b.run.profile.quantizer, b.run.profile.n_passes, b.run.profile.start) == ("minibatch", 1, "samples")
    assert (b.run.profile.prior, b.run.profile.locality, b.run.profile.strength) == ("exact", "local", 0.7)


def test_the_search_of_the_temperature_differs_in_it_alone(parts):
    """And trains in a distillation that no block has."""
    first, *_, one, four, twenty, _ = parts({})
    for part, t in ((one, 1.0), (four, 4.0), (twenty, 20.0)):
        assert part.run.profile == first.run.profile.replace(temperature=t)
        assert {(task.method, task.distill_seed) for task in part.tasks} == {("d4m", 0)}


def test_every_block_has_the_codebook_of_its_name(parts):
    """Whatever the profile's own quantizer is."""
    quantizers = {"one pass": "minibatch", "Lloyd": "lloyd"}
    for part, block in zip(parts({}), PHOTOGRAPH_BLOCKS, strict=False):
        assert part.run.profile.quantizer == quantizers[block.codebook]


def test_counts_that_are_nearly_equal_train_no_student(parts):
    found = parts({("Lloyd", 10): 0.86, ("one pass", 50): 0.99})
    left_out = [b for b in PHOTOGRAPH_BLOCKS if (b.codebook, b.ipc) in (("Lloyd", 10), ("one pass", 50))]
    assert len(left_out) == 2 and not any(b.methods == FURTHER for b in left_out)
    files = {f"photographs-{b.name}.jsonl" for b in left_out}
    assert len(found) == len(PHOTOGRAPH_BLOCKS) + 4 - 2 and not files & {p.file for p in found}


def test_strips_show_the_heaviest_of_every_class_and_one_class_by_weight(tmp_path, run, squares):
    module._keep_pictures(run, Student("d4m", 2, "convnet-8", "soft", 100, 200), tmp_path)
    found = json.loads((tmp_path / "photographs-class.json").read_text())
    assert found["class"] in squares.class_names and found["classes"] == squares.class_names
    assert found["masses"] == sorted(found["masses"], reverse=True) and sum(found["masses"]) == pytest.approx(1)
    sizes = [Image.open(tmp_path / name).size for name in module.STRIPS]
    assert sizes == [(3 * module.SIDE, module.SIDE), (2 * module.SIDE, module.SIDE)]


def test_strips_are_stored_before_a_student_of_the_first_block_is_trained(parts, tmp_path, monkeypatch):
    stored = []
    monkeypatch.setattr(module, "keep_spreads", lambda *args: None)
    monkeypatch.setattr(module, "_keep_pictures", lambda run, student, folder: stored.append(student))
    first, second = parts({})[:2]
    for part in (first, second):
        part.run.__dict__["dataset"] = stand_in(Dataset, test=stand_in(Split, ids=[]))
        part.before(tmp_path)
    assert stored == first.tasks[:1]


def test_the_places_of_clean_images_are_kept_by_their_names(tmp_path, monkeypatch):
    names = [f"n01/{'ILSVRC2012_val_' if i % 4 == 0 else 'n01_'}{i}.JPEG" for i in range(10)]
    monkeypatch.setattr(module, "keep_spreads", lambda *args: None)
    data = stand_in(Dataset, test=stand_in(Split, ids=names))
    module._keep_beside(stand_in(Run, dataset=data), [], None, tmp_path)
    assert json.loads((tmp_path / "photographs-clean.json").read_text()) == [0, 4, 8]
