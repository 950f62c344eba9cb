"""What was recorded again takes the place of its cell in the long run, and nothing else does."""

import pytest

from ddoq_book import recorded
from ddoq_book.ch31 import recorded_again
from ddoq_book.recorded import ALL_IMAGES, long_run_rows
from ddoq_book.studies.baselines import baselines_runs
from ddoq_core.config.profile import Profile

CELL = {"dataset": "mnist5k", "method": "rded", "student": "convnet-32", "labels": "soft"}
FULL = CELL | {"method": "full", "labels": "hard", "ipc": None, "n_test": 8, "seed": 0, "distill_seed": 0}


@pytest.fixture
def study(monkeypatch):
    """Rows of both studies in place of the files."""
    files = {"table": [], "baselines": []}
    monkeypatch.setattr(recorded, "rows_of", lambda folder, pattern: files[folder])
    monkeypatch.setattr(recorded_again, "rows_of", lambda folder, file: files.get(file, []))
    return files


def test_a_cell_that_was_recorded_again_is_in_the_place_of_the_first_one(study):
    few, many = CELL | {"ipc": 1, "epochs": 100}, CELL | {"ipc": 10, "epochs": 100}
    again = [few | {"epochs": 1000, "seed": seed} for seed in (0, 1)]
    other = [few | {"labels": "own"}, few | {"student": "resnet18"}, few | {"method": "d4m"}]
    study.update(table=[few, many, *other], baselines=[*again, FULL])
    assert long_run_rows("mnist5k") == [many, *other, *again]


def test_all_images_of_a_cut_data_set_are_shown_beside_those_that_were_left(study):
    study["mnist5k-all-images.jsonl"] = [FULL | {"hits": "/w=="}]
    texts = recorded_again.again_texts([FULL | {"hits": "8A=="}], "mnist5k")
    assert texts["whole"].startswith("100.0 [") and texts["cut"].startswith("50.0 [")


def test_what_is_recorded_again_is_named_and_what_is_not_is_not(study):
    rows = [CELL | {"ipc": 1}, CELL | {"ipc": 1, "dataset": "fashion_mnist"}]
    assert recorded_again.again_texts(rows, "")["again"] == "mnist5k: nothing yet; fashion_mnist: nothing yet"
    study["mnist5k-rded-own.jsonl"] = rows[:1]
    told = recorded_again.again_texts(rows, "")["again"]
    assert told == "mnist5k: RDED's own protocol, with its 300 epochs; fashion_mnist: nothing yet"


def test_every_part_that_may_be_recorded_again_has_words(study):
    parts = {name for name, _ in baselines_runs(Profile.load("table", {"train_size": 6000}))}
    assert parts == {*recorded_again.PARTS, ALL_IMAGES}


def test_what_is_not_recorded_yet_is_a_dash(study):
    assert recorded_again.again_texts([], "mnist5k") == {"again": "–", "whole": "–", "cut": "–"}
