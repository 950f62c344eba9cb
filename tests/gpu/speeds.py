"""How fast a device makes each step of Algorithm 4 at full size: images a second, peak memory, operations a second.

In: a device and sizes. Out: one Speed for each measurement, beside the fastest matrix products of the device, which are
the peak that its share is told of. Weights are random: they cost what trained ones do. Small sizes are for the CPU.
"""

import dataclasses
import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ddoq_core.config.profile import Profile
from ddoq_core.cost.calibration import Speed
from ddoq_core.cost.counting import count_parts
from ddoq_core.cost.counts import Prior
from ddoq_core.cost.flops import classifier, prior_of
from ddoq_core.cost.tables import PAPER
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline.fit_student import fit, weighted_kl
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.pipeline.relabel import PIECE, teacher_logits
from ddoq_core.pipeline.views import VIEW_KNOBS, draw_views, views_of
from ddoq_core.priors.load import PRECISIONS
from ddoq_core.priors.stable_diffusion import StableDiffusionPrior
from ddoq_core.randomness import torch_rng
from ddoq_core.store.artifacts import Workspace

from ..cost.published import CLIP, NOISE, UNET, VAE
from .agreement import noise_images

# the same networks with few channels
TINY_UNET = UNET | {"sample_size": 8, "cross_attention_dim": 16, "block_out_channels": (8,) * 4, "norm_num_groups": 4}
TINY_UNET |= {"attention_head_dim": 2}
TINY_VAE = VAE | {"sample_size": 64, "block_out_channels": (4,) * 4, "norm_num_groups": 4}
TINY_CLIP = CLIP | {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    square: int  # side of the matrices of the peak
    prior: tuple[dict, dict, dict]  # configurations of autoencoder, UNet, text encoder
    steps: int
    batches: tuple[int, ...]  # images denoised together
    encoded: int  # images encoded together
    network: str
    classes: int
    side: int  # pixels of a student's images
    batch: int
    in_epoch: int  # images of an epoch of training


FULL = Sizes(8192, (VAE, UNET, CLIP), 50, (10, 50), 32, "resnet18", 1000, 224, 1024, 8192)
SMALL = Sizes(128, (TINY_VAE, TINY_UNET, TINY_CLIP), 2, (1, 2), 2, "convnet-8-bn", 5, 32, 8, 24)


class Zeros:
    """A tokenizer that reads any text as zeros."""

    __class__ = property(lambda self: CLIPTokenizer)  # what isinstance asks for
    model_max_length = CLIP["max_position_embeddings"]

    def __call__(self, texts: list[str], **how: object) -> SimpleNamespace:
        return SimpleNamespace(input_ids=torch.zeros(len(texts), self.model_max_length, dtype=torch.int64))


def untrained_prior(sizes: Sizes, device: str, dtype: torch.dtype) -> StableDiffusionPrior:
    """Stable Diffusion 1.5 by its configuration, with random weights, made where it computes."""
    vae, unet, text = sizes.prior
    with torch.device(device):
        networks = AutoencoderKL(**vae), UNet2DConditionModel(**unet), CLIPTextModel(CLIPTextConfig(**text))
    vae, unet, text = (network.to(dtype).eval().requires_grad_(False) for network in networks)
    vae, unet = (network.to(memory_format=torch.channels_last) for network in (vae, unet))
    return StableDiffusionPrior(
        vae=vae, unet=unet, text_encoder=text, tokenizer=Zeros(), scheduler_class=PNDMScheduler, scheduler_config=NOISE
    )


class Clock:
    """Seconds between two points at which the device has nothing left to do, and its peak memory between them."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"

    def timed(self, call: Callable[[], object], *, warm: bool = True) -> tuple[float, int]:
        """Seconds and peak bytes of the second of two calls, or of the only one."""
        if warm:
            call()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        call()
        if self.cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return seconds, torch.cuda.max_memory_allocated() if self.cuda else peak


def peaks(device: str, sizes: Sizes) -> dict[str, float]:
    """Operations a second of the fastest product of two square matrices, in each precision; of float32 with TF32."""
    found, n = {}, sizes.square
    torch.backends.cuda.matmul.allow_tf32 = True
    for name, dtype in PRECISIONS.items():
        A, B = (torch.randn(n, n, generator=torch_rng(0, name, i)).to(device, dtype) for i in range(2))
        seconds = min(Clock(device).timed(lambda A=A, B=B: A @ B)[0] for _ in range(5))
        found[name] = 2 * n**3 / seconds
    return found


def of_prior(device: str, sizes: Sizes, precision: str) -> Iterator[Speed]:
    """Encoding, and the whole of line 5: noise, reverse process with guidance, decoding."""
    prior, counts = untrained_prior(sizes, device, PRECISIONS[precision]), counts_of(sizes)
    clock, paper = Clock(device), PAPER.replace(n_steps=sizes.steps)
    pictures = torch.rand(sizes.encoded, 3, *[prior.image_size] * 2, generator=torch_rng(0, "pictures"))
    seconds, peak = clock.timed(lambda: prior.encode(pictures))
    yield Speed.of("encode", precision, sizes.encoded, sizes.encoded, seconds, counts.encode, peak)
    operations = counts.calls(paper) * counts.call + counts.decode
    for batch in sizes.batches:
        latents = torch.randn(batch, *prior.latent_shape, generator=torch_rng(0, "latents"))
        condition = prior.any_condition().expand(batch, -1, -1)

        def synthesize(latents: Tensor = latents, condition: Tensor = condition) -> None:
            noise = [torch_rng(0, "speed", i) for i in range(len(latents))]
            how = {"strength": paper.strength, "guidance": paper.guidance_scale, "steps": paper.n_steps}
            prior.decode(prior.denoise(latents, condition, noise=noise, **how))

        seconds, peak = clock.timed(synthesize, warm=batch == sizes.batches[0])
        yield Speed.of("synthesize", precision, batch, batch, seconds, operations, peak)


def counts_of(sizes: Sizes) -> Prior:
    """The operations of such a prior: known at full size, as counting them takes longer than a GPU."""
    if sizes is FULL:
        return prior_of(PAPER, 3)
    prior = untrained_prior(sizes, "meta", torch.float32)
    for network in (prior.vae, prior.network):
        network.requires_grad_()  # training is counted too
    return count_parts("", prior)


def of_networks(device: str, sizes: Sizes) -> Iterator[Speed]:
    """Labelling of views, and an epoch of a student, both from a file of pixels."""
    clock, profile = Clock(device), Profile(device=device, epochs=1, batch_size=sizes.batch, crop_scale=0.08, flip=True)
    data = dataclasses.replace(noise_images(), image_size=sizes.side)
    shape = (sizes.network, sizes.classes, 3, sizes.side)
    counts, judge = classifier(*shape), make_network(*shape, torch_rng(0, "teacher")).to(device).eval()
    with tempfile.TemporaryDirectory() as folder:
        pixels = _file_of_pixels(Path(folder) / "pixels", sizes)
        views = draw_views(sizes.in_epoch, sizes.side, 0, 0, **profile.subset(*VIEW_KNOBS)).to(device)
        rows = views.order[: min(PIECE, sizes.in_epoch)]
        seconds, peak = clock.timed(lambda: teacher_logits(judge, data, views_of(pixels, views, rows)).cpu())
        yield Speed.of("relabel", "float32", len(rows), len(rows), seconds, counts.forward, peak)
        for precision in ("float32", "bfloat16"):
            trained = profile.replace(training_precision=precision)
            lessons = Lessons(pixels, torch.ones(sizes.in_epoch).to(device), data, trained, 0, _even(sizes), 1)
            student = make_network(*shape, torch_rng(0, "student")).to(device)

            def epoch(student: nn.Module = student, lessons: Lessons = lessons) -> None:
                work = Workspace(Path(tempfile.mkdtemp(dir=folder)))
                fit(work, student, lessons, lambda *batch: weighted_kl(*batch, 20.0, "forward"))

            seconds, peak = clock.timed(epoch)
            yield Speed.of("train", precision, sizes.batch, sizes.in_epoch, seconds, counts.training, peak)


def _even(sizes: Sizes) -> Callable:
    """Targets of equal shares of all classes."""
    log_p = -math.log(sizes.classes)
    return lambda epoch, views: lambda rows, images: images.new_full((len(rows), sizes.classes), log_p)


def _file_of_pixels(path: Path, sizes: Sizes) -> Tensor:
    """A file of black images, which takes no room on the disk, as a tensor of it."""
    shape = (sizes.in_epoch, 3, sizes.side, sizes.side)
    return torch.from_numpy(np.memmap(path, np.uint8, "w+", shape=shape))
