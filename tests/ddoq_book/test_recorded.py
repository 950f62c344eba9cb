"""What was recorded again takes the place of its cell in the long run, and nothing else does."""

import pytest

from ddoq_book import recorded
from ddoq_book.ch31 import recorded_again
from ddoq_book.recorded import long_run_rows

CELL = {"dataset": "mnist5k", "method": "rded", "student": "convnet-32", "labels": "soft"}
FULL = CELL | {"method": "full", "labels": "hard", "ipc": None, "n_test": 8, "seed": 0, "distill_seed": 0}


@pytest.fixture
def study(monkeypatch):
    """Rows of both studies in place of the files."""
    files = {"table": [], "baselines": []}
    monkeypatch.setattr(recorded, "rows_of", lambda folder, pattern: files[folder])
    monkeypatch.setattr(recorded_again, "rows_of", lambda folder, pattern: files[folder])
    return files


def test_a_cell_that_was_recorded_again_is_in_the_place_of_the_first_one(study):
    few, many = CELL | {"ipc": 1, "epochs": 100}, CELL | {"ipc": 10, "epochs": 100}
    again = [few | {"epochs": 1000, "seed": seed} for seed in (0, 1)]
    other = [few | {"labels": "own"}, few | {"student": "resnet18"}, few | {"method": "d4m"}]
    study.update(table=[few, many, *other], baselines=[*again, FULL])
    assert long_run_rows("mnist5k") == [many, *other, *again]


def test_all_images_of_a_cut_data_set_are_shown_beside_those_that_were_left(study):
    rows = [FULL | {"hits": "8A=="}, CELL | {"ipc": 1, "epochs": 1000}]
    study["baselines"] = [FULL | {"hits": "/w=="}]
    texts = recorded_again.again_texts(rows, "mnist5k")
    assert texts["epochs_of_one"] == "1,000"
    assert texts["whole"].startswith("100.0 [") and texts["cut"].startswith("50.0 [")


def test_what_is_not_recorded_yet_is_a_dash(study):
    assert recorded_again.again_texts([], "mnist5k") == {"epochs_of_one": "–", "whole": "–", "cut": "–"}
