"""The study of powers: which students are compared, and what is said of predicted and found powers."""

import json

import numpy as np
import pytest

from ddoq_book.ch34 import powers
from ddoq_book.ch34.powers import EQ33, GRID, OTHERS, PROBLEMS, best_power, predicted
from ddoq_book.studies.exponents import SETTINGS, predictions_file, realised_file
from ddoq_core.randomness import numpy_rng

from ...rows import row

N_TEST = 1000
DIGITS, _, CONTROLLED, _ = PROBLEMS
GAINS = {f"power-{a:g}": 3 * a for a in GRID} | {EQ33: 1.5, "images": 2.5, "draws": 0.5}  # points


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Records of all problems in a folder: the first student of each distillation gains as GAINS says, and the second,
    like other networks, is always wrong."""
    monkeypatch.setattr(powers, "RESULTS", tmp_path)
    powers.grids.cache_clear()
    for problem in PROBLEMS:
        network = "convnet-8" if problem is CONTROLLED else "convnet-32"
        for part, other in zip(problem.parts, problem.others, strict=True):
            files = {tmp_path / "exponents" / f"{part}-ipc{problem.ipc:03d}-{key}.jsonl": {key: ""} for key in SETTINGS}
            files[tmp_path / other] = OTHERS
            for file, keys in files.items():
                file.parent.mkdir(exist_ok=True, parents=True)
                rows = [
                    _row(key, method, i, k, network)
                    for key, method in keys.items()
                    for i in range(100, 112)
                    for k in (0, 1)
                ]
                if problem is CONTROLLED:
                    rows += [r | {"student": "convnet-2", "hits": row(np.zeros(N_TEST))["hits"]} for r in rows]
                file.write_text("\n".join(map(json.dumps, rows)))
    yield tmp_path
    powers.grids.cache_clear()


def _row(key, method, distillation, k, network):
    """The same images in doubt for all weightings of a distillation."""
    doubt = numpy_rng(0, "powers", distillation).random(N_TEST)
    right = doubt < 0.9 + GAINS[key] / 100 if k == 0 else np.zeros(N_TEST)
    return row(right, method or "ddoq", student=network, distill_seed=distillation, seed=2 * distillation + k)


def _predict(folder, problem, errors, exponent=0.75):
    for part in problem.parts:
        rows = [
            {
                "estimator": name,
                "distill_seed": i,
                "together": exponent,
                "exponent": [exponent, exponent],
                "errors": errors,
            }
            for name in ("images", "draws")
            for i in range(100, 112)
        ]
        (folder / "exponents" / predictions_file(part, problem.ipc)).write_text(json.dumps(rows))
        (folder / "exponents" / realised_file(part, problem.ipc)).write_text(json.dumps([[4, 2, 1, 2, 3]] * 12))


def test_the_three_primary_comparisons_are_with_eq_33_at_their_level(recorded):
    found = powers.primary_powers()
    assert [c.problem for c in found] == list(PROBLEMS[:3]) and {(c.row, c.baseline) for c in found} == {
        ("images", EQ33)
    }
    assert {c.estimate.level for c in found} == {1 - 0.05 / 3} and {c.n_positive for c in found} == {12}
    assert [c.estimate.n_runs for c in found] == [12, 12, 36]
    assert np.allclose([c.estimate.mean for c in found[:2]], 1.0, atol=0.4)


def test_secondary_ones_compare_each_estimated_row_with_every_fixed_power(recorded):
    pairs = {(c.row, c.baseline) for c in powers.secondary_powers() if c.problem is DIGITS}
    assert pairs == {("draws", EQ33)} | {(row, f"power-{a:g}") for row in ("images", "draws") for a in GRID}


@pytest.mark.parametrize(("errors", "best"), [((1, 0.8, 0.7, 0.9, 2), 0.5), ((1, 0.9, 0.8, 0.7, 0.6), 1.0)])
def test_the_best_power_found_is_compared_with_the_one_predicted(recorded, errors, best):
    _predict(recorded, DIGITS, [2 * e for e in errors])  # errors are over that of equal weights
    foretold = predicted(DIGITS, "images")
    assert foretold.best == best and np.allclose(foretold.errors, errors)
    power, gap = best_power(DIGITS)
    assert power == 1.0 and gap.baseline == f"power-{best:g}"
    assert np.isclose(gap.estimate.mean, 3 * (1 - best), atol=0.5)


def test_what_is_not_recorded_is_a_dash_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(powers, "RESULTS", tmp_path)
    powers.grids.cache_clear()
    found = powers.primary_powers()
    powers.grids.cache_clear()
    assert {c.estimate for c in found} == {None} and best_power(DIGITS) is None and predicted(DIGITS, "draws") is None
    assert powers.power_comparisons_table(found, "caption").notes[0].startswith("–: not recorded yet")


def test_texts_and_tables_show_the_numbers_of_the_comparisons(recorded):
    for problem in PROBLEMS:
        _predict(recorded, problem, [1, 0.9, 0.8, 0.7, 0.6])
    texts = powers.powers_texts()
    assert texts["digits_made_best"] == "0.5" and np.allclose(powers.realised(DIGITS), [1, 0.5, 0.25, 0.5, 0.75])
    assert texts["digits_best"] == "1" and texts["controlled_images_exponent"] == "0.75"
    assert texts["digits_images"] == f"{powers.compared_powers(DIGITS, 'images', EQ33).estimate:+.2f}"
    assert powers.predictions_table().column("Best for students") == [1.0] * 8
    assert len(powers.powers_figure().axes) == 8
