"""A prior of random weights and a data set of noise: small enough for the tests of the report."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTTransformer2DModel

from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.networks.fitting import initialised
from ddoq_core.priors.dit import DiTPrior
from ddoq_core.randomness import torch_rng

SIZE, SHAPE, D = 16, (4, 8, 8), 256  # pixels; a latent
NAMES = ["left", "right"]


def random_prior() -> DiTPrior:
    """A DiT of random weights with the DDIM scheduler, in evaluation mode."""
    with initialised(torch_rng(1, "prior")):
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=2, in_channels=4, sample_size=8, patch_size=2,
            out_channels=4, norm_num_groups=1,
        )  # fmt: skip
        vae = AutoencoderKL(
            in_channels=1, out_channels=1, block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=4,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
            mid_block_add_attention=False, scaling_factor=0.7, sample_size=SIZE,
        )  # fmt: skip
    scheduler = dict(DDIMScheduler(clip_sample=False).config)
    return DiTPrior(
        transformer=transformer.eval(), vae=vae.eval(), scheduler_class=DDIMScheduler, scheduler_config=scheduler,
        class_names=tuple(NAMES),
    )  # fmt: skip


def noise_images() -> Dataset:
    """Two classes of noise, six images in each part."""

    def split(part: str) -> Split:
        images = torch.randint(0, 255, (12, 1, SIZE, SIZE), generator=torch_rng(0, part)).to(torch.uint8)
        return Split(torch.arange(2).repeat(6), [f"{part}/{i}" for i in range(12)], images, SIZE)

    return Dataset(
        "noise", split("train"), split("validation"), split("test"), class_ids=["0", "1"], class_names=NAMES,
        prompts=NAMES, image_size=SIZE, channels=1, mean=(0.5,), std=(0.25,), key="noise",
    )  # fmt: skip
