"""The studies of the power of the masses: the students of the declared ones, and predictions that come first."""

import itertools
import json

import numpy as np
import pytest
import torch

from ddoq_book.studies import exponents as module
from ddoq_book.studies.exponents import SETTINGS, controlled_exponents, exponents_study, predictions_file
from ddoq_book.studies.unequal_masses import FRESH, controlled_study, fresh_students
from ddoq_book.studies.weightings import weights_study
from ddoq_core.config.profile import Profile
from ddoq_core.methods.ddoq_adaptive import EXPONENTS
from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Workspace

from ...stand_ins import stand_in

PROFILE = Profile.load("table")


def test_its_images_and_first_weights_are_those_of_the_study_of_weights():
    (block,) = [p for p in weights_study(PROFILE) if p.file == "mnist5k-one-pass-decoded-B-ipc010.jsonl"]
    theirs = {(t.student, t.labels, t.ipc, t.distill_seed, t.seed) for t in block.tasks}
    for part in exponents_study(PROFILE):
        assert {(t.student, t.labels, t.ipc, t.distill_seed, t.seed) for t in part.tasks} < theirs
        changed = {"weights", "adaptive_draws", "methods"}
        names = set(Profile.knobs()) - changed
        assert part.run.profile.subset(*names) == block.run.profile.subset(*names)


def test_every_setting_has_a_file_of_twelve_distillations_of_one_student():
    found = list(exponents_study(PROFILE))
    assert [part.file for part in found] == [f"mnist5k-ipc010-{name}.jsonl" for name in SETTINGS]
    for part, (method, values) in zip(found, SETTINGS.values(), strict=True):
        assert [(t.method, t.distill_seed, t.seed) for t in part.tasks] == [
            (method, i, fresh_students(i)[0]) for i in FRESH
        ]
        assert part.run.profile.subset(*values) == values


@pytest.fixture
def base(monkeypatch):
    """A prior and a teacher that are not fitted."""
    made = Artifact(module.Path("somewhere"), "prior", "x", "x")
    monkeypatch.setattr(module.Run, "prior", made)
    monkeypatch.setattr(module.Run, "teacher", made)


def test_the_controlled_part_has_the_images_of_the_controlled_study(base):
    theirs = {part.file: part for part in controlled_study(PROFILE)}
    found = list(controlled_exponents(PROFILE))
    assert [p.file for p in found] == [
        f"mnist5k-s{s}-ipc005-{name}.jsonl" for s, name in itertools.product(("1", "1.5", "2"), SETTINGS)
    ]
    for part in found:
        other = theirs[f"mnist5k-ipc005-soft-s{part.file.split('-')[1][1:]}.jsonl"]
        names = set(Profile.knobs()) - {"weights", "adaptive_draws"}
        assert part.run.profile.subset(*names) == other.run.profile.subset(*names)
        seen = {(t.student, t.labels, t.ipc, t.distill_seed, t.seed) for t in other.tasks}
        assert {(t.student, t.labels, t.ipc, t.distill_seed, t.seed) for t in part.tasks} < seen


def test_the_predictions_are_kept_once_before_students_are_trained(monkeypatch, tmp_path):
    asked = []

    def exponents(run, ipc, seed):
        asked.append((run.profile.adaptive_draws, ipc, seed))
        rows = [{"exponent": 0.4, "own": a, "together": 0.5, "deviation": 0.1, "errors": [a] * 101} for a in (0.2, 0.7)]
        Workspace(tmp_path).jsonl(EXPONENTS, rows)
        return Artifact(tmp_path, "exponents", "x", "x")

    monkeypatch.setattr(module, "exponents", exponents)
    monkeypatch.setattr(module, "realised_errors", lambda run, ipc: torch.tensor([[4.0, 3.0, 2.0, 1.0, ipc]]))
    part = next(iter(exponents_study(PROFILE)))
    for _ in range(2):
        part.before(tmp_path)
    assert asked == [(draws, 10, i) for draws in (0, 8) for i in FRESH]
    rows = json.loads((tmp_path / predictions_file("mnist5k", 10)).read_text())
    assert len(rows) == 24 and {row["together"] for row in rows} == {0.5}
    assert rows[0]["errors"] == pytest.approx([0.9] * 5) and rows[0]["own"] == [0.2, 0.7]
    assert json.loads((tmp_path / module.realised_file("mnist5k", 10)).read_text()) == [[4, 3, 2, 1, 10]]


def test_the_error_of_pictures_is_that_of_the_weighted_sum_of_what_the_teacher_says(tiny, squares, store, monkeypatch):
    """Pictures on which the teacher is told to say 0 or 1: errors by hand, for counts 9 and 3 of each class."""
    run = Run(tiny.replace(artifacts=str(store.root)))
    monkeypatch.setattr(module, "FRESH", range(1))
    monkeypatch.setattr(Run, "dataset", squares)
    monkeypatch.setattr(Run, "teacher", None)
    monkeypatch.setattr(
        module, "load_teacher", lambda artifact, device: lambda images: torch.tensor([[0.0], [1.0]] * 3)
    )
    monkeypatch.setattr(module, "predict", lambda network, data, part: torch.full((len(part), 1), 0.5))
    by_class = lambda values: values.reshape(3, 2, *values.shape[1:])  # noqa: E731
    made = {"images": lambda: torch.zeros(6, 1, 16, 16), "counts": torch.tensor([9, 3] * 3), "by_class": by_class}
    monkeypatch.setattr(Run, "distilled", lambda self, *which: stand_in(DistilledDataset, **made))
    share = np.array([3**a / (1 + 3**a) for a in module.GRID])  # of the picture on which it says 0
    assert np.allclose(module.realised_errors(run, 2), [3 * (0.5 - share) ** 2])
