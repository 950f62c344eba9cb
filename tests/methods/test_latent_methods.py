"""GLaD, LD3M, Minimax, WMDD and guided sampling: what is done in the latent space, or the features, of a run."""

import numpy as np
import ot
import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS, glad, minimax, wmdd
from ddoq_core.methods.dm import dm_gradient
from ddoq_core.methods.ld3m import chained, skipping
from ddoq_core.methods.mgd3 import drawn_to
from ddoq_core.methods.minimax import DIVERSE, REPRESENTATIVE, Memory, minimax_terms, tuned_prior
from ddoq_core.methods.ot_guided import led_by_transport, transport_targets
from ddoq_core.methods.shared.latent import frozen_prior, real_latents, through_decoder
from ddoq_core.methods.shared.learned import RealBatches
from ddoq_core.methods.wmdd import class_moments, equal_masses, free_masses, layer_inputs, statistics_gap
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.priors.load import load_prior
from ddoq_core.quantization.voronoi import distortion
from ddoq_core.randomness import numpy_rng, torch_rng


@pytest.fixture(scope="module")
def run(run_on_squares):
    return run_on_squares(n_restarts=2)


@pytest.fixture(scope="module")
def prior(run):
    return frozen_prior(run)


def normal(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch_rng(0, name))


def test_two_stages_have_the_gradient_of_the_composite(prior):
    latents = normal(23, *prior.latent_shape).float()

    def decode(z, rows):
        return prior.decode(z, graph=True)

    def matched(images):
        return float(images.pow(3).sum()), 3 * images.square()

    loss, found = through_decoder(decode, latents, matched)
    live = latents.clone().requires_grad_()
    whole = prior.decode(live, graph=True).pow(3).sum()
    assert loss == pytest.approx(float(whole), rel=1e-5)
    torch.testing.assert_close(found, torch.autograd.grad(whole, live)[0], rtol=1e-4, atol=1e-4)
    assert all(p.grad is None for p in prior.vae.parameters())


def test_with_a_decoder_that_does_nothing_glad_has_the_gradient_of_its_method_of_pixels(run):
    real, images = RealBatches(run.dataset, "cpu"), normal(6, 1, 16, 16).float()
    loss, found = through_decoder(lambda z, rows: z, images, lambda x: dm_gradient(run, real, x, 2, (0, "t")))
    assert (loss, True) == (dm_gradient(run, real, images, 2, (0, "t"))[0], True)
    assert found.equal(dm_gradient(run, real, images, 2, (0, "t"))[1])


def test_decoding_with_a_graph_is_decoding_but_for_the_bounds(prior):
    latents = normal(2, *prior.latent_shape).float() * 3
    torch.testing.assert_close(prior.decode(latents, graph=True).clamp(0, 1), prior.decode(latents))


@pytest.mark.parametrize("name", ["glad", "glad_codebook"])
def test_without_steps_to_go_glad_is_where_it_begins(run, prior, run_on_squares, name):
    still = run_on_squares(glad_rate=0.0, n_restarts=2)
    first = real_latents(run, prior, run.distilled("random_real", 2))
    start = first if name == "glad" else load_prototypes(still.prototypes(0), 2)[0].flatten(0, 1)
    torch.testing.assert_close(still.distilled(name, 2).images(), prior.decode(start), atol=1 / 255, rtol=0)


def test_a_guide_that_changes_nothing_changes_nothing(prior):
    noise = [[torch_rng(0, "noise", i) for i in range(3)] for _ in range(2)]
    how = {"guidance": 2.0, "steps": 4}
    plain = prior.denoise(None, torch.zeros(3, dtype=torch.int64), noise=noise[0], **how)
    guided = prior.denoise(None, torch.zeros(3, dtype=torch.int64), noise=noise[1], guide=lambda x, left: x, **how)
    torch.testing.assert_close(plain, guided, rtol=1e-4, atol=1e-4)


def test_a_guide_to_one_place_ends_there(prior):
    place, seen = normal(2, *prior.latent_shape).float(), []

    def guide(clean, left):
        seen.append(left)
        return place

    labels, noise = torch.zeros(2, dtype=torch.int64), [torch_rng(0, "noise", i) for i in range(2)]
    ended = prior.denoise(None, labels, guidance=1.0, steps=5, noise=noise, sampler="ddim", guide=guide)
    torch.testing.assert_close(ended, place, rtol=1e-3, atol=1e-3)
    assert seen == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_the_skip_of_ld3m_is_the_latent_where_all_is_left_and_carries_gradients_past_the_network(prior):
    z = normal(2, *prior.latent_shape).float()
    assert skipping(z)(torch.zeros_like(z), 1.0).equal(z) and skipping(z)(2 * z, 0.0).equal(2 * z)
    live, noise = z.clone().requires_grad_(), [torch_rng(0, "noise", i) for i in range(2)]
    ended = prior.denoise(
        live, torch.zeros(2, dtype=torch.int64), strength=1.0, guidance=1.0, steps=5, noise=noise, sampler="ddim",
        guide=lambda clean, left: skipping(live)(clean, 1.0), graph=True,
    )  # fmt: skip
    torch.testing.assert_close(ended, z, rtol=1e-3, atol=1e-3)
    (gradient,) = torch.autograd.grad(ended.sum(), live)
    torch.testing.assert_close(gradient, torch.ones_like(z), rtol=1e-2, atol=1e-2)


def test_an_image_of_ld3m_has_the_same_noise_in_every_call_and_company(run, prior):
    decode, z = chained(run, 2, 0)(prior), normal(6, *prior.latent_shape).float()
    with torch.no_grad():
        whole = decode(z, slice(0, 6))
        torch.testing.assert_close(decode(z[2:4], slice(2, 4)), whole[2:4], rtol=1e-4, atol=1e-4)


def test_ld3m_is_refused_where_the_prior_is_no_network(run_on_squares):
    with pytest.raises(InputError, match="prior = exact has none; remove ld3m"):
        run_on_squares(prior="exact").distilled("ld3m", 2)


def test_with_one_vector_in_each_memory_the_terms_of_minimax_are_cosines():
    p, m, e = normal(1, 5), normal(1, 5, name="m"), normal(1, 5, name="e")
    cosine = torch.nn.functional.cosine_similarity
    wanted = REPRESENTATIVE * (1 - cosine(p, m)) + DIVERSE * cosine(p, e)
    torch.testing.assert_close(minimax_terms(p, m, e), wanted.squeeze())
    assert float(minimax_terms(p, m[:0], e[:0])) == 0


def test_a_memory_forgets_the_oldest_first():
    memory = Memory(2, 3, 1, "cpu")
    memory.add(1, torch.arange(5.0)[:, None])
    assert sorted(memory.of(1).flatten().tolist()) == [2, 3, 4] and len(memory.of(0)) == 0
    memory.add(0, torch.tensor([[7.0]]))
    assert memory.of(0).flatten().tolist() == [7]


def test_minimax_tunes_biases_norms_and_the_table_of_classes_alone(run):
    before, after = (load_prior(artifact.path) for artifact in (run.prior, tuned_prior(run)))
    theirs = dict(before.transformer.named_parameters())
    moved = {n: p for n, p in after.transformer.named_parameters() if not p.equal(theirs[n])}
    assert all(name.endswith("bias") or p.ndim == 1 or "class_embedder" in name for name, p in moved.items())
    assert any("class_embedder" in name for name in moved) and any(name.endswith("bias") for name in moved)
    decoded = [p.decode(torch.zeros(1, *p.latent_shape)) for p in (before, after)]
    assert decoded[0].equal(decoded[1])
    assert run.distilled("minimax", 2).artifact.step == "minimax"


def test_minimax_goes_on_after_an_interruption(run_on_squares, tmp_path, monkeypatch, contents):
    whole = tuned_prior(run_on_squares(minimax_epochs=2))
    monkeypatch.setattr("ddoq_core.store.checkpoints.EVERY", 0)
    calls, true = [], minimax.minimax_terms

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return true(*arguments)

    monkeypatch.setattr(minimax, "minimax_terms", failing)
    other = run_on_squares(folder=tmp_path, minimax_epochs=2)
    with pytest.raises(KeyboardInterrupt):
        tuned_prior(other)
    assert contents(tuned_prior(other)) == contents(whole)


def test_minimax_is_refused_where_the_prior_is_no_transformer(run_on_squares):
    with pytest.raises(InputError, match="minimax tunes a DiT, but prior = exact is not one"):
        run_on_squares(prior="exact").distilled("minimax", 2)


def test_points_of_equal_mass_cost_no_less_than_k_means_and_all_samples_are_themselves():
    x = normal(40, 10)
    free, counts = free_masses(x, 4, numpy_rng(0, "t"))
    equal, alike = equal_masses(x, 4, numpy_rng(0, "t"))
    assert counts.sum() == 40 and alike.tolist() == [10] * 4
    cost = torch.cdist(x, equal).square().numpy()
    assert ot.emd2(np.full(40, 1 / 40), np.full(4, 1 / 4), cost) >= distortion(x, free) - 1e-9
    every, _ = equal_masses(x[:6], 6, numpy_rng(0, "t"))
    assert torch.cdist(every, x[:6]).min(1).values.max() < 1e-6


def test_the_statistics_of_a_class_are_those_of_one_batch_of_it_all(run):
    network = load_teacher(wmdd.squeeze(run)).requires_grad_(False)
    images = run.dataset.normalise(run.dataset.train.images(run.dataset.train.of_class(1)))
    inputs, _, _ = layer_inputs(network, images)
    moments = class_moments(network, run.dataset, 1, "cpu")
    masses = torch.ones(len(images))
    assert float(statistics_gap(inputs, moments, masses)) < 1e-4
    assert float(statistics_gap(layer_inputs(network, images + 1)[0], moments, masses)) > 1


def test_statistics_with_masses_are_those_of_repeated_images(run):
    network = load_teacher(wmdd.squeeze(run)).requires_grad_(False)
    images = run.dataset.normalise(run.dataset.train.images(torch.arange(3)))
    moments, masses = class_moments(network, run.dataset, 1, "cpu"), torch.tensor([3.0, 1.0, 2.0])
    repeated = images.repeat_interleave(masses.long(), 0)
    gaps = [
        float(statistics_gap(layer_inputs(network, x)[0], moments, m))
        for x, m in ((images, masses), (repeated, torch.ones(6)), (images, torch.ones(3)))
    ]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-4) and abs(gaps[2] - gaps[1]) > 0.01 * gaps[1]


def test_wmdd_moves_towards_its_points_and_its_masses_are_weights(run_on_squares):
    longer = run_on_squares(wmdd_steps=25)
    made = longer.distilled("wmdd_masses", 2)
    summary = made.artifact.json("learned.json")
    assert summary["end_loss"] < 0.7 * summary["start_loss"]
    assert made.counts.reshape(3, 2).sum(1).tolist() == [12] * 3
    assert METHODS["wmdd_masses"].weights_of(longer.profile) == "proportional"
    assert longer.distilled("wmdd", 2).counts.unique().tolist() == [6]


def test_the_way_to_the_targets_is_the_gradient_of_half_the_squared_distance():
    x, points = normal(4, 3), normal(3, 3, name="p") * 2
    masses = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)

    def cost(x):
        return ot.emd2(np.full(4, 1 / 4), masses.numpy(), torch.cdist(x, points).square().numpy()) / 2

    found = x - transport_targets(x, points, masses)
    step = 1e-5
    for i, j in np.ndindex(4, 3):
        move = torch.zeros_like(x)
        move[i, j] = step
        wanted = 4 * (cost(x + move) - cost(x - move)) / (2 * step)
        assert float(found[i, j]) == pytest.approx(wanted, abs=1e-3)


def test_guidance_brings_the_images_nearer_to_the_weighted_codebook():
    points = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64).view(2, 2, 1, 1)
    masses, x = torch.tensor([0.75, 0.25], dtype=torch.float64), normal(4, 2).view(4, 2, 1, 1)
    guide = led_by_transport(points, masses, 0.5)
    assert led_by_transport(points, masses, 0.0)(x, 0.8).equal(x)
    steps = [1 - i / 50 for i in range(50)]
    assert [i for i, left in enumerate(steps) if not guide(x, left).equal(x)] == [*range(4, 20)]  # times 45 to 30
    for _ in range(40):
        x = guide(x, 0.8)
    near = torch.cdist(x.flatten(1), points.flatten(1)).argmin(1)
    assert torch.bincount(near).tolist() == [3, 1]  # three quarters of the images at the heavy point


def test_guides_of_scale_0_change_nothing_and_those_of_modes_pull_by_a_share_until_half_is_left(run_on_squares, run):
    mode, x = normal(2, 1, 2, 2), normal(2, 1, 2, 2, name="clean")
    assert drawn_to(mode, 0.25)(x, 0.8).equal(x + 0.25 * (mode - x)) and drawn_to(mode, 0.25)(x, 0.5).equal(x)
    assert drawn_to(mode, 0.0)(x, 0.8).equal(x)
    strongly = run_on_squares(n_restarts=2, mgd3_pull=1.0)
    assert not strongly.distilled("mgd3", 2).pixels().equal(run.distilled("mgd3", 2).pixels())
    assert run.distilled("ot_guided", 2).counts.unique().tolist() == [1]  # the masses have led; they are no weights


@pytest.mark.parametrize(("name", "steps"), [("glad", "glad"), ("ld3m", "ld3m")])
def test_interrupted_latents_go_on_to_the_same_bytes(resumes, name, steps):
    assert resumes(name, glad, "dm_gradient", **{f"{steps}_steps": 5}) == 6


def test_interrupted_barycentres_go_on_to_the_same_bytes(resumes):
    assert resumes("wmdd", wmdd, "statistics_gap", at=5, wmdd_steps=4) == 4 * 3 + 2  # of step 2 two calls in vain
