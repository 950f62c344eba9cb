"""The prior fitted on the spot: a small autoencoder and a small class-conditional diffusion transformer.

In: a data set. Out: a folder in the layout of diffusers' `DiTPipeline`, which that pipeline loads and runs unchanged.
The transformer learns to do without a class (classifier-free guidance) by seeing the null id in place of a tenth of
the labels; diffusers' own label dropout, which draws from the global generator in every block, is off.
"""

import json
from pathlib import Path

import safetensors.torch
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from jaxtyping import Float
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..networks.fitting import BatchLoss, Recipe, initialised, train_network
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..threads import threads
from .dit import NULL
from .latent_diffusion import SCHEDULE

WIDTHS = (8, 16, 32)  # channels of the autoencoder's levels; each but the first halves the side
LATENT_CHANNELS = 4
NORM_GROUPS = 8
HEADS, HEAD_WIDTH, LAYERS, PATCH = 4, 32, 4, 2
AUTOENCODER = Recipe(batch=50, rate=4e-3, warm_up=0.1, decay=0.0)
TRANSFORMER = Recipe(batch=100, rate=2e-3, warm_up=0.05, decay=0.01, ema=0.995)
NO_CLASS = 0.1  # share of the labels replaced by the null id
KL = 1e-3  # weight of the posterior's divergence from N(0, I), per latent value, beside the mean squared error
ENCODE_BATCH = 250


def pretrain(store: Store, dataset: Dataset, profile: Profile) -> Artifact:
    """Fit a latent diffusion model to the training images: autoencoder first, then the transformer on its latents.

    Raises:
        InputError: an image size that is no multiple of 8, or more classes than the label table has rows.
    """
    check_image_size(dataset.image_size)
    if dataset.n_classes > NULL:
        raise InputError(
            f"{dataset.name} has {dataset.n_classes} classes, but prior = pretrain holds {NULL}; take prior = dit"
        )

    def build(work: Workspace) -> None:
        vae = _autoencoder(dataset, profile)
        path = work.chunk("autoencoder.safetensors", lambda path: _fit_autoencoder(work, vae, dataset, profile, path))
        safetensors.torch.load_model(vae, path)
        latents = _latents(vae, dataset, profile)
        vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        transformer = _transformer(dataset, profile)
        _fit_transformer(work, transformer, latents * vae.config.scaling_factor, dataset, profile)
        _save_pipeline(work, vae, transformer, dataset)
        for name in ("autoencoder.safetensors", "autoencoder.pt", "transformer.pt"):
            work.discard(name)

    with threads(profile.threads):
        return store.make(
            "prior", build, parameters=profile.keyed("seed", "vae_epochs", "diffusion_epochs"), inputs=[dataset.key],
            modules=("ddoq_core.priors.pretrain",), label=dataset.name, plan=profile.subset("threads", "device"),
        )  # fmt: skip


def check_image_size(image_size: int) -> None:
    """Say whether a prior can be fitted to images of this side.

    Raises:
        InputError: it is no multiple of 8.
    """
    factor = PATCH * 2 ** (len(WIDTHS) - 1)
    if image_size % factor:
        raise InputError(f"image_size = {image_size}, but prior = pretrain needs a multiple of {factor}")


def _autoencoder(dataset: Dataset, profile: Profile) -> AutoencoderKL:
    """Images to latents of a quarter of their side and back."""
    levels = len(WIDTHS)
    with initialised(torch_rng(profile.seed, "pretrain", "autoencoder", "init")):
        return AutoencoderKL(
            in_channels=dataset.channels, out_channels=dataset.channels, sample_size=dataset.image_size,
            latent_channels=LATENT_CHANNELS, block_out_channels=WIDTHS, layers_per_block=1, norm_num_groups=NORM_GROUPS,
            down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
            mid_block_add_attention=False,
        ).to(profile.device)  # fmt: skip


def _transformer(dataset: Dataset, profile: Profile) -> DiTTransformer2DModel:
    """A transformer with the label table of DiTPipeline: 1,000 classes and the null id."""
    with initialised(torch_rng(profile.seed, "pretrain", "transformer", "init")):
        transformer = DiTTransformer2DModel(
            num_attention_heads=HEADS, attention_head_dim=HEAD_WIDTH, num_layers=LAYERS, patch_size=PATCH,
            in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, num_embeds_ada_norm=NULL, norm_num_groups=1,
            sample_size=dataset.image_size // 2 ** (len(WIDTHS) - 1),
        )  # fmt: skip
    for block in transformer.transformer_blocks:
        block.norm1.emb.class_embedder.dropout_prob = 0.0
        torch.nn.init.zeros_(block.norm1.linear.weight)  # adaLN-zero: every block starts as the identity
    torch.nn.init.zeros_(transformer.proj_out_2.weight)
    return transformer.to(profile.device)


def _fit_autoencoder(work: Workspace, vae: AutoencoderKL, dataset: Dataset, profile: Profile, path: Path) -> None:
    """Mean squared error of the reconstruction on [-1, 1], and a little KL so that the latents stay near N(0, I)."""
    key = (profile.seed, "pretrain", "autoencoder")
    n, side = len(dataset.train), dataset.image_size // 2 ** (len(WIDTHS) - 1)

    def loss_of(epoch: int) -> BatchLoss:
        noise = torch.randn(n, LATENT_CHANNELS, side, side, generator=torch_rng(*key, epoch))

        def loss(rows: Tensor) -> Float[Tensor, ""]:
            images = 2 * dataset.train.images(rows).to(profile.device) - 1
            posterior = vae.encode(images).latent_dist
            latents = posterior.mean + posterior.std * noise[rows].to(profile.device)
            error = (vae.decode(latents).sample - images).square().mean()
            return error + KL * posterior.kl().mean() / noise[0].numel()

        return loss

    train_network(work, vae, loss_of, n, AUTOENCODER, epochs=profile.vae_epochs, name="autoencoder", key=key)
    safetensors.torch.save_model(vae, path)


@torch.no_grad()
def _latents(vae: AutoencoderKL, dataset: Dataset, profile: Profile) -> Float[Tensor, "n c h w"]:
    """Posterior means of all training images."""
    chunks = torch.arange(len(dataset.train)).split(ENCODE_BATCH)
    images = (2 * dataset.train.images(rows).to(profile.device) - 1 for rows in chunks)
    return torch.cat([vae.encode(x).latent_dist.mean.cpu() for x in images])


def _fit_transformer(
    work: Workspace, transformer: DiTTransformer2DModel, latents: Float[Tensor, "n c h w"], dataset: Dataset,
    profile: Profile,
) -> None:  # fmt: skip
    """Mean squared error of the predicted noise, at a uniform time (Ho et al. 2020), the label dropped by key."""
    key = (profile.seed, "pretrain", "transformer")
    n, scheduler = len(latents), DDIMScheduler(**SCHEDULE)

    def loss_of(epoch: int) -> BatchLoss:
        rng = torch_rng(*key, epoch)
        noise = torch.randn(latents.shape, generator=rng)
        times = torch.randint(scheduler.config.num_train_timesteps, (n,), generator=rng)
        labels = torch.where(torch.rand(n, generator=rng) < NO_CLASS, NULL, dataset.train.labels)
        noisy = scheduler.add_noise(latents, noise, times)

        def loss(rows: Tensor) -> Float[Tensor, ""]:
            x, t, y, eps = (table[rows].to(profile.device) for table in (noisy, times, labels, noise))
            return (transformer(x, timestep=t, class_labels=y).sample - eps).square().mean()

        return loss

    train_network(
        work, transformer, loss_of, n, TRANSFORMER, epochs=profile.diffusion_epochs, name="transformer", key=key
    )


def _save_pipeline(work: Workspace, vae: AutoencoderKL, transformer: DiTTransformer2DModel, dataset: Dataset) -> None:
    """Write what DiTPipeline.from_pretrained reads; the names of the classes go into model_index.json."""
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, timestep_spacing="trailing")
    names = {str(i): name for i, name in enumerate(dataset.class_names)}
    pipeline = DiTPipeline(transformer=transformer.cpu(), vae=vae.cpu(), scheduler=scheduler, id2label=names)
    pipeline.save_pretrained(work.path, safe_serialization=True)
    index = work.path / "model_index.json"
    work.json("model_index.json", json.loads(index.read_text()) | {"id2label": names})
