"""The study on photographs: which students it trains, of what, and that equal counts train none."""

import json

import pytest
import torch

from ddoq_book.studies import photographs as module
from ddoq_book.studies.photographs import FURTHER, LEVELS, MEDOIDS, PHOTOGRAPH_BLOCKS, photographs_study
from ddoq_book.studies.strips import distilled_images
from ddoq_book.studies.weightings import CODEBOOKS
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.quantization.weights import companion_weights
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
    assert [len(p.tasks) for p in found] == [96, 48, 36, 72, 48, 48, 24, 24, 24, 36, 24, 18, 3, 3, 3, 6]
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


NEWNESS = torch.tensor([[0.9, 0.1], [0.6, 0.7], [0.2, 0.8]])  # of three classes


def test_strips_show_no_picture_that_is_nearly_a_photograph(tmp_path, run, squares, monkeypatch):
    monkeypatch.setattr(module, "newness_of", lambda run, distilled: NEWNESS)
    module._keep_pictures(run, 2, tmp_path)
    (heaviest, of_class), found = module.recorded_pictures(tmp_path)
    distilled = run.distilled("d4m", 2, 100)
    counts = distilled.counts.reshape(3, 2)
    order = counts[1].argsort(descending=True, stable=True).tolist()
    assert found["classes"] == squares.class_names and found["class"] == squares.class_names[1]
    assert found["newness"][0] == pytest.approx([0.9, NEWNESS[1, order[0]].item(), 0.8])
    assert found["newness"][1] == pytest.approx(NEWNESS[1][order].tolist())
    assert (found["n_new"], found["n"]) == (4, 6)
    weights = companion_weights(counts, "sqrt")[1][order]
    assert found["weights"] == pytest.approx(weights.tolist(), abs=1e-4)
    shown = resized(distilled_images(distilled, [0, 2 + order[0], 5]), module.SIDE)
    torch.testing.assert_close(heaviest, shown, atol=1 / 255, rtol=0)
    assert of_class.shape == (2, 1, module.SIDE, module.SIDE)


def test_a_training_photograph_is_not_new(run, squares):
    """A distilled set whose pictures are the first training images of their classes."""
    images = torch.cat([squares.train.images(squares.train.of_class(c)[:2]) for c in range(3)])
    by_class = lambda values: values.reshape(3, 2, *values.shape[1:])  # noqa: E731
    copies = stand_in(DistilledDataset, images=lambda: images, by_class=by_class)
    assert module.newness_of(run, copies).max() < 1e-3


def test_strips_are_stored_before_a_student_of_the_first_block_is_trained(parts, tmp_path, monkeypatch):
    stored = []
    monkeypatch.setattr(module, "keep_spreads", lambda *args: None)
    monkeypatch.setattr(module, "_keep_pictures", lambda run, ipc, folder: stored.append((run.profile.quantizer, ipc)))
    first, second = parts({})[:2]
    for part in (first, second):
        part.run.__dict__["dataset"] = stand_in(Dataset, test=stand_in(Split, ids=[]))
        part.before(tmp_path)
    assert stored == [("lloyd", 10)]


def test_the_places_of_clean_images_are_kept_by_their_names(tmp_path, monkeypatch):
    names = [f"n01/{'ILSVRC2012_val_' if i % 4 == 0 else 'n01_'}{i}.JPEG" for i in range(10)]
    monkeypatch.setattr(module, "keep_spreads", lambda *args: None)
    data = stand_in(Dataset, test=stand_in(Split, ids=names))
    module._keep_beside(None, stand_in(Run, dataset=data), [], tmp_path)
    assert json.loads((tmp_path / "photographs-clean.json").read_text()) == [0, 4, 8]
