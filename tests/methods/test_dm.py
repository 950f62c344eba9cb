"""DM, and what all learned sets share: the loop, the floats, the field's own evaluation."""

from pathlib import Path

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS, SMALL
from ddoq_core.methods import dm as module
from ddoq_core.methods.dm import dm_gradient
from ddoq_core.methods.shared.distances import distance_of_means
from ddoq_core.methods.shared.evaluation import fitting, train_on_floats
from ddoq_core.methods.shared.learned import RealBatches, floats_of, pixels_of, real_start
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline.train_student import LEARNED_LABELS
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.jobs import Student, train_student
from ddoq_core.runs.run import Run
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Workspace

from ..stand_ins import stand_in

VALUES = SMALL | {"image_size": 16, "threads": 1, "ipc": [2], "targets": ["own"], "epochs": 1, "methods": ["dm"]}
LEARN = {"dm_steps": 30, "matching_batch": 12, "matching_network": "convnet-32"}


def run_of(squares, folder, **changes):
    made = Run(Profile.of(VALUES | {"artifacts": str(folder)} | changes))
    made.__dict__["dataset"] = squares
    return made


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    """A run on the squares with thirty steps."""
    return run_of(squares, tmp_path_factory.mktemp("artifacts"), **LEARN)


@pytest.fixture(scope="module")
def made(run):
    return run.distilled("dm", 2)


def test_the_loss_is_nothing_if_the_distilled_images_are_the_real_batch(run):
    """Batches of all images of a class, and all of them in the set: the same draw falls on both."""
    real = RealBatches(run.dataset, "cpu")
    images = torch.cat([real.shown(pixels) for pixels in real.pixels])
    loss, gradient = dm_gradient(run, real, images, 12, (0, "t"))
    assert loss < 1e-9 and gradient.abs().max() < 1e-5


def test_of_means_of_features_the_gradient_is_that_of_a_mean():
    own = torch.randn(3, 5, dtype=torch.float64, generator=torch_rng(0, "own")).requires_grad_()
    real = torch.randn(7, 5, dtype=torch.float64, generator=torch_rng(0, "real"))
    (gradient,) = torch.autograd.grad(distance_of_means(own, real), own)
    torch.testing.assert_close(gradient, (2 * (own.mean(0) - real.mean(0)) / 3).detach().expand(3, 5))


def test_the_objective_falls_under_networks_that_were_not_trained_on(run, made):
    real, keys = RealBatches(run.dataset, "cpu"), [(0, "unseen", i) for i in range(8)]
    ends = real_start(run, 2, 0), run.dataset.normalise(floats_of(made)["images"])
    before, after = (sum(dm_gradient(run, real, images, 2, key)[0] for key in keys) for images in ends)
    assert after < 0.9 * before
    assert set(made.artifact.json("learned.json")) == {"start_loss", "end_loss"}


def test_a_set_keeps_its_floats_beside_its_pictures(run, made):
    floats = floats_of(made)["images"]
    assert (floats.clamp(0, 1) - made.images()).abs().max() <= 0.5 / 255 + 1e-6
    assert not made.pixels().equal(run.distilled("random_real", 2).pixels())
    assert floats_of(run.distilled("random_real", 2))["images"].equal(run.distilled("random_real", 2).images())


def test_pixels_of_normalised_images_are_the_images(run):
    images = run.distilled("random_real", 2).images()
    torch.testing.assert_close(pixels_of(run.dataset, real_start(run, 2, 0)), images)


def test_an_interrupted_set_goes_on_to_the_same_bytes(squares, made, run, tmp_path, monkeypatch, contents):
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    other, calls, gradient = (
        run_of(squares, tmp_path, **LEARN),
        [],
        module.dm_gradient,
    )

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return gradient(*arguments)

    monkeypatch.setattr(module, "dm_gradient", failing)
    with pytest.raises(KeyboardInterrupt):
        other.distilled("dm", 2)
    assert contents(other.distilled("dm", 2).artifact) == contents(made.artifact)
    assert len(calls) == 31


def test_another_seed_makes_another_set(run, made):
    assert not made.pixels().equal(run.distilled("dm", 2, 1).pixels())


def test_the_published_protocol_trains_on_the_floats_with_the_methods_own_loop(run, made):
    kind, changes = METHODS["dm"].own_training(run.profile, made)
    assert kind == LEARNED_LABELS and run.profile.replace(**changes).epochs == 10 * run.profile.epochs
    job = run.job(Student("dm", 2, "convnet-4", "own", 0, 0))
    assert job.target == LEARNED_LABELS and job.trainer.fit is METHODS["dm"].fit
    assert job.teacher is None and job.labels is None


def test_students_of_the_own_protocol_learn(squares, run, made, monkeypatch):
    monkeypatch.setattr("ddoq_core.runs.jobs._dataset_of", lambda profile: squares)
    longer = run_of(squares, run.store.root, **LEARN, epochs=12)
    student = train_student(longer.job(Student("dm", 2, "convnet-8", "own", 0, 0)))
    assert student.json("result.json")["top1"] > 60


def test_a_network_without_features_is_refused(squares, tmp_path):
    other = run_of(squares, tmp_path, matching_network="resnet18-small")
    with pytest.raises(InputError, match="matching_network = resnet18-small has no `features`"):
        other.distilled("dm", 1)


def test_students_of_floats_see_them_at_their_own_size_and_unclamped(run, made):
    """With teacher_size the floats are larger than what students see."""
    floats = floats_of(made)["images"] * 3
    assert fitting(floats, 16) is floats
    smaller = fitting(floats, 8)
    assert smaller.shape[-1] == 8 and smaller.max() > 1
    torch.testing.assert_close(fitting(torch.full((1, 1, 16, 16), 1.5), 8), torch.full((1, 1, 8, 8), 1.5))
    network = make_network("convnet-4", 3, 1, 8, torch_rng(0, "t"))
    profile = run.profile.replace(epochs=1, optimiser="sgd", lr_schedule="tenth")
    half = stand_in(Dataset, image_size=8, normalise=run.dataset.normalise, n_classes=3)
    train_on_floats(stand_in(Workspace, path=Path("nowhere")), network, made, half, profile, (0, "own"))
