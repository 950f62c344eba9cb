"""The prior: for the same noise it computes what diffusers' own pipeline computes, whatever the batch."""

import dataclasses
import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiTPipeline, DPMSolverMultistepScheduler

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.priors.load import load_prior, prior_artifact
from ddoq_core.randomness import torch_rng

LABELS = torch.tensor([0, 2, 1])


def noise(*items: int) -> list[torch.Generator]:
    """The generators of these images."""
    return [torch_rng(0, "test", i) for i in items]


def classes(*names: str) -> list[dict]:
    """A class table."""
    return [{"index": i, "directory": n, "name": n, "prompt": n} for i, n in enumerate(names)]


@pytest.fixture(scope="module")
def model(prior):
    return load_prior(prior.path)


@pytest.fixture(scope="module")
def latents(model):
    return torch.randn(3, *model.latent_shape, generator=torch_rng(0, "latents"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers on NumPy 2
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler])
@pytest.mark.parametrize("learn_sigma", [False, True])
def test_pure_noise_becomes_what_the_pipeline_of_diffusers_makes_of_it(
    tmp_path, save_random_prior, guidance, scheduler, learn_sigma
):
    save_random_prior(tmp_path, learn_sigma=learn_sigma)
    pipeline = DiTPipeline.from_pretrained(tmp_path)
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.save_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    steps = {"guidance_scale": guidance, "num_inference_steps": 5}
    theirs = pipeline(LABELS.tolist(), generator=noise(0, 1, 2), output_type="pt", **steps).images
    mine = load_prior(tmp_path)
    found = mine.denoise(None, LABELS, guidance=guidance, steps=5, noise=noise(0, 1, 2))
    torch.testing.assert_close(mine.decode(found), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [0.2, 0.55, 1.0])
def test_strength_counts_steps_as_img2img_does(model, latents, strength):
    """The first steps are left out, and the latents are noised to the time of the first one that is run."""
    scheduler = DDIMScheduler.from_config(model.scheduler_config)
    scheduler.set_timesteps(10)
    times = scheduler.timesteps[10 - min(int(10 * strength), 10) :]
    x = torch.cat([torch.randn(1, *model.latent_shape, generator=g) for g in noise(0, 1, 2)])
    x = scheduler.add_noise(latents, x, times[:1].repeat(3))
    for t in times:
        with torch.no_grad():
            eps = model.transformer(x, timestep=t.expand(3), class_labels=LABELS).sample
        x = scheduler.step(eps, t, x).prev_sample
    found = model.denoise(latents, LABELS, strength=strength, guidance=1.0, steps=10, noise=noise(0, 1, 2))
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)


def test_no_strength_leaves_the_latents_as_they_are(model, latents):
    found = model.denoise(latents, LABELS, strength=0.0, guidance=2.0, steps=10, noise=noise(0, 1, 2))
    assert torch.equal(found, latents)


@pytest.mark.parametrize("sampler", ["checkpoint", "ddim", "ddpm"])
def test_an_image_has_its_own_noise_whatever_the_batch(model, latents, sampler):
    knobs = {"strength": 0.7, "guidance": 2.0, "steps": 10, "sampler": sampler}
    together = model.denoise(latents, LABELS, noise=noise(0, 1, 2), **knobs)
    alone = [model.denoise(latents[[i]], LABELS[[i]], noise=noise(i), **knobs) for i in (2, 0, 1)]
    torch.testing.assert_close(together[[2, 0, 1]], torch.cat(alone), rtol=0, atol=1e-5)


def test_no_sampler_draws_from_the_global_generator(model, latents):
    before = torch.random.get_rng_state()
    for sampler in ("checkpoint", "ddim", "ddpm"):
        model.denoise(latents, LABELS, strength=0.5, guidance=2.0, steps=10, noise=noise(0, 1, 2), sampler=sampler)
    model.encode(torch.zeros(1, 1, 16, 16), noise(0))
    assert torch.equal(before, torch.random.get_rng_state())


def test_ddpm_is_stochastic_and_never_clips_latents(model, latents):
    far = 20 * latents
    a, b = (
        model.denoise(far, LABELS, strength=0.1, guidance=1.0, steps=10, noise=noise(*i), sampler="ddpm")
        for i in ((0, 1, 2), (3, 4, 5))
    )
    assert not torch.allclose(a, b, atol=1e-3)
    assert a.abs().max() > 10
    assert isinstance(model._scheduler("ddpm"), DDPMScheduler)


def test_encoding_gives_the_posteriors_mean_or_keyed_draws_around_it(model):
    images = torch.rand(2, 1, 16, 16, generator=torch_rng(0, "images"))
    posterior = model.vae.encode(2 * images - 1).latent_dist
    mean = model.encode(images)
    torch.testing.assert_close(mean, 0.7 * posterior.mean.detach())
    drawn = torch.stack([model.encode(images, noise(2 * i, 2 * i + 1)) for i in range(60)])
    scatter = (drawn - mean) / (0.7 * posterior.std.detach())
    assert abs(scatter.mean()) < 0.03 and abs(scatter.std() - 1) < 0.03


def test_decoded_images_lie_in_0_1(model, latents):
    images = model.decode(5 * latents)
    assert images.shape == (3, 1, 16, 16) and images.min() >= 0 and images.max() <= 1


def test_classes_find_their_row_of_the_label_table_by_name(model):
    assert model.embed(classes("right", "left")).tolist() == [2, 0]
    assert model.embed(classes("a", "b", "c")).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"the prior does not know the class 'up'"):
        model.embed(classes("right", "up"))


def test_a_class_may_have_several_names(tmp_path, save_random_prior):
    save_random_prior(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["id2label"] = {"0": "tench, Tinca tinca", "1": "jeep, landrover"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert load_prior(tmp_path).embed(classes("landrover", "tench")).tolist() == [1, 0]


def test_a_folder_that_is_no_prior_is_an_error_that_names_what_it_holds(tmp_path, prior):
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        load_prior(tmp_path / "nowhere")
    (tmp_path / "weights.ckpt").touch()
    with pytest.raises(InputError, match=r"model_index.json \(found: weights.ckpt\)"):
        load_prior(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(InputError, match=r"holds a FluxPipeline, but a prior is one of DiTPipeline, Exact"):
        load_prior(tmp_path)
    shutil.copytree(prior.path, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "vae")
    with pytest.raises(InputError, match=r"lacks the folder vae/ of a DiTPipeline"):
        load_prior(tmp_path / "cut")
    (tmp_path / "cut" / "vae").mkdir()
    with pytest.raises(InputError, match=r"cannot be loaded"):
        load_prior(tmp_path / "cut")


def test_a_prior_of_the_wrong_kind_is_an_error_that_says_what_it_is(prior):
    with pytest.raises(InputError, match=r"holds a DiTPipeline, but prior = stable-diffusion; set prior=dit or check"):
        prior_artifact(Profile(prior="stable-diffusion", prior_path=str(prior.path)))


def test_a_prior_of_yours_is_named_by_its_content(tmp_path, prior):
    shutil.copytree(prior.path, tmp_path / "copy")
    keys = [prior_artifact(Profile(prior="dit", prior_path=str(p))).key for p in (prior.path, tmp_path / "copy")]
    assert keys[0] == keys[1]
    weights = tmp_path / "copy" / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert prior_artifact(Profile(prior="dit", prior_path=str(tmp_path / "copy"))).key != keys[0]
    with pytest.raises(InputError, match=r"needs prior_path"):
        prior_artifact(Profile(prior="dit"))


def test_the_names_of_the_classes_are_in_the_folder(model):
    assert model.class_names == ("left", "middle", "right")


def test_imagenets_classes_are_found_by_wnid_where_names_are_not_unique(model):
    """By name, "polecat" or "missile" would be another class, and the two cranes would be none."""
    rows = {"n02012849": 134, "n03126707": 517, "n02443114": 358, "n03710637": 638, "n03773504": 657}
    table = [{"index": i, "directory": wnid, "name": "", "prompt": ""} for i, wnid in enumerate(rows)]
    of_imagenet = dataclasses.replace(model, class_names=tuple(str(i) for i in range(1000)))
    assert of_imagenet.embed(table).tolist() == list(rows.values())
