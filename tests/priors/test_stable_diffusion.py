"""Stable Diffusion as a prior: for the same noise it computes what diffusers' own img2img pipeline computes."""

import json

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

from ddoq_book.ch22.toy_imagenet import tiny_stable_diffusion
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.pipeline.synthesize import synthesize
from ddoq_core.priors.load import load_prior, prior_artifact
from ddoq_core.randomness import torch_rng

PROMPTS = ["tench, Tinca tinca", "crane", "a long prompt " * 20]
CLASSES = [{"index": i, "directory": str(i), "name": p, "prompt": p} for i, p in enumerate(PROMPTS)]
SIZE, SHAPE = 16, (4, 8, 8)  # pixels; a latent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("stable-diffusion")
    tiny_stable_diffusion(path)
    return path


def noise(*items: int) -> list[torch.Generator]:
    return [torch_rng(0, "test", i) for i in items]


@pytest.mark.filterwarnings("ignore")  # diffusers on new versions of its parts
@pytest.mark.parametrize("pndm", [True, False], ids=["PNDM", "DDIM"])
@pytest.mark.parametrize(("guidance", "negative"), [(1.0, ""), (8.0, ""), (8.0, "cartoon, anime, painting")])
def test_centroids_become_what_the_img2img_pipeline_of_diffusers_makes_of_them(tmp_path, guidance, negative, pndm):
    tiny_stable_diffusion(tmp_path, pndm=pndm)
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(tmp_path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(3, *SHAPE, generator=torch_rng(0, "latents"))
    theirs = pipeline(
        PROMPTS, image=latents, strength=0.7, num_inference_steps=10, guidance_scale=guidance, generator=noise(0, 1, 2),
        negative_prompt=[negative] * 3, output_type="pt",
    ).images  # fmt: skip
    mine = load_prior(tmp_path, negative_prompt=negative)
    conditioning = mine.embed(CLASSES)
    found = mine.denoise(latents, conditioning, strength=0.7, guidance=guidance, steps=10, noise=noise(0, 1, 2))
    torch.testing.assert_close(mine.decode(found), theirs, rtol=0, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_predicts_velocities_as_2_1_does_is_denoised_as_its_pipeline_denoises_it(tmp_path):
    """Its scheduler says so; guidance is linear in what is predicted. No line of the prior knows of it."""
    tiny_stable_diffusion(tmp_path, pndm=False)
    config = tmp_path / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"prediction_type": "v_prediction"}))
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(tmp_path, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    latents, knobs = torch.randn(3, *SHAPE, generator=torch_rng(0, "latents")), {"strength": 0.7, "guidance": 8.0}
    theirs = pipeline(
        PROMPTS, image=latents, strength=0.7, num_inference_steps=10, guidance_scale=8.0, generator=noise(0, 1, 2),
        negative_prompt=[""] * 3, output_type="pt",
    ).images  # fmt: skip
    mine = load_prior(tmp_path)
    found = mine.denoise(latents, mine.embed(CLASSES), steps=10, noise=noise(0, 1, 2), **knobs)
    torch.testing.assert_close(mine.decode(found), theirs, rtol=0, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
def test_prompts_are_embedded_as_the_pipeline_embeds_them(folder):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    theirs, negative = pipeline.encode_prompt(PROMPTS, "cpu", 1, True, negative_prompt=["ugly"] * 3)
    prior = load_prior(folder, negative_prompt="ugly")
    torch.testing.assert_close(prior.embed(CLASSES), theirs)
    torch.testing.assert_close(prior._negative.expand(3, -1, -1), negative)


def test_the_negative_prompt_and_the_prompt_both_matter(folder):
    latents = torch.randn(1, *SHAPE, generator=torch_rng(0, "latents"))
    knobs = {"strength": 0.5, "guidance": 8.0, "steps": 6}

    def made(negative, which):
        prior = load_prior(folder, negative_prompt=negative)
        return prior.denoise(latents, prior.embed(CLASSES)[[which]], noise=noise(0), **knobs)

    base = made("", 0)
    assert not torch.allclose(base, made("painting", 0)) and not torch.allclose(base, made("", 1))


@pytest.mark.parametrize("sampler", ["checkpoint", "ddim", "ddpm"])
def test_an_image_has_its_own_noise_whatever_the_batch(folder, sampler):
    prior, latents = load_prior(folder), torch.randn(3, *SHAPE, generator=torch_rng(0, "latents"))
    conditioning, knobs = prior.embed(CLASSES), {"strength": 0.7, "guidance": 4.0, "steps": 6, "sampler": sampler}
    together = prior.denoise(latents, conditioning, noise=noise(0, 1, 2), **knobs)
    alone = [prior.denoise(latents[[i]], conditioning[[i]], noise=noise(i), **knobs) for i in (2, 0, 1)]
    torch.testing.assert_close(together[[2, 0, 1]], torch.cat(alone), rtol=0, atol=1e-4)


def test_it_distils_colour_images_of_another_size_by_the_same_step(tmp_path, store, folder, tiny):
    import safetensors.torch

    from ddoq_core.data.dataset import Dataset, Split
    from ddoq_core.store.artifacts import Artifact

    empty = Split(torch.zeros(0, dtype=torch.int64), [], torch.zeros(0, 3, 24, 24, dtype=torch.uint8), 24)
    names = ["tench", "crane"]
    data = Dataset(
        "colours", empty, empty, empty, class_ids=names, class_names=names, prompts=PROMPTS[:2], image_size=24,
        channels=3, mean=(0.5,) * 3, std=(0.2,) * 3, key="colours",
    )  # fmt: skip
    for c in range(2):
        held = {"points_00002": torch.randn(2, *SHAPE), "counts_00002": torch.tensor([3, 5])}
        safetensors.torch.save_file(held, tmp_path / f"class{c:05d}.safetensors")
    profile = tiny.replace(prior="stable-diffusion", prior_path=str(folder), negative_prompt="cartoon")
    prototypes = Artifact(tmp_path, "cluster", "given", "given")
    made = synthesize(store, prototypes, prior_artifact(profile), data, profile, ipc=2, distill_seed=0)
    assert made.images().shape == (4, 3, 24, 24) and made.counts.tolist() == [3, 5, 3, 5]
    assert [row["prompt"] for row in made.metadata] == [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2


def test_a_damaged_folder_is_one_clear_line(tmp_path):
    tiny_stable_diffusion(tmp_path)
    weights = next((tmp_path / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match=r"the prior in .* cannot be loaded \("):
        load_prior(tmp_path)


def test_a_name_that_the_hub_does_not_give_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="prior_path = nobody/nothing is not a folder, and the hub has no model"):
        prior_artifact(Profile(prior="stable-diffusion", prior_path="nobody/nothing"))


@pytest.mark.slow
def test_the_full_size_configuration_of_v1_5_runs_on_a_cpu_in_8_gigabytes():
    """Random weights; encode, two steps with guidance, decode. A process of its own, so that its peak is its own."""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", FULL_SIZE], capture_output=True, text=True, check=True)
    peak = int(done.stdout.split()[-1])
    assert peak < 8e9, f"{peak / 1e9:.1f} GB"


FULL_SIZE = """
import resource, torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel
from ddoq_core.priors.stable_diffusion import StableDiffusionPrior

torch.manual_seed(0)
down = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
up = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
unet = UNet2DConditionModel(
    sample_size=64, cross_attention_dim=768, attention_head_dim=8, down_block_types=down, up_block_types=up
)
vae = AutoencoderKL(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2, down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4, scaling_factor=0.18215, sample_size=512,
)
text = CLIPTextModel(
    CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        max_position_embeddings=77,
    )
)

class Tokenizer:
    model_max_length = 77
    def __call__(self, prompts, **options):
        from types import SimpleNamespace
        return SimpleNamespace(input_ids=torch.zeros(len(prompts), 77, dtype=torch.int64))

scheduler = dict(PNDMScheduler(skip_prk_steps=True, beta_schedule="scaled_linear").config)
prior = StableDiffusionPrior(
    unet=unet.eval(), vae=vae.eval(), text_encoder=text.eval(), tokenizer=Tokenizer(),
    scheduler_class=PNDMScheduler, scheduler_config=scheduler, negative_prompt="cartoon",
)
assert prior.image_size == 512 and prior.latent_shape == (4, 64, 64)
latents = prior.encode(torch.rand(1, 3, 512, 512))
conditioning = prior.embed([{"prompt": "tench"}])
noise = [torch.Generator().manual_seed(1)]
made = prior.denoise(latents, conditioning, strength=1.0, guidance=8.0, steps=2, noise=noise, sampler="ddim")
assert prior.decode(made).shape == (1, 3, 512, 512)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
