"""A small copy of ImageNet: a tree of photographs in its layout, and random priors in the layout of real priors.

The whole of Algorithm 4 runs on them with the same commands as at full size. The images are noise, but the run shows
that all parts fit together.
"""

import csv
import json
from pathlib import Path

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from sklearn.datasets import load_sample_image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ddoq_core.config.profile import Profile
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.pretrain import SCHEDULE
from ddoq_core.randomness import numpy_rng, torch_rng

# The part of a photograph for each class: file, top and bottom as shares of its height. The wnids are ImageNet's, since
# names and prompts are looked up; it does not matter here whether the pictures show these classes.
REGIONS = {
    "n03877845": ("china.jpg", 0.3, 0.9),
    "n09193705": ("china.jpg", 0.0, 0.3),
    "n11939491": ("flower.jpg", 0.0, 1.0),
}
SIDES = 60, 120  # pixels: least and greatest side of a photograph
LATENT = 8  # side of a latent; the autoencoder's images have twice this side
TINY_VAE = {
    "block_out_channels": [4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "scaling_factor": 0.18215,
    "sample_size": 2 * LATENT,
}


def photograph_tree(root: Path, per_class: int, seed: int) -> Path:
    """A tree like ImageNet's: train/WNID/*.JPEG, a flat val/, and Kaggle's LOC_val_solution.csv; returns that file.

    Args:
        per_class: photographs per class for training; there are a third as many for validation.
    """
    rows = []
    for wnid, (file, top, bottom) in REGIONS.items():
        photograph, rng = Image.fromarray(load_sample_image(file)), numpy_rng(seed, "rehearsal", wnid)
        for i in range(per_class + max(1, per_class // 3)):
            side = int(rng.integers(*SIDES))
            x = int(rng.integers(0, photograph.width - side))
            y = int(rng.integers(int(top * photograph.height), int(bottom * photograph.height) - side + 1))
            name = f"{wnid}_{i}.JPEG" if i < per_class else f"ILSVRC2012_val_{len(rows) + 1:08d}.JPEG"
            folder = root / "train" / wnid if i < per_class else root / "val"
            if i >= per_class:
                rows.append((name.removesuffix(".JPEG"), f"{wnid} 1 1 {side} {side}"))
            folder.mkdir(parents=True, exist_ok=True)
            photograph.crop((x, y, x + side, y + side)).save(folder / name, quality=95)
    mapping = root / "LOC_val_solution.csv"
    with mapping.open("w", newline="") as file:
        csv.writer(file).writerows([("ImageId", "PredictionString"), *rows])
    return mapping


def tiny_stable_diffusion(folder: Path, *, pndm: bool = True) -> None:
    """A small Stable Diffusion with random weights and every part, in the layout of v1.5."""
    letters = [chr(c) for c in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    begin, end = len(words) - 2, len(words) - 1
    with initialised(torch_rng(1, "stable diffusion")):
        unet = UNet2DConditionModel(
            sample_size=LATENT, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), cross_attention_dim=16, attention_head_dim=2,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), norm_num_groups=4,
        )  # fmt: skip
        vae = AutoencoderKL(**TINY_VAE)
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=77, bos_token_id=begin, eos_token_id=end, pad_token_id=end,
            )
        )  # fmt: skip
    kind, options = (PNDMScheduler, {"skip_prk_steps": True}) if pndm else (DDIMScheduler, {"clip_sample": False})
    scheduler = kind(steps_offset=1, **options, **SCHEDULE)
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)
    StableDiffusionPipeline(
        vae=vae.eval(), text_encoder=text.eval(), unet=unet.eval(), scheduler=scheduler, tokenizer=tokenizer,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def tiny_dit(folder: Path) -> None:
    """A small DiT with random weights and ImageNet's label table, in the layout of DiT-XL-2-256."""
    with initialised(torch_rng(1, "dit")):
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=2, in_channels=4, sample_size=LATENT, patch_size=2,
            out_channels=8, norm_num_groups=1,
        )  # fmt: skip
        vae = AutoencoderKL(**TINY_VAE)
    DiTPipeline(transformer, vae, DDIMScheduler(clip_sample=False)).save_pretrained(folder)
    index = folder / "model_index.json"
    labels = {str(i): f"class {i}" for i in range(1000)}
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": labels}))


PRIORS = {"stable-diffusion": tiny_stable_diffusion, "dit": tiny_dit}


def rehearsals(profile: Profile, root: Path, per_class: int) -> dict[str, Profile]:
    """Profiles of the rehearsal, one for each kind of prior; creates the data and priors under `root`."""
    if not (root / "LOC_val_solution.csv").exists():
        photograph_tree(root, per_class, profile.seed)
    found = {}
    for name, save in PRIORS.items():
        if not (root / name / "model_index.json").exists():
            save(root / name)
        found[name] = profile.replace(
            profile=f"{profile.profile}-rehearsal", dataset="imagefolder", data_root=str(root), prior=name,
            val_mapping=str(root / "LOC_val_solution.csv"), prior_path=str(root / name), image_size=32, ipc=[2, 4],
            hard_ipc=[4], methods=["random_real", "d4m", "ddoq"], negative_prompt="cartoon, anime, painting",
            flip=True,
            guidance_scale=8.0, resize="squash", keep_latents=False, teacher="resnet18", teacher_epochs=1, epochs=2,
            students=["resnet18"], soft_labels="online", targets=["soft"], n_seeds=1, n_steps=10,
            workers=1,
        )  # fmt: skip
    return found
