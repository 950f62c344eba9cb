"""SDXL as a prior: for the same noise it computes what diffusers' own img2img pipeline computes, in small."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ddoq_book.ch22.toy_imagenet import LATENT, TINY_VAE, tiny_stable_diffusion
from ddoq_core.config.profile import Profile
from ddoq_core.cost.flops import prior_of
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.latent_diffusion import SCHEDULE
from ddoq_core.priors.load import load_prior, prior_artifact
from ddoq_core.randomness import torch_rng

PROMPTS = ["tench, Tinca tinca", "crane", "a long prompt " * 20]
CLASSES = [{"index": i, "directory": str(i), "name": p, "prompt": p} for i, p in enumerate(PROMPTS)]
SHAPE = (4, LATENT, LATENT)
WIDTHS = 16, 24  # of the text encoders


def tiny_sdxl(folder: Path, scheduler: type = EulerDiscreteScheduler) -> Path:
    """SDXL with random weights, in its layout: every part is there, small."""
    tiny_stable_diffusion(folder / "words")  # for its tokenizer
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words" / "tokenizer")
    fixed = {"vocab_size": len(tokenizer), "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    fixed |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "projection_dim": 12}
    texts = [CLIPTextConfig(hidden_size=width, **fixed) for width in WIDTHS]
    with initialised(torch_rng(1, "sdxl")):
        unet = UNet2DConditionModel(
            sample_size=LATENT, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=sum(WIDTHS),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), norm_num_groups=4, attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2), addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=12 + 6 * 8, use_linear_projection=True,
        )  # fmt: skip
        parts = {"vae": AutoencoderKL(**TINY_VAE, force_upcast=True), "text_encoder": CLIPTextModel(texts[0])}
        parts |= {"text_encoder_2": CLIPTextModelWithProjection(texts[1])}
    StableDiffusionXLPipeline(
        unet=unet.eval(), tokenizer=tokenizer, tokenizer_2=tokenizer, scheduler=scheduler(**SCHEDULE),
        **{name: part.eval() for name, part in parts.items()},
    ).save_pretrained(folder / "sdxl")  # fmt: skip
    return folder / "sdxl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_sdxl(tmp_path_factory.mktemp("sdxl"))


def noise() -> list[torch.Generator]:
    return [torch_rng(0, "test", i) for i in range(len(PROMPTS))]


@pytest.mark.filterwarnings("ignore")  # diffusers on new versions of its parts
@pytest.mark.parametrize(
    ("scheduler", "steps", "guidance", "negative"),
    [
        (EulerDiscreteScheduler, 10, 5.0, "cartoon"),
        (EulerAncestralDiscreteScheduler, 4, 0.0, ""),  # as SDXL-turbo is run
    ],
)
def test_centroids_become_what_the_img2img_pipeline_of_diffusers_makes_of_them(
    tmp_path, scheduler, steps, guidance, negative
):
    place = tiny_sdxl(tmp_path, scheduler)
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(place)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(3, *SHAPE, generator=torch_rng(0, "latents"))
    theirs = pipeline(
        PROMPTS, image=latents, strength=0.7, num_inference_steps=steps, guidance_scale=guidance, generator=noise(),
        negative_prompt=[negative] * 3, output_type="pt",
    ).images  # fmt: skip
    mine = load_prior(place, negative_prompt=negative)
    found = mine.denoise(latents, mine.embed(CLASSES), strength=0.7, guidance=guidance, steps=steps, noise=noise())
    torch.testing.assert_close(mine.decode(found), theirs, rtol=0, atol=2e-5)


def test_the_autoencoder_stays_in_float32_where_its_activations_leave_the_range_of_half_precision(folder):
    prior = load_prior(folder, precision="float16")
    assert (prior.vae.dtype, prior.unet.dtype) == (torch.float32, torch.float16)
    found = prior.denoise(
        None, prior.embed(CLASSES[:1]), guidance=5.0, steps=2, noise=[torch_rng(0, "half")], sampler="ddim"
    )
    assert prior.decode(found).isfinite().all()


def test_it_is_a_prior_by_its_name_and_is_counted_in_its_folder(folder):
    profile = Profile(prior="sdxl", prior_path=str(folder))
    assert prior_artifact(profile).path == folder
    counts, prior = prior_of(profile, 3), load_prior(folder)
    parts = (prior.unet, prior.vae, prior.text_encoder, prior.second_encoder)
    assert counts.parameters == sum(p.numel() for part in parts for p in part.parameters()) and counts.call > 0
