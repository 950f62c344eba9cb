"""What the prose of chapter 23 takes from the measures of latents."""

import json
import math

import numpy as np
import pytest

from ddoq_book.ch23 import measured
from ddoq_book.ch23.measured import (
    latent_bounds_table,
    latent_codebooks_table,
    latent_dimensions_table,
    latent_texts,
    recorded_measures,
)

CLASS = {"training": [3.0, 4.0], "held_out": [9.0, 10.0], "counts": [8, 2], "within": 3.0, "between": 1.0}
CURVE = {"K": [1, 4, 16], "training": [1.0, 0.25, 0.0625], "held_out": [1.0, 0.5, 0.25]}
FOUND = {
    "n": [900] * 3, "held_out": [40] * 3, "d": 8192, "dimension": [10.0, 12.0, 14.0], "curve": [CURVE] * 3,
    "codebooks": {"10": [CLASS] * 3, "50": [CLASS] * 3}, "pictures": [],
}  # fmt: skip


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    (tmp_path / "latents").mkdir()
    (tmp_path / "latents" / "imagenette_cpu-measured.json").write_text(json.dumps(FOUND))
    return recorded_measures()


def test_only_what_is_recorded_is_told(recorded):
    assert [*recorded] == ["photographs"]
    texts = latent_texts(recorded)
    assert texts["digits_fall"] == "(not recorded yet)" and texts["photographs_fall"].startswith("25.0")
    assert texts["photographs_fall_held_out"].startswith("10.0") and texts["photographs_within"].startswith("75")


def test_the_slope_is_that_of_the_distance_and_not_of_its_square(recorded):
    training, held_out = latent_dimensions_table(recorded).rows[0][4:]
    assert training.value == pytest.approx(-0.5) and held_out.value == pytest.approx(-0.25)


def test_the_spread_of_the_masses_and_the_variance_within_cells(recorded):
    _, K, effective, cv, fall, held_out, within = latent_codebooks_table(recorded).rows[0]
    assert K == 10 and effective.value == pytest.approx(100 / (2 * 68)) and cv.value == pytest.approx(0.6)
    assert (fall.value, held_out.value, within.value) == pytest.approx((25, 10, 75))


def test_the_bound_is_phi_of_1_times_signal_to_noise_times_the_distortion(recorded):
    table = latent_bounds_table(recorded, {0.7: 0.2})
    assert table.rows[0][3].value == pytest.approx(math.exp(-0.5) / math.sqrt(2 * math.pi) * 0.25 * 9)
    assert np.all([row[0] == "photographs" for row in table.rows])
