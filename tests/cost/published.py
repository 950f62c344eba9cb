"""The published priors on torch's meta device, and how the file of counts that ships with the package is made.

`python -m tests.cost.published` writes it, in three minutes; it needs the extra `pipeline`.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTTransformer2DModel,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ddoq_core.config.files import shipped_profiles
from ddoq_core.config.profile import Profile
from ddoq_core.cost.counting import META, count_parts
from ddoq_core.cost.counts import Prior
from ddoq_core.cost.flops import COUNTS, known_counts
from ddoq_core.cost.model import costs
from ddoq_core.cost.sizes import Images
from ddoq_core.cost.tables import PAPER
from ddoq_core.priors.dit import DiTPrior
from ddoq_core.priors.sdxl import SDXLPrior
from ddoq_core.priors.stable_diffusion import StableDiffusionPrior

from ..stand_ins import stand_in

UNET = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "cross_attention_dim": 768,
    "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8,
}  # fmt: skip
VAE = {
    "sample_size": 512, "latent_channels": 4, "layers_per_block": 2, "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
CLIP = {
    "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "projection_dim": 768, "hidden_act": "quick_gelu",
}  # fmt: skip
SDXL_UNET = {  # of SDXL-turbo: latents of 64 x 64
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "cross_attention_dim": 2048,
    "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20), "use_linear_projection": True,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SDXL_TEXT = {  # of its second encoder
    "vocab_size": 49408, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 20, "max_position_embeddings": 77, "projection_dim": 1280, "hidden_act": "gelu",
}  # fmt: skip
DIT = {  # DiT-XL/2
    "num_layers": 28, "num_attention_heads": 16, "attention_head_dim": 72, "patch_size": 2, "sample_size": 32,
    "in_channels": 4, "out_channels": 8, "num_embeds_ada_norm": 1000, "attention_bias": True,
    "activation_fn": "gelu-approximate", "norm_type": "ada_norm_zero", "norm_elementwise_affine": False,
}  # fmt: skip
NOISE = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
    "skip_prk_steps": True, "steps_offset": 1,
}  # fmt: skip


@cache
def stable_diffusion() -> StableDiffusionPrior:
    """Stable Diffusion 1.5, the prior of the paper, by its published configuration."""
    with META:
        return StableDiffusionPrior(
            vae=AutoencoderKL(**VAE), unet=UNet2DConditionModel(**UNET), tokenizer=stand_in(CLIPTokenizer),
            text_encoder=CLIPTextModel(CLIPTextConfig(**CLIP)),
            scheduler_class=PNDMScheduler, scheduler_config=NOISE,
        )  # fmt: skip


@cache
def sdxl() -> SDXLPrior:
    """SDXL-turbo, by its published configuration."""
    with META:
        return SDXLPrior(
            vae=AutoencoderKL(**VAE), unet=UNet2DConditionModel(**SDXL_UNET), tokenizer=stand_in(CLIPTokenizer),
            text_encoder=CLIPTextModel(CLIPTextConfig(**CLIP)), second_tokenizer=stand_in(CLIPTokenizer),
            second_encoder=CLIPTextModelWithProjection(CLIPTextConfig(**SDXL_TEXT)),
            scheduler_class=EulerAncestralDiscreteScheduler, scheduler_config={"timestep_spacing": "trailing"},
        )  # fmt: skip


@cache
def dit() -> DiTPrior:
    """DiT-XL/2 at 256 pixels (Peebles and Xie 2023), by its published configuration."""
    with META:
        return DiTPrior(
            vae=AutoencoderKL(**VAE | {"sample_size": 256}), transformer=DiTTransformer2DModel(**DIT),
            scheduler_class=DDIMScheduler, scheduler_config={},
        )  # fmt: skip


def published_counts() -> dict[str, Prior]:
    """Counts of the published priors, by their names in profiles."""
    return {
        "stable-diffusion": count_parts("Stable Diffusion 1.5, as published", stable_diffusion()),
        "sdxl": count_parts("SDXL-turbo, as published", sdxl()),
        "dit": count_parts("DiT-XL/2, as published", dit()),
    }


def write_counts(path: Path = COUNTS) -> None:
    """Count what the package's profiles and the paper's networks and priors ask for; write the file that ships."""
    known_counts().clear()
    known_counts().update({name: asdict(counts) for name, counts in published_counts().items()})
    others = PAPER.replace(prior="dit", students=["resnet18", "resnet50", "resnet101"])
    for profile in [*map(Profile.load, shipped_profiles()), PAPER, others]:
        costs(profile, Images.of(profile))
    path.write_text(json.dumps(known_counts(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_counts()
