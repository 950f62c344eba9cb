"""The prior that a run trains itself: a small autoencoder and a small class-conditional diffusion transformer.

In: a data set. Out: a folder in the layout of diffusers' `DiTPipeline`, which loads and runs it unchanged. With a given
autoencoder only the transformer is trained, on the latents of `encode`.
The transformer learns to work without a class (classifier-free guidance), because a tenth of the labels are replaced by
the null id. diffusers' own label dropout is off, since it draws from the global generator in every block.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..errors import InputError
from ..networks.fitting import BatchLoss, Recipe, initialised, train_network
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import read_tensors
from ..threads import threads
from .autoencoder import read_autoencoder, shrinking
from .dit import NULL, PIPELINE
from .latent_diffusion import SCHEDULE
from .load import SIZE

WIDTHS = (8, 16, 32)  # channels of the autoencoder's levels; each level after the first halves the side
LATENT_CHANNELS = 4
NORM_GROUPS = 8
HEAD_WIDTH = 32
AUTOENCODER = Recipe(batch=50, rate=4e-3, warm_up=0.1, decay=0.0)
TRANSFORMER = Recipe(batch=100, rate=2e-3, warm_up=0.05, decay=0.01, ema=0.995)  # for width 128
RATED_WIDTH = 128  # wider transformers get this rate times RATED_WIDTH over their width
NO_CLASS = 0.1  # share of the labels replaced by the null id
KL = 1e-3  # weight of the posterior's divergence from N(0, I), per latent value, relative to the mean squared error
ENCODE_BATCH = 250


def pretrain(store: Store, dataset: Dataset, profile: Profile) -> Artifact:
    """Train a latent diffusion model on the training images: the autoencoder, then the transformer on its latents.

    Raises:
        InputError: an image size that is not a multiple of 8, or more classes than the label table has rows.
    """
    check_sizes(profile, dataset)

    def build(work: Workspace) -> None:
        vae = make_autoencoder(dataset, profile)
        path = work.chunk("autoencoder.safetensors", lambda path: _fit_autoencoder(work, vae, dataset, profile, path))
        safetensors.torch.load_model(vae, path)
        latents = _latents(vae, dataset, profile)
        vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        transformer = make_transformer(tuple(latents.shape[1:]), profile)
        _fit_transformer(work, transformer, latents * vae.config.scaling_factor, dataset.train.labels, profile)
        _save_pipeline(work, vae, transformer, dataset)
        for name in ("autoencoder.safetensors", "autoencoder.pt", "transformer.pt"):
            work.discard(name)

    with threads(profile.threads):
        return store.make(
            "prior", build, parameters=profile.keyed("seed", "vae_epochs", "diffusion_epochs", *SIZE),
            inputs=[dataset.key], modules=("ddoq_core.priors.pretrain",), label=dataset.name,
            plan=profile.subset("threads", "device"),
        )  # fmt: skip


def pretrain_on(store: Store, dataset: Dataset, encoder: Artifact, latents: Artifact, profile: Profile) -> Artifact:
    """Train only the transformer, on the latents of a given autoencoder.

    Here the folder is read as a `DiTPipeline`; diffusers' own pipeline reads it if the autoencoder is from diffusers.

    Args:
        encoder: an artifact of `encoder_artifact`: autoencoder and noise schedule.
        latents: latents of the training images from that autoencoder.
    Raises:
        InputError: as `check_sizes`.
    """
    check_sizes(profile, dataset, shrinking(read_autoencoder(encoder.path / "vae")))

    def build(work: Workspace) -> None:
        files = [latents.path / "latents" / f"class{c:05d}.safetensors" for c in range(dataset.n_classes)]
        of_class = [read_tensors(file)["latents"].float() for file in files]
        labels = torch.arange(len(of_class)).repeat_interleave(torch.tensor([len(part) for part in of_class]))
        transformer = make_transformer(tuple(of_class[0].shape[1:]), profile)
        _fit_transformer(work, transformer, torch.cat(of_class), labels, profile)
        transformer.cpu().save_pretrained(work.path / "transformer", safe_serialization=True)
        for part in ("vae", "scheduler"):
            shutil.copytree(encoder.path / part, work.path / part, dirs_exist_ok=True)
        index = encoder.json("model_index.json") | {"_class_name": PIPELINE, "id2label": _names(dataset)}
        work.json("model_index.json", index | {"transformer": ["diffusers", "DiTTransformer2DModel"]})
        work.discard("transformer.pt")

    with threads(profile.threads):
        return store.make(
            "prior", build, parameters=profile.keyed("seed", "diffusion_epochs", *SIZE), inputs=[encoder, latents],
            modules=("ddoq_core.priors.pretrain",), label=dataset.name, plan=profile.subset("threads", "device"),
        )  # fmt: skip


def check_sizes(profile: Profile, dataset: Dataset, factor: int = 2 ** (len(WIDTHS) - 1)) -> None:
    """Check that a prior of the profile's sizes can be trained on a data set.

    Args:
        factor: image pixels per latent pixel, in each direction.
    Raises:
        InputError: images that cannot be cut into tokens, a width that is not a whole number of heads, or more classes
            than the label table has rows.
    """
    token, width = profile.diffusion_patch * factor, profile.diffusion_width
    if dataset.image_size % token:
        raise InputError(f"image_size = {dataset.image_size}, but prior = pretrain needs a multiple of {token}")
    if width % HEAD_WIDTH:
        raise InputError(f"diffusion_width = {width}, but it must be a multiple of the width of a head, {HEAD_WIDTH}")
    if dataset.n_classes > NULL:
        raise InputError(
            f"{dataset.name} has {dataset.n_classes} classes, but prior = pretrain takes {NULL} at most; use prior=dit"
        )


def make_autoencoder(dataset: Dataset, profile: Profile) -> AutoencoderKL:
    """An autoencoder from images to latents of a quarter of their side."""
    levels = len(WIDTHS)
    with initialised(torch_rng(profile.seed, "pretrain", "autoencoder", "init")):
        return AutoencoderKL(
            in_channels=dataset.channels, out_channels=dataset.channels, sample_size=dataset.image_size,
            latent_channels=LATENT_CHANNELS, block_out_channels=WIDTHS, layers_per_block=1, norm_num_groups=NORM_GROUPS,
            down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
            mid_block_add_attention=False,
        ).to(profile.device)  # fmt: skip


def make_transformer(latent_shape: tuple[int, int, int], profile: Profile) -> DiTTransformer2DModel:
    """A transformer with the label table of DiTPipeline: 1,000 classes and the null id."""
    channels, side, _ = latent_shape
    with initialised(torch_rng(profile.seed, "pretrain", "transformer", "init")):
        transformer = DiTTransformer2DModel(
            num_attention_heads=profile.diffusion_width // HEAD_WIDTH, attention_head_dim=HEAD_WIDTH,
            num_layers=profile.diffusion_layers, patch_size=profile.diffusion_patch, in_channels=channels,
            out_channels=channels, num_embeds_ada_norm=NULL, norm_num_groups=1, sample_size=side,
        )  # fmt: skip
    for block in transformer.transformer_blocks:
        block.norm1.emb.class_embedder.dropout_prob = 0.0
        torch.nn.init.zeros_(block.norm1.linear.weight)  # adaLN-zero: every block starts as the identity
    torch.nn.init.zeros_(transformer.proj_out_2.weight)
    return transformer.to(profile.device)


def _fit_autoencoder(work: Workspace, vae: AutoencoderKL, dataset: Dataset, profile: Profile, path: Path) -> None:
    """Mean squared error of the reconstruction on [-1, 1], plus a small KL that keeps the latents near N(0, I)."""
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
    work: Workspace, transformer: DiTTransformer2DModel, latents: Float[Tensor, "n c h w"],
    classes: Int64[Tensor, " n"], profile: Profile,
) -> None:  # fmt: skip
    """Mean squared error of the predicted noise at a uniform time (Ho et al. 2020), with labels dropped by key."""
    key = (profile.seed, "pretrain", "transformer")
    n, scheduler = len(latents), DDIMScheduler(**SCHEDULE)

    def loss_of(epoch: int) -> BatchLoss:
        rng = torch_rng(*key, epoch)
        noise = torch.randn(latents.shape, generator=rng)
        times = torch.randint(scheduler.config.num_train_timesteps, (n,), generator=rng)
        labels = torch.where(torch.rand(n, generator=rng) < NO_CLASS, NULL, classes)
        noisy = scheduler.add_noise(latents, noise, times)

        def loss(rows: Tensor) -> Float[Tensor, ""]:
            x, t, y, eps = (table[rows].to(profile.device) for table in (noisy, times, labels, noise))
            return (transformer(x, timestep=t, class_labels=y).sample - eps).square().mean()

        return loss

    recipe = replace(TRANSFORMER, rate=TRANSFORMER.rate * min(1, RATED_WIDTH / profile.diffusion_width))
    train_network(work, transformer, loss_of, n, recipe, epochs=profile.diffusion_epochs, name="transformer", key=key)


def _save_pipeline(work: Workspace, vae: AutoencoderKL, transformer: DiTTransformer2DModel, dataset: Dataset) -> None:
    """Write what DiTPipeline.from_pretrained reads; model_index.json gets the names of the classes."""
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, timestep_spacing="trailing")
    names = _names(dataset)
    pipeline = DiTPipeline(transformer=transformer.cpu(), vae=vae.cpu(), scheduler=scheduler, id2label=names)
    pipeline.save_pretrained(work.path, safe_serialization=True)
    index = work.path / "model_index.json"
    work.json("model_index.json", json.loads(index.read_text()) | {"id2label": names})


def _names(dataset: Dataset) -> dict[str, str]:
    """The classes in the form of model_index.json."""
    return {str(i): name for i, name in enumerate(dataset.class_names)}
