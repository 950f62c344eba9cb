"""The row whose exponents are estimated: from what, and what its students are weighted with."""

import pytest
import torch

from ddoq_core.methods.ddoq_adaptive import EXPONENTS, METHOD, _cells, exponents
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.teacher import load_teacher, predict
from ddoq_core.quantization.exponents import best_exponent, squared_errors
from ddoq_core.quantization.voronoi import nearest
from ddoq_core.quantization.weights import companion_weights
from ddoq_core.runs.run import Run

IPC = 3


@pytest.fixture
def run(store, squares, prior, tiny) -> Run:
    made = Run(tiny.replace(artifacts=str(store.root), ipc=[IPC], hard_ipc=[IPC], methods=["ddoq_adaptive"]))
    made.__dict__.update(dataset=squares, prior=prior)
    return made


def drawn(run: Run, draws: int) -> Run:
    made = Run(run.profile.replace(adaptive_draws=draws))
    made.__dict__.update(dataset=run.dataset, prior=run.prior)
    return made


def test_the_exponents_are_those_of_the_teachers_logits_in_the_cells_of_the_training_images(run, squares):
    rows = exponents(run, IPC, 0).jsonl(EXPONENTS)
    points, counts = load_prototypes(run.prototypes(0), IPC)
    logits, errors = predict(load_teacher(run.teacher), squares, squares.train), []
    for label, row in enumerate(rows):
        latents, index = run.class_latents(label)
        cell = nearest(latents.flatten(1), points[label].flatten(1)).long()
        assert cell.bincount(minlength=IPC).equal(counts[label])
        errors.append(squared_errors(counts[label], logits[index], cell))
        torch.testing.assert_close(torch.tensor(row["errors"]).double(), errors[-1], rtol=1e-4, atol=1e-9)
        assert row["own"] == best_exponent(errors[-1]) and row["class"] == label
    together = best_exponent(torch.stack(errors).sum(0)).item()
    assert {row["together"] for row in rows} == {together}
    for row in rows:
        low, high = sorted((together, row["own"]))
        assert low <= row["exponent"] <= high


def test_the_weights_are_powers_of_the_cell_masses_with_these_exponents(run):
    rows, distilled = exponents(run, IPC, 0).jsonl(EXPONENTS), run.distilled("ddoq_adaptive", IPC)
    found = METHOD.weights(run, distilled, 0).reshape(3, IPC)
    for weights, counts, row in zip(found, distilled.by_class(distilled.counts), rows, strict=True):
        torch.testing.assert_close(weights, companion_weights(counts, row["exponent"]).float())
        assert weights.mean() == pytest.approx(1)


def test_draws_of_the_sampler_may_stand_in_the_place_of_the_images(run):
    found = [exponents(drawn(run, draws), IPC, 0) for draws in (2, 2, 6)]
    assert found[0] == found[1] and len({found[0], found[2], exponents(run, IPC, 0)}) == 3
    assert all(0 <= row["exponent"] <= 1 for row in found[2].jsonl(EXPONENTS))


def test_draws_do_not_depend_on_the_batch_in_which_they_are_made(run):
    other = Run(run.profile.replace(adaptive_draws=5, synthesis_batch=7))
    other.__dict__.update(dataset=run.dataset, prior=run.prior)
    pairs = zip(
        exponents(drawn(run, 5), IPC, 0).jsonl(EXPONENTS), exponents(other, IPC, 0).jsonl(EXPONENTS), strict=True
    )
    for one, two in pairs:
        assert one["errors"] == pytest.approx(two["errors"], rel=1e-3)


def test_the_cells_of_a_stratified_codebook_are_within_its_sub_populations():
    latents, strata = torch.tensor([[0.0], [1.0], [9.0], [10.0], [0.4]]), torch.tensor([4, 4, 4, 7, 7])
    points = torch.tensor([[0.0], [8.0], [1.0], [11.0]])  # two of the sub-population 4, two of 7
    assert _cells(latents, points, strata).tolist() == [0, 0, 1, 3, 2]
    assert _cells(latents, points, None).tolist() == [0, 2, 1, 3, 0]
