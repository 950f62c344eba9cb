"""Algorithm 4, lines 4-5: the distilled images S_L = D(U_t(z_k, y)), from prototypes or from pure noise.

In: prototypes z_k with their counts v_k, and a prior. Out: a DistilledDataset. Work is cut into chunks of
`synthesis_batch` images in class order; a chunk of which any file is missing is made again whole.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from tqdm import tqdm

from ..keys import torch_rng
from ..profile import Profile
from ..store import Artifact, Store, Workspace
from .cluster import load_prototypes
from .datasets import Dataset
from .distilled import DistilledDataset, image_name, write_image, write_metadata
from .encode import check_fit
from .plan import threads
from .prior import DiTPrior, load_prior

HERE = ("ddoq_core.pipeline.synthesize",)


def synthesize(
    store: Store,
    prototypes: Artifact,
    prior: Artifact,
    dataset: Dataset,
    profile: Profile,
    *,
    ipc: int,
    distill_seed: int,
) -> DistilledDataset:
    """Algorithm 4, lines 4-5: noise every prototype to `strength`, denoise it with its class and guidance, decode it.

    Each image's noise is keyed by (seed, distill_seed, ipc, class, item): neither batch nor order changes it.
    """
    parameters = profile.pick("seed", "strength", "guidance_scale", "n_steps", "sampler", "synthesis_batch")
    parameters |= {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}

    def build(work: Workspace) -> None:
        points, counts = load_prototypes(prototypes, ipc)
        _write_images(work, prior, dataset, profile, points.flatten(0, 1), ipc, distill_seed)
        write_metadata(work, dataset, counts, seed=distill_seed)

    with threads(profile.threads):
        return DistilledDataset(
            store.make(
                "synthesize", build, parameters=parameters, inputs=[prototypes, prior], modules=HERE,
                label=f"ipc{ipc:03d}-seed{distill_seed}", plan=profile.pick("threads", "device"),
            )
        )  # fmt: skip


def generate(
    store: Store, prior: Artifact, dataset: Dataset, profile: Profile, *, ipc: int, distill_seed: int
) -> DistilledDataset:
    """Images of every class from pure noise, each standing for one: what the prior gives without prototypes."""
    parameters = profile.pick("seed", "guidance_scale", "n_steps", "sampler", "synthesis_batch")
    parameters |= {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}

    def build(work: Workspace) -> None:
        _write_images(work, prior, dataset, profile, None, ipc, distill_seed)
        write_metadata(work, dataset, torch.ones(dataset.n_classes, ipc, dtype=torch.int64), seed=distill_seed)

    with threads(profile.threads):
        return DistilledDataset(
            store.make(
                "generate", build, parameters=parameters, inputs=[dataset.key, prior], modules=HERE,
                label=f"ipc{ipc:03d}-seed{distill_seed}", plan=profile.pick("threads", "device"),
            )
        )  # fmt: skip


def synthesize_images(
    prior: DiTPrior, latents: Float[Tensor, "b c h w"] | None, labels: Int64[Tensor, " b"],
    noise: list[torch.Generator], profile: Profile,
) -> Float[Tensor, "b C H W"]:  # fmt: skip
    """Images in [0, 1] of latents of mixed classes, or of pure noise.

    Args:
        labels: rows of the prior's label table.
        noise: one generator per image.
    """
    denoised = prior.denoise(
        latents, prior.embed(labels), strength=profile.strength, guidance=profile.guidance_scale, steps=profile.n_steps,
        noise=noise, sampler=profile.sampler,
    )  # fmt: skip
    return prior.decode(denoised).cpu()


def _write_images(
    work: Workspace,
    prior: Artifact,
    dataset: Dataset,
    profile: Profile,
    points: Tensor | None,
    ipc: int,
    distill_seed: int,
) -> None:
    """Every image of every class, chunk by chunk; `points` [classes * ipc, c, h, w], or None for pure noise."""
    model = load_prior(prior.path, profile.device)
    check_fit(model, dataset)
    ids = model.label_ids(dataset.class_names)
    start = "generate" if points is None else "synthesize"
    chunks = torch.arange(dataset.n_classes * ipc).split(profile.synthesis_batch)
    for chunk in tqdm(chunks, desc=f"{start} ipc {ipc}", disable=None):
        images = [divmod(i, ipc) for i in chunk.tolist()]
        if all((work.path / image_name(c, k)).exists() for c, k in images):
            continue
        noise = [torch_rng(profile.seed, start, distill_seed, ipc, c, k) for c, k in images]
        latents = None if points is None else points[chunk]
        made = synthesize_images(model, latents, ids[chunk // ipc], noise, profile)
        for (c, k), image in zip(images, made, strict=True):
            write_image(work, c, k, image)
