"""Algorithm 4, lines 4-5: the distilled images S_L = D(U_t(z_k, y)), from prototypes or from pure noise.

In: prototypes z_k with their counts v_k, and a prior. Out: a DistilledDataset. Work is cut into chunks of
`synthesis_batch` images in class order; a chunk with a missing file is made again as a whole.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.image_files import resized
from ..errors import InputError
from ..priors.load import KNOBS, GenerativePrior, load_prior, prior_modules
from ..processes import bar, report_line, world
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..threads import threads
from .cluster import load_counts, prototypes_of
from .distilled import DistilledDataset, image_name, read_pixels, write_image, write_metadata
from .encode import check_fit

DENOISE_KNOBS = ("strength", "guidance_scale", "n_steps", "sampler")  # knobs of a profile that `synthesize_images` uses
SHAPING = ("seed", "guidance_scale", "n_steps", "sampler", "synthesis_batch", "negative_prompt", "precision")
LOADED = 8  # classes whose prototypes are in memory
BLANK = 1 / 255  # a picture is blank if the standard deviation of every channel is below this


def synthesize(
    store: Store, prototypes: Artifact, prior: Artifact, dataset: Dataset, profile: Profile, *, ipc: int,
    distill_seed: int,
) -> DistilledDataset:  # fmt: skip
    """Algorithm 4, lines 4-5: noise every prototype to `strength`, denoise it with class and guidance, decode it.

    Each image's noise has the key (seed, distill_seed, ipc, class, item), so neither batch nor order changes it.

    Raises:
        InputError: prototypes for other classes than the data set's, another level, or another prior's latents.
    """
    return _distilled(store, prototypes, prior, dataset, profile, ipc, distill_seed)


def generate(
    store: Store, prior: Artifact, dataset: Dataset, profile: Profile, *, ipc: int, distill_seed: int,
    step: str = "generate",
) -> DistilledDataset:  # fmt: skip
    """Images of every class from pure noise, each representing one image: the prior's output without prototypes.

    Args:
        step: name of the artifact's step, if another prior than the run's makes them.
    """
    return _distilled(store, None, prior, dataset, profile, ipc, distill_seed, step)


def _distilled(
    store: Store, prototypes: Artifact | None, prior: Artifact, dataset: Dataset, profile: Profile, ipc: int,
    distill_seed: int, step: str = "synthesize",
) -> DistilledDataset:  # fmt: skip
    shaping = ("strength", *SHAPING) if prototypes else SHAPING
    parameters = {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    parameters |= profile.keyed(*shaping) | {"image_size": dataset.image_size}
    plan = profile.subset("threads", "device", "compiled")
    counts = load_counts(prototypes, ipc) if prototypes else torch.ones(dataset.n_classes, ipc, dtype=torch.int64)
    if len(counts) != dataset.n_classes:
        found = f"{prototypes.path} has {len(counts)} classes, {dataset.name} has {dataset.n_classes}"
        raise InputError(f"{found}; give prototypes of every class")

    def share(work: Workspace) -> None:
        points = functools.lru_cache(LOADED)(functools.partial(prototypes_of, prototypes, ipc)) if prototypes else None
        _write_images(work, prior, dataset, profile, points, ipc, distill_seed, plan)

    def build(work: Workspace) -> None:
        _finish(work, dataset, counts, distill_seed)

    with threads(profile.threads):
        return DistilledDataset(
            store.make(
                step, build, parameters=parameters, inputs=[prototypes or dataset.key, prior],
                modules=(__name__, *prior_modules(profile)), label=f"ipc{ipc:03d}-seed{distill_seed}", plan=plan,
                share=share,
            )
        )  # fmt: skip


def synthesize_images(
    prior: GenerativePrior, latents: Float[Tensor, "b c h w"] | None, conditioning: Tensor,
    noise: list[torch.Generator], size: int, *, strength: float, guidance_scale: float, n_steps: int, sampler: str,
) -> Float[Tensor, "b C {size} {size}"]:  # fmt: skip
    """Images in [0, 1] from latents of mixed classes, or from pure noise, resized from the prior's size to `size`.

    Args:
        conditioning: rows of `prior.embed`, one per image.
        noise: one generator per image.
        strength: share of the steps for noising and denoising latents; pure noise always takes all steps.
    """
    denoised = prior.denoise(
        latents, conditioning, strength=strength, guidance=guidance_scale, steps=n_steps, noise=noise, sampler=sampler
    )
    return resized(prior.decode(denoised).cpu(), size)


def is_blank(image: Float[Tensor, "C H W"]) -> bool:
    """Whether the image is blank: no channel varies by more than rounding."""
    return image.flatten(1).std(1).max().item() < BLANK


def _write_images(
    work: Workspace, prior: Artifact, dataset: Dataset, profile: Profile,
    points: Callable[[int], Float[Tensor, "K c h w"]] | None, ipc: int, distill_seed: int, plan: dict,
) -> None:  # fmt: skip
    """Every image of every class, chunk by chunk; `points` gives the prototypes of a class, None means pure noise."""
    model = load_prior(prior.path, **profile.subset(*KNOBS))
    check_fit(model, dataset)
    if points is not None and points(0).shape[1:] != tuple(model.latent_shape):
        found = f"prototypes are {tuple(points(0).shape[1:])}, latents of the prior {model.latent_shape}"
        raise InputError(f"{found}; give points among its latents")
    classes, knobs = model.embed(dataset.classes), profile.subset(*DENOISE_KNOBS)
    start = "generate" if points is None else "synthesize"

    def make(chunk: Int64[Tensor, " b"]) -> Float[Tensor, "b C H W"]:
        """A chunk at once, or in halves with the same draws if the device lacks the memory for it."""
        noise = [torch_rng(profile.seed, start, distill_seed, ipc, *divmod(i, ipc)) for i in chunk.tolist()]
        latents = None if points is None else torch.stack([points(i // ipc)[i % ipc] for i in chunk.tolist()])
        try:
            return synthesize_images(model, latents, classes[chunk // ipc], noise, dataset.image_size, **knobs)
        except torch.OutOfMemoryError:
            if len(chunk) == 1:
                raise InputError(
                    f"{profile.device} has not enough memory for one image of {model.image_size} pixels; "
                    "set precision=float16 or device=cpu"
                ) from None
        plan["halved"] = plan.get("halved", 0) + 1
        return torch.cat([make(half) for half in chunk.chunk(2)])

    chunks = torch.arange(dataset.n_classes * ipc).split(profile.synthesis_batch)
    for chunk in bar(world().my_share(chunks), desc=f"{start} ipc {ipc}"):
        images = [divmod(i, ipc) for i in chunk.tolist()]
        if all((work.path / image_name(c, k)).exists() for c, k in images):
            continue
        for (c, k), image in zip(images, make(chunk), strict=True):
            write_image(work, c, k, image)


def _finish(work: Workspace, dataset: Dataset, counts: Int64[Tensor, "classes ipc"], distill_seed: int) -> None:
    """Write the table of images, and report blank images."""
    write_metadata(work, dataset, counts, seed=distill_seed)
    names = [image_name(label, item) for label, item in np.ndindex(*counts.shape)]
    blank = [name for name in names if is_blank(read_pixels(work.path / name).float() / 255)]
    work.json("blank.json", blank)
    if blank:
        shown = ", ".join(blank[:5]) + (", ..." if len(blank) > 5 else "")
        report_line(f"ddoq: {len(blank)} of {len(names)} images are blank: {shown}")
