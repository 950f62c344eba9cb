"""DREAM's representatives, and the risk of the group-robust row."""

import pytest
import torch

from ddoq_core.methods import dream, dsa, robust
from ddoq_core.methods.dream import representatives
from ddoq_core.methods.robust import cvar, group_risk, train_robustly
from ddoq_core.methods.shared.learned import RealBatches, fresh_network, real_start
from ddoq_core.randomness import numpy_rng, torch_rng


def normal(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


def test_representatives_quantize_better_than_random_samples_and_are_all_where_there_are_no_more():
    x = normal(120, 10)

    def error(points: torch.Tensor) -> float:
        return float(torch.cdist(x, points).min(1).values.square().mean())

    drawn = [error(x[torch.randperm(120, generator=torch_rng(i, "r"))[:10]]) for i in range(10)]
    assert error(x[representatives(x, 10, (0, "t"))]) < min(drawn)
    assert representatives(x[:7], 7, (0, "t")).sort().values.tolist() == [*range(7)]


def test_a_mean_over_representatives_varies_less_than_one_over_random_samples():
    """Which is DREAM's claim, here for means of features."""
    x = torch.cat([normal(200, 2), torch.zeros(200, 8)], 1)
    means = torch.stack([x[representatives(x, 20, (i, "t"))].mean(0) for i in range(12)])
    random = torch.stack([x[torch.randperm(200, generator=torch_rng(i, "r"))[:20]].mean(0) for i in range(12)])
    assert means.var(0).sum() < 0.5 * random.var(0).sum()


def test_dream_keeps_its_images_in_the_range_of_pixels_and_goes_on_after_an_interruption(run_on_squares, resumes):
    made = run_on_squares(dream_rate=1.0).distilled("dream", 2)
    assert made.artifact.json("learned.json")["start_loss"] > 0
    assert resumes("dream", dream, "_learn_real", dream_steps=5, dream_network_steps=4) == 6


def test_cvar_is_the_mean_the_maximum_and_rises_as_the_share_falls():
    losses = normal(8).square()
    assert cvar(losses, 1.0) == pytest.approx(float(losses.mean()))
    assert cvar(losses, 1 / 8) == pytest.approx(float(losses.max()))
    found = [float(cvar(losses, a)) for a in (0.1, 0.3, 0.5, 0.8, 1.0)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("alpha", [0.2, 0.45, 0.8])
def test_cvar_is_the_least_of_rockafellar_and_uryasevs_function(alpha):
    losses = normal(9).square()
    values = [float(t + (losses - t).clamp(min=0).mean() / alpha) for t in losses]
    assert float(cvar(losses, alpha)) == pytest.approx(min(values))


def test_the_gradient_of_cvar_is_on_the_tail_alone():
    losses = normal(10).square().requires_grad_()
    (gradient,) = torch.autograd.grad(cvar(losses, 0.3), losses)
    worst = losses.argsort(descending=True)[:3]
    assert gradient[worst].tolist() == pytest.approx([1 / 3] * 3) and gradient.sum() == pytest.approx(1)


def test_one_group_at_a_share_of_one_is_ordinary_training_twice():
    losses = normal(10).square()
    risk = group_risk(losses, torch.zeros(10, dtype=torch.int64), 1.0)
    assert float(risk) == pytest.approx(2 * float(losses.mean()))


def test_the_network_learns_the_real_images_between_two_steps(run_on_squares):
    run = run_on_squares()
    real, network = RealBatches(run.dataset, "cpu"), fresh_network(run, "convnet-8", 0, "t")
    batch, labels = real.mixed(36, numpy_rng(0, "batch"))
    before = torch.nn.functional.cross_entropy(network(batch), labels)
    train_robustly(network, real, real_start(run, 2, 0), 30, (0, "t"), families=("crop",))
    assert torch.nn.functional.cross_entropy(network(batch), labels) < 0.95 * before


def test_the_network_of_the_robust_row_is_trained_on_the_risk_and_not_on_the_images(run_on_squares, monkeypatch):
    calls, true = [], robust.group_risk
    monkeypatch.setattr(robust, "group_risk", lambda *arguments: calls.append(1) or true(*arguments))
    monkeypatch.setattr(dsa, "train_inner", lambda *arguments: pytest.fail("trained on the images"))
    run_on_squares(dc_steps=3, dc_inner=10).distilled("robust", 2)
    assert len(calls) == 4  # two epochs of one batch after the first and the third step of the images
