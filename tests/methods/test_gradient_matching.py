"""DC and DSA: gradients of real and distilled images, under the same draws."""

import pytest
import torch

from ddoq_core.methods import METHODS
from ddoq_core.methods import dsa as module
from ddoq_core.methods.dsa import LOOPS, gradient_gap, loops, train_inner
from ddoq_core.methods.method import SetSize
from ddoq_core.methods.shared.learned import RealBatches, floats_of, fresh_network, real_start
from ddoq_core.methods.shared.siamese import WITHOUT_FLIP


@pytest.fixture(scope="module")
def run(run_on_squares):
    return run_on_squares(matching_batch=12)


@pytest.mark.parametrize("families", [(), WITHOUT_FLIP], ids=["DC", "DSA"])
def test_the_gap_is_nothing_if_the_distilled_images_are_the_real_batch(run, families):
    """In any order, and under one draw for both."""
    real = RealBatches(run.dataset, "cpu")
    images = torch.cat([real.shown(pixels) for pixels in real.pixels])
    network = fresh_network(run, "convnet-4", 0, "t")
    assert gradient_gap(run, network, real, images, 12, (0, "t"), families)[0] < 0.01
    assert gradient_gap(run, network, real, images.flip(0), 12, (0, "t"), families)[0] > 1


def test_without_families_dsa_is_dc(run, monkeypatch):
    start = lambda run, ipc, seed: real_start(run, ipc, seed)  # noqa: E731
    dc = module.match_gradients(run, "same", 2, 0, module.__name__, siamese=False, start=start)
    monkeypatch.setattr(module, "families_of", lambda flip: ())
    dsa = module.match_gradients(run, "same", 2, 0, "ddoq_core.methods.dc", siamese=True, start=start)
    assert dc.artifact.path != dsa.artifact.path
    assert floats_of(dc)["images"].equal(floats_of(dsa)["images"])


def test_the_gap_falls_under_one_network(run):
    real, images = RealBatches(run.dataset, "cpu"), real_start(run, 2, 0)
    network, gaps = fresh_network(run, "convnet-8", 0, "t"), []
    for _ in range(20):
        gap, gradient = gradient_gap(run, network, real, images, 2, (0, "t"), ())
        images = images - 0.5 * gradient
        gaps.append(gap)
    assert gaps[-1] < 0.9 * gaps[0]


def test_loops_are_the_published_ones_up_to_a_bound(run):
    assert [loops(run.profile.replace(dc_inner=100), ipc) for ipc in LOOPS] == list(LOOPS.values())
    assert loops(run.profile.replace(dc_inner=10), 15) == (10, 10)


def test_the_network_learns_the_distilled_images_between_two_steps(run):
    network, images = fresh_network(run, "convnet-8", 0, "t"), real_start(run, 2, 0)
    labels = torch.arange(3).repeat_interleave(2)
    before = torch.nn.functional.cross_entropy(network(images), labels)
    train_inner(network, images, labels, 30, (0, "t"), ())
    assert torch.nn.functional.cross_entropy(network(images), labels) < 0.9 * before


def test_dc_begins_with_noise_and_dsa_with_real_images(run_on_squares):
    still = run_on_squares(dc_rate=0.0)
    assert still.distilled("dsa", 2).pixels().equal(still.distilled("random_real", 2).pixels())
    noise = still.dataset.normalise(floats_of(still.distilled("dc", 2))["images"])
    assert abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_an_interrupted_set_goes_on_with_its_network(resumes, name, monkeypatch):
    monkeypatch.setitem(LOOPS, 1, (3, 1))
    seed = 4  # of no other test: LOOPS is no knob, so their sets would be taken for this one
    assert resumes(name, module, "gradient_gap", dc_steps=5, seed=seed) == 6


def test_the_evaluation_of_dc_has_the_published_epochs_and_more_on_digits(run):
    protocol, size = METHODS["dc"].protocol, SetSize(2, 3)
    assert protocol(run.profile.replace(epochs=100), size)[1]["epochs"] == 1000
    assert protocol(run.profile.replace(epochs=100, flip=True), size)[1]["epochs"] == 300
