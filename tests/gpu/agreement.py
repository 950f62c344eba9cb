"""What a device computes beside what the CPU computes in float32 for the same draws, step by step, with tolerances.

In: a device. Out: the largest difference of each step, and what is allowed. On the CPU everything is run too, and
float32 differs by nothing. float32 with TF32 off differs by the order of sums; half precision by its 11 or 8 bits,
which ten steps of a reverse process make larger.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor

from ddoq_book.ch22.toy_imagenet import PRIORS, TINY_VAE
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.methods.random_real import random_real
from ddoq_core.networks.classifiers import make_network
from ddoq_core.networks.fitting import initialised
from ddoq_core.pipeline import fit_student
from ddoq_core.pipeline.relabel import relabel, teacher_logits
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.pipeline.train_student import train
from ddoq_core.pipeline.views import draw_views, views_of
from ddoq_core.priors.exact import ExactPrior
from ddoq_core.priors.latent_diffusion import SCHEDULE
from ddoq_core.priors.load import PRECISIONS, load_prior
from ddoq_core.quantization import best_of_restarts, lloyd, quantize
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Store

DENOISED = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.3}  # of pixels in [0, 1], after ten steps with guidance
ENCODED = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.15}  # of latents of about unit variance
CLASSES = [{"index": i, "directory": w, "name": w, "prompt": w} for i, w in enumerate(("n01440764", "n03888257"))]
SMALL = {"epochs": 6, "teacher_epochs": 1, "teacher": "convnet-8", "batch_size": 8, "image_size": 32}
STUDENT = {"student": "convnet-8", "target": "soft", "weights": "sqrt", "student_seed": 0, "label_seed": 0}


@dataclass(frozen=True)
class Agreement:
    """The largest difference of one step between a device and the CPU, or between two runs on the device."""

    step: str
    precision: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is one that is allowed; a value that is not finite is not."""
        return self.difference <= self.tolerance


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """TF32 off, and the same bits in every run where the device can give them."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _largest(one: Tensor, other: Tensor) -> float:
    return (one.cpu().float() - other.cpu().float()).abs().max().item()


def _noise() -> list[torch.Generator]:
    return [torch_rng(0, "gpu", i) for i in range(2)]


def of_prior(device: str, kind: str, precision: str) -> Iterator[Agreement]:
    """A prior of random weights encodes, denoises with guidance and decodes."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        PRIORS[kind](Path(folder))
        for place, numbers in (("cpu", "float32"), (device, precision)):
            prior = load_prior(folder, device=place, precision=numbers)
            pictures = torch.rand(2, 3, *[prior.image_size] * 2, generator=torch_rng(0, "pictures"))
            latents = torch.randn(2, *prior.latent_shape, generator=torch_rng(0, "latents"))
            how = {"strength": 0.7, "guidance": 4.0, "steps": 10, "noise": _noise()}
            found = prior.denoise(latents, prior.embed(CLASSES), **how)
            made.append((prior.encode(pictures), prior.decode(found)))
    (encoded, decoded), (own_encoded, own_decoded) = made
    yield Agreement(f"encode, {kind}", precision, _largest(encoded, own_encoded), ENCODED[precision])
    yield Agreement(f"denoise and decode, {kind}", precision, _largest(decoded, own_decoded), DENOISED[precision])


def of_exact_prior(device: str, precision: str) -> Iterator[Agreement]:
    """The exact score of a small cloud, over windows and over the whole latent."""
    with initialised(torch_rng(1, "exact")), tempfile.TemporaryDirectory() as folder:
        config, vae = dict(DDIMScheduler(**SCHEDULE, clip_sample=False).config), AutoencoderKL(**TINY_VAE).eval()
        for label in range(2):
            cloud = torch.randn(30, 4, 8, 8, generator=torch_rng(0, "cloud", label))
            save_file({"latents": cloud}, Path(folder) / f"class{label:05d}.safetensors")
        for locality in ("local", "global"):
            ends = []
            for place, numbers in (("cpu", "float32"), (device, precision)):
                prior = ExactPrior(
                    vae=vae.to(place, PRECISIONS[numbers]), scheduler_class=DDIMScheduler, scheduler_config=config,
                    latents=Path(folder), n_classes=2, side=16, locality=locality,
                )  # fmt: skip
                start = torch.randn(2, *prior.latent_shape, generator=torch_rng(0, "start"))
                how = {"strength": 0.7, "guidance": 1.5, "steps": 10, "noise": _noise()}
                ends.append(prior.denoise(start, prior.embed(CLASSES), **how))
            yield Agreement(f"exact score, {locality}", precision, _largest(*ends), DENOISED[precision])


def of_quantizers(device: str) -> Iterator[Agreement]:
    """Distortions of the codebooks of each form, relative to the CPU's; the online algorithms know no device."""
    draws = numpy_rng(0, "gpu").standard_normal
    plane, wide = (torch.from_numpy(draws(shape)).float() for shape in ((2000, 300), (300, 4000)))
    found: dict[str, Callable[[Tensor, Tensor], object]] = {
        "lloyd, direct form": lambda X, Y: lloyd(X, X[:20].clone()),
        "lloyd, Gram form": lambda X, Y: best_of_restarts(Y, 10, n_restarts=5, rng=numpy_rng(0, "starts")),
        "lloyd, on a plane": lambda X, Y: lloyd(X[:, :2], X[:20, :2].clone()),
        "exact cells": lambda X, Y: quantize(X, X[:50].clone()),
    }
    for name, quantizer in found.items():
        cpu, own = quantizer(plane, wide), quantizer(plane.to(device), wide.to(device))
        yield Agreement(name, "float32", abs(own.distortion / cpu.distortion - 1), 1e-3)


def of_labels(device: str) -> Iterator[Agreement]:
    """Views of an epoch, and the teacher's logits of them, as they are stored: float16."""
    pixels = torch.randint(0, 256, (8, 3, 32, 32), generator=torch_rng(0, "pixels")).to(torch.uint8)
    drawn = draw_views(8, 32, 0, 0, seed=0, crop_scale=0.08, flip=True, cutmix=True)
    network, data = make_network("resnet18", 10, 3, 32, torch_rng(0, "teacher")).eval(), noise_images()
    seen, logits = [], []
    for place in ("cpu", device):
        seen.append(views_of(pixels, drawn.to(place), drawn.order.to(place)))
        logits.append(teacher_logits(network.to(place), data, seen[-1]))
    yield Agreement("views", "float32", _largest(*seen), 1e-4)
    yield Agreement("relabel", "float16", _largest(*logits), 0.02)


def noise_images() -> Dataset:
    """Two classes of 20 pictures of noise."""
    pixels = torch.randint(0, 255, (40, 3, 32, 32), generator=torch_rng(0, "noise")).to(torch.uint8)
    split = Split(torch.arange(2).repeat_interleave(20), [str(i) for i in range(40)], pixels, 32)
    names = {"class_ids": ["a", "b"], "class_names": ["a", "b"], "prompts": ["a", "b"]}
    shape = {"image_size": 32, "channels": 3, "mean": (0.5,) * 3, "std": (0.3,) * 3}
    return Dataset("noise", split, split, split, **names, **shape, key="noise")


def trained(root: Path, device: str, stop_after: int = 0, **knobs: object) -> dict[str, Tensor]:
    """State of a student on `device`; of one that was interrupted in its epoch `stop_after` and went on."""
    profile, data, store = Profile.of(SMALL | knobs | {"device": device}), noise_images(), Store(root)
    made, judge = random_real(store, data, profile, ipc=10, distill_seed=0), teacher(store, data, profile)
    labels = relabel(store, made, data, judge, profile, label_seed=0)

    def student() -> Path:
        return train(store, made, data, judge, labels, profile, **STUDENT).path

    if stop_after:
        real, every, left = fit_student.rate, checkpoints.EVERY, iter(range(stop_after))

        def dying(epoch: int, **schedule: object) -> float:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return real(epoch, **schedule)

        fit_student.rate, checkpoints.EVERY = dying, 0
        try:
            with contextlib.suppress(KeyboardInterrupt):
                student()
        finally:
            fit_student.rate, checkpoints.EVERY = real, every
    return load_file(student() / "student.safetensors")


def of_students(device: str) -> Iterator[Agreement]:
    """A student after an epoch of descent, in both precisions; and one that went on after an interruption."""
    with tempfile.TemporaryDirectory() as folder:
        root, descent = Path(folder), {"epochs": 1, "optimiser": "sgd", "learning_rate": 0.01}
        cpu = trained(root / "cpu", "cpu", **descent)
        for precision, tolerance in (("float32", 1e-3), ("bfloat16", 0.05)):
            own = trained(root / precision, device, **descent, training_precision=precision)
            difference = max(_largest(cpu[name], own[name]) for name in cpu)
            yield Agreement("student", precision, difference, tolerance)
        whole, cut = trained(root / "whole", device), trained(root / "cut", device, stop_after=3)
        yield Agreement("resumed student", "float32", max(_largest(whole[n], cut[n]) for n in whole), 1e-5)


CHECKS: dict[str, Callable[[str], Iterator[Agreement]]] = {
    **{
        f"{kind}, {precision}": lambda device, kind=kind, precision=precision: of_prior(device, kind, precision)
        for kind in PRIORS
        for precision in PRECISIONS
    },
    **{f"exact, {p}": lambda device, p=p: of_exact_prior(device, p) for p in PRECISIONS},
    "quantizers": of_quantizers,
    "labels": of_labels,
    "students": of_students,
}
