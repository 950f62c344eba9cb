"""KIP, label solve, RFAD and FRePo: labels and images from which a kernel predicts the real ones."""

import pytest
import torch

from ddoq_core.methods import METHODS, frepo, kip, rfad
from ddoq_core.methods.frepo import OLDEST, POOL, feature_loss, margin
from ddoq_core.methods.kip import kernel_loss
from ddoq_core.methods.rfad import platt_loss, random_features, random_kernels
from ddoq_core.methods.shared.learned import floats_of
from ddoq_core.methods.shared.ridge import centred_one_hot
from ddoq_core.pipeline.train_student import LEARNED_LABELS
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.jobs import Student, train_student

ROWS = ("kip", "kip_labels", "label_solve", "rfad", "frepo")


def normal(*shape: int, name: str) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


@pytest.mark.parametrize("name", ROWS)
def test_a_set_keeps_a_label_of_real_numbers_for_every_image(run_on_squares, name):
    kept = floats_of(run_on_squares().distilled(name, 2))
    assert kept["labels"].shape == (6, 3) and kept["labels"].isfinite().all()
    learned = not kept["labels"].equal(centred_one_hot(torch.arange(3).repeat_interleave(2), 3).float())
    assert learned == (name not in ("kip", "rfad"))


def test_the_objective_of_kip_falls(run_on_squares):
    for name in ("kip", "kip_labels"):
        summary = run_on_squares(kip_steps=40, kip_batch=36).distilled(name, 2).artifact.json("learned.json")
        assert summary["end_loss"] < 0.5 * summary["start_loss"]


def test_label_solve_keeps_the_pixels_and_betters_the_error(run_on_squares):
    run = run_on_squares(kip_batch=36)
    made = run.distilled("label_solve", 2)
    assert made.pixels().equal(run.distilled("random_real", 2).pixels())
    summary = made.artifact.json("learned.json")
    assert summary["end_loss"] <= summary["start_loss"]


def test_the_gradient_of_kip_is_that_of_differences():
    images, labels, real = normal(3, 6, name="own"), normal(3, 2, name="labels"), normal(8, 6, name="real")
    targets = centred_one_hot(torch.arange(8) % 2, 2)
    of = (images.requires_grad_(), labels.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, y: kernel_loss(x, y, real, targets), of)


def test_of_all_real_images_with_their_labels_nothing_is_left_to_learn():
    real, targets = normal(8, 20, name="real"), centred_one_hot(torch.arange(8) % 2, 2)
    assert kernel_loss(real, targets, real, targets) < 1e-8
    assert feature_loss(real, targets, real, targets) + margin(targets) < 1e-8


def test_random_features_come_nearer_to_their_expectation_as_networks_are_added():
    images = torch.randn(5, 1, 16, 16, generator=torch_rng(0, "images"))

    def kernel(networks: int, name: str) -> torch.Tensor:
        drawn = [random_kernels(8, 1, torch_rng(0, name, i)) for i in range(networks)]
        features = random_features(images, drawn)
        return features @ features.mT

    expected = kernel(500, "many")
    few, more = (
        torch.stack([(kernel(m, f"{m}-{i}") - expected).square().sum() for i in range(10)]).mean() for m in (2, 32)
    )
    assert few / more == pytest.approx(16, rel=0.8)  # 1 / m, of squares
    assert torch.linalg.eigvalsh(expected.double()).min() > -1e-9


def test_platts_loss_is_cross_entropy_at_a_scale():
    predicted, labels = normal(5, 3, name="p"), torch.arange(5) % 3
    tau = torch.tensor(0.7, dtype=torch.float64)
    wanted = torch.nn.functional.cross_entropy(2.0137527074704766 * predicted, labels)
    torch.testing.assert_close(platt_loss(predicted, labels, tau), wanted)


def test_the_margin_of_a_label_counts_up_to_one_over_the_classes():
    labels = torch.tensor([[1.0, 0.9, 0.0], [1.0, 0.0, 0.0]])
    assert float(margin(labels)) == pytest.approx((0.1 + 1 / 3) / 2)


def test_the_pool_is_as_old_as_steps_were_made_and_a_network_that_is_too_old_is_new(run_on_squares):
    run = run_on_squares()
    network = frepo.fresh_network(run, "convnet-4", 0, "t")
    ages, optimiser = torch.arange(POOL) * (OLDEST // POOL), torch.optim.Adam(network.parameters())
    images, labels = torch.zeros(3, 1, 16, 16), centred_one_hot(torch.arange(3), 3)
    ages[4] = OLDEST - 2
    for key in ((0, "a"), (0, "b")):
        frepo._grow(run, network, optimiser, images, labels, ages, 4, key)
    fresh = frepo.fresh_network(run, run.profile.frepo_network, 0, "b").state_dict()
    assert ages[4] == 0 and not optimiser.state
    assert all(value.equal(fresh[name]) for name, value in network.state_dict().items())
    assert len(ages.unique()) == POOL - 1  # the others were left alone


@pytest.mark.parametrize(
    ("name", "module", "function", "steps"),
    [("kip", kip, "kernel_loss", 5), ("rfad", rfad, "platt_loss", 5), ("frepo", frepo, "feature_loss", 5)],
)
def test_an_interrupted_set_goes_on_to_the_same_bytes(resumes, name, module, function, steps):
    assert resumes(name, module, function, **{f"{name}_steps": steps}) == steps + 1


def test_students_of_its_protocol_are_trained_on_the_labels_by_squares(run_on_squares, squares, monkeypatch):
    monkeypatch.setattr("ddoq_core.runs.jobs._dataset_of", lambda profile: squares)
    run = run_on_squares(kip_steps=40, kip_batch=36, epochs=12)
    made = run.distilled("kip_labels", 2)
    kind, changes = METHODS["kip_labels"].own_training(run.profile, made)
    assert kind == LEARNED_LABELS and changes["epochs"] == 120
    result = train_student(run.job(Student("kip_labels", 2, "convnet-8", "own", 0, 0))).json("result.json")
    assert result["top1"] > 50
