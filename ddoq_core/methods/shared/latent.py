"""Sets that are learned or sampled in the latent space of the run's own prior."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ...data.image_files import resized
from ...pipeline.distilled import DistilledDataset, image_name, write_image, write_metadata
from ...pipeline.encode import check_fit
from ...priors.load import KNOBS, GenerativePrior, Guide, load_prior, prior_modules
from ...processes import bar, world
from ...randomness import torch_rng
from ...store.artifacts import Artifact, Workspace
from ...threads import threads
from ..method import MethodRun

TOGETHER = 10  # images whose graph is in memory at once

Decode = Callable[[Float[Tensor, "b c h w"], slice], Float[Tensor, "b C H W"]]  # latents of these rows, with a graph


def frozen_prior(run: MethodRun) -> GenerativePrior:
    """The prior of a run, with all parameters fixed."""
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    check_fit(prior, run.dataset)
    for network in (prior.vae, prior.network):
        network.requires_grad_(False)
    return prior


def through_decoder(
    decode: Decode, latents: Float[Tensor, "n c h w"],
    matched: Callable[[Float[Tensor, "n C H W"]], tuple[float, Float[Tensor, "n C H W"]]],
) -> tuple[float, Float[Tensor, "n c h w"]]:  # fmt: skip
    """A loss of decoded images, and its gradient with respect to their latents, in two stages (GLaD).

    The images are decoded without a graph, and the loss is differentiated with respect to them. Then they are decoded
    again, a few at a time, and that gradient is propagated to the latents: the chain rule with the memory of a few
    images.

    Args:
        matched: function of all images that returns the loss and its gradient.
    """
    parts = [slice(i, min(i + TOGETHER, len(latents))) for i in range(0, len(latents), TOGETHER)]
    with torch.no_grad():
        images = torch.cat([decode(latents[rows], rows) for rows in parts])
    loss, of_images = matched(images)
    found = torch.empty_like(latents)
    for rows in parts:
        some = latents[rows].detach().requires_grad_()
        (found[rows],) = torch.autograd.grad(decode(some, rows), some, of_images[rows])
    return loss, found


def real_latents(run: MethodRun, prior: GenerativePrior, first: DistilledDataset) -> Float[Tensor, "n c h w"]:
    """Latents of the images of a set."""
    pictures = resized(first.images(), prior.image_size)
    return torch.cat([prior.encode(part) for part in pictures.split(TOGETHER)]).to(run.profile.device)


def guided_set(
    run: MethodRun, step: str, ipc: int, distill_seed: int, guide_of: Callable[[int], Guide], *, module: str,
    knobs: tuple[str, ...], inputs: tuple[Artifact, ...],
) -> DistilledDataset:  # fmt: skip
    """Images of every class from pure noise; the guide of a class changes their predicted clean latents.

    The noise is that of `random_generated`, so a guide that changes nothing makes its images. All images of a class are
    sampled together, so that the guide sees them all.

    Args:
        inputs: inputs of the guides, for the key.
    """
    p, dataset = run.profile, run.dataset

    def share(work: Workspace) -> None:
        prior = frozen_prior(run)
        conditions = prior.embed(dataset.classes)
        for label in bar(world().my_share(range(dataset.n_classes)), desc=step, leave=False):
            if all((work.path / image_name(label, item)).exists() for item in range(ipc)):
                continue
            noise = [torch_rng(p.seed, "generate", distill_seed, ipc, label, item) for item in range(ipc)]
            latents = prior.denoise(
                None, conditions[[label] * ipc], guidance=p.guidance_scale, steps=p.n_steps, noise=noise,
                sampler=p.sampler, guide=guide_of(label),
            )  # fmt: skip
            for item, image in enumerate(resized(prior.decode(latents).cpu(), dataset.image_size)):
                write_image(work, label, item, image)

    def build(work: Workspace) -> None:
        write_metadata(work, dataset, torch.ones(dataset.n_classes, ipc, dtype=torch.int64), seed=distill_seed)

    parameters = p.keyed("seed", "guidance_scale", "n_steps", "sampler", "negative_prompt", "precision", *knobs)
    parameters |= {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    with threads(p.threads):
        return DistilledDataset(
            run.store.make(
                step, build, parameters=parameters, inputs=[run.prior, *inputs],
                modules=(module, *prior_modules(p)), label=f"ipc{ipc:03d}-seed{distill_seed}",
                plan=p.subset("threads", "device"), share=share,
            )
        )  # fmt: skip
