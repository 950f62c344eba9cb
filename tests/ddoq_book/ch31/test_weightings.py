"""The declared comparisons of weights: who is compared with whom, at which level, and what the verdict says."""

import numpy as np
import pytest

from ddoq_book.ch31 import weightings
from ddoq_book.ch31.weightings import MARGINS, control_texts, primary_weights, secondary_weights, weights_table
from ddoq_core.randomness import numpy_rng

N_TEST = 1000


@pytest.fixture
def gains(monkeypatch):
    """Points that each method's students gain on those of d4m, by their block's optimiser; empty: not recorded."""
    points: dict[tuple[str, str], float] = {}

    def grids(dataset, block):
        rng = numpy_rng(0, "weightings")  # the same test images and distillations for all
        base = rng.random((12, 1, N_TEST))
        known = {m: points[m, block.optimiser] for m in block.methods if (m, block.optimiser) in points}
        noise = {m: 1e-3 * rng.standard_normal(base.shape) for m in known}  # some students differ in some images
        return {m: (base + noise[m] < 0.9 + gain / 100).astype(float) for m, gain in known.items()}

    monkeypatch.setattr(weightings, "_grids", grids)
    return points


def test_the_six_primary_comparisons_are_those_of_the_protocol_at_its_level(gains):
    gains.update({("d4m", "A"): 0, ("d4m", "B"): 1, ("ddoq", "B"): 4})
    found = primary_weights()
    assert [(c.arm.dataset, c.arm.block.ipc) for c in found] == [
        (dataset, ipc) for dataset in ("mnist5k", "fashion_mnist") for ipc in (10, 50, 10)
    ]
    assert [round(c.estimate.mean) for c in found] == [3, 3, 1] * 2
    assert {c.estimate.level for c in found} == {1 - 0.05 / 6} and {c.n_positive for c in found} == {12}
    assert all(c.verdict == "higher" for c in found if c.arm.method == "ddoq")


def test_what_is_not_recorded_is_no_comparison_and_a_dash(gains):
    gains["d4m", "B"] = 0
    found = primary_weights()
    assert [c.estimate for c in found] == [None] * 6 and {c.verdict for c in found} == {None}
    table = weights_table(found, "caption")
    assert table.notes == ("–: not recorded yet.",)
    assert {row[3] for row in table.rows} == {None}


@pytest.mark.parametrize(("gain", "verdict"), [(0, "no effect"), (1.0, "higher"), (-1.0, "lower")])
def test_no_effect_is_a_difference_within_the_declared_margin_and_nothing_larger(gains, gain, verdict):
    gains.update({("d4m", "B"): 0, ("ddoq", "B"): gain})
    found = [c for c in secondary_weights() if (c.arm.dataset, c.arm.method) == ("mnist5k", "ddoq")]
    assert {c.margin for c in found} == set(MARGINS["mnist5k"].values())
    assert {c.verdict for c in found if c.margin == 0.3} == {verdict}


def test_the_control_splits_what_weights_change_into_spread_and_law(gains):
    gains.update({("d4m", "B"): 0, ("ddoq_permuted", "B"): -2, ("ddoq", "B"): 1})
    texts = control_texts()
    assert texts.keys() == {f"{name}_{part}" for name in ("mnist5k", "fashion_mnist") for part in ("spread", "law")}
    spread, law = (float(texts[f"mnist5k_{part}"].split()[0].replace("−", "-")) for part in ("spread", "law"))
    assert np.isclose(spread, -2, atol=0.4) and np.isclose(law, 3, atol=0.4)
