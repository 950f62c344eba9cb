"""The records of GPUs as chapter 22 shows them: what was measured, or that nothing was."""

import pytest

from ddoq_book.ch22 import gpu_record
from ddoq_book.ch22.gpu_record import gpu_records, gpu_speed_table, gpu_state

from ...gpu.test_prove import record


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "gpu").mkdir()
    monkeypatch.setattr(gpu_record, "RESULTS", tmp_path)
    return tmp_path / "gpu"


def test_without_a_record_it_says_that_nothing_was_run(folder):
    table = gpu_speed_table(gpu_records())
    assert table.notes[0].startswith("Not yet run") and "–" in table.markdown()


def test_a_trial_on_a_cpu_is_no_record(folder):
    record(folder / "trial.json", small=True)
    assert gpu_records() == []


def test_a_record_is_shown_with_the_share_of_the_peak_that_it_reached(folder):
    record(folder / "one.json")
    table = gpu_speed_table(gpu_records())
    assert table.column("Share of the peak") == pytest.approx([1e14 / 8e14, 2e14 / 8e14, 0.25, 0.125, 5e13 / 8e14])
    assert table.column("Images a second") == [100, 200, 50, 25, 50]


def test_what_does_not_hold_or_was_not_run_is_named(folder):
    wrong = {"step": "encode, dit", "precision": "float16", "difference": 1.0, "tolerance": 0.1}
    right = wrong | {"precision": "float32", "difference": 0.0}
    record(folder / "one.json", agreements=[wrong, right], failures=["networks: RuntimeError: x"])
    said = gpu_state(gpu_records())
    assert "1 of 2 comparisons with the CPU hold (not: encode, dit, float16)" in said
    assert "not run: networks: RuntimeError: x" in said
